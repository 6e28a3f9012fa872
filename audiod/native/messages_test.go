package native

// messages says which Message an operation's request or event is (first) and which its answer (second); nil: no fields.
// Operations that are not served at all, and ERROR and REPLY, are missing.
var messages = map[Op][2]func() Message{
	OpCreatePlaybackStream:           {of[CreatePlaybackStream], of[CreatePlaybackStreamReply]},
	OpDeletePlaybackStream:           {of[ByIndex], nil},
	OpCreateRecordStream:             {of[CreateRecordStream], of[CreateRecordStreamReply]},
	OpDeleteRecordStream:             {of[ByIndex], nil},
	OpExit:                           {},
	OpAuth:                           {of[Auth], of[AuthReply]},
	OpSetClientName:                  {of[SetClientName], of[IndexReply]},
	OpLookupSink:                     {of[ByName], of[IndexReply]},
	OpLookupSource:                   {of[ByName], of[IndexReply]},
	OpDrainPlaybackStream:            {of[ByIndex], nil},
	OpStat:                           {nil, of[StatReply]},
	OpGetPlaybackLatency:             {of[GetLatency], of[PlaybackLatency]},
	OpCreateUploadStream:             {of[CreateUploadStream], of[CreateUploadStreamReply]},
	OpDeleteUploadStream:             {of[ByIndex], nil},
	OpFinishUploadStream:             {of[ByIndex], nil},
	OpPlaySample:                     {of[PlaySample], of[IndexReply]},
	OpRemoveSample:                   {of[ByName], nil},
	OpGetServerInfo:                  {nil, of[ServerInfo]},
	OpGetSinkInfo:                    {of[ByIndexOrName], of[SinkInfo]},
	OpGetSinkInfoList:                {nil, of[SinkInfoList]},
	OpGetSourceInfo:                  {of[ByIndexOrName], of[SourceInfo]},
	OpGetSourceInfoList:              {nil, of[SourceInfoList]},
	OpGetModuleInfo:                  {of[ByIndex], of[moduleInfo]},
	OpGetModuleInfoList:              {nil, of[moduleInfoList]},
	OpGetClientInfo:                  {of[ByIndex], of[ClientInfo]},
	OpGetClientInfoList:              {nil, of[ClientInfoList]},
	OpGetSinkInputInfo:               {of[ByIndex], of[SinkInputInfo]},
	OpGetSinkInputInfoList:           {nil, of[SinkInputInfoList]},
	OpGetSourceOutputInfo:            {of[ByIndex], of[SourceOutputInfo]},
	OpGetSourceOutputInfoList:        {nil, of[SourceOutputInfoList]},
	OpGetSampleInfo:                  {of[ByIndexOrName], of[SampleInfo]},
	OpGetSampleInfoList:              {nil, of[SampleInfoList]},
	OpSubscribe:                      {of[Subscribe], nil},
	OpSetSinkVolume:                  {of[SetDeviceVolume], nil},
	OpSetSinkInputVolume:             {of[SetVolume], nil},
	OpSetSourceVolume:                {of[SetDeviceVolume], nil},
	OpSetSinkMute:                    {of[SetDeviceMute], nil},
	OpSetSourceMute:                  {of[SetDeviceMute], nil},
	OpCorkPlaybackStream:             {of[Cork], nil},
	OpFlushPlaybackStream:            {of[ByIndex], nil},
	OpTriggerPlaybackStream:          {of[ByIndex], nil},
	OpSetDefaultSink:                 {of[ByName], nil},
	OpSetDefaultSource:               {of[ByName], nil},
	OpSetPlaybackStreamName:          {of[SetStreamName], nil},
	OpSetRecordStreamName:            {of[SetStreamName], nil},
	OpKillClient:                     {of[ByIndex], nil},
	OpKillSinkInput:                  {of[ByIndex], nil},
	OpKillSourceOutput:               {of[ByIndex], nil},
	OpLoadModule:                     {of[loadModule], of[IndexReply]},
	OpUnloadModule:                   {of[ByIndex], nil},
	OpGetRecordLatency:               {of[GetLatency], of[RecordLatency]},
	OpCorkRecordStream:               {of[Cork], nil},
	OpFlushRecordStream:              {of[ByIndex], nil},
	OpPrebufPlaybackStream:           {of[ByIndex], nil},
	OpRequest:                        {of[Request], nil},
	OpOverflow:                       {of[StreamEvent], nil},
	OpUnderflow:                      {of[Underflow], nil},
	OpPlaybackStreamKilled:           {of[StreamEvent], nil},
	OpRecordStreamKilled:             {of[StreamEvent], nil},
	OpSubscribeEvent:                 {of[SubscribeEvent], nil},
	OpMoveSinkInput:                  {of[MoveStream], nil},
	OpMoveSourceOutput:               {of[MoveStream], nil},
	OpSetSinkInputMute:               {of[SetMute], nil},
	OpSuspendSink:                    {of[SuspendDevice], nil},
	OpSuspendSource:                  {of[SuspendDevice], nil},
	OpSetPlaybackStreamBufferAttr:    {of[SetPlaybackBufferAttr], of[PlaybackBufferAttrReply]},
	OpSetRecordStreamBufferAttr:      {of[SetRecordBufferAttr], of[RecordBufferAttrReply]},
	OpUpdatePlaybackStreamSampleRate: {of[UpdateRate], nil},
	OpUpdateRecordStreamSampleRate:   {of[UpdateRate], nil},
	OpPlaybackStreamSuspended:        {of[Suspended], nil},
	OpRecordStreamSuspended:          {of[Suspended], nil},
	OpPlaybackStreamMoved:            {of[PlaybackMoved], nil},
	OpRecordStreamMoved:              {of[RecordMoved], nil},
	OpUpdateRecordStreamProplist:     {of[UpdateStreamProps], nil},
	OpUpdatePlaybackStreamProplist:   {of[UpdateStreamProps], nil},
	OpUpdateClientProplist:           {of[UpdateClientProps], nil},
	OpRemoveRecordStreamProplist:     {of[RemoveStreamProps], nil},
	OpRemovePlaybackStreamProplist:   {of[RemoveStreamProps], nil},
	OpRemoveClientProplist:           {of[RemoveClientProps], nil},
	OpStarted:                        {of[StreamEvent], nil},
	OpExtension:                      {of[Extension], nil},
	OpGetCardInfo:                    {of[ByIndexOrName], of[CardInfo]},
	OpGetCardInfoList:                {nil, of[CardInfoList]},
	OpSetCardProfile:                 {of[SetPort], nil},
	OpClientEvent:                    {of[clientEvent], nil},
	OpPlaybackStreamEvent:            {of[namedEvent], nil},
	OpRecordStreamEvent:              {of[namedEvent], nil},
	OpPlaybackBufferAttrChanged:      {of[PlaybackBufferAttrChanged], nil},
	OpRecordBufferAttrChanged:        {of[RecordBufferAttrChanged], nil},
	OpSetSinkPort:                    {of[SetPort], nil},
	OpSetSourcePort:                  {of[SetPort], nil},
	OpSetSourceOutputVolume:          {of[SetVolume], nil},
	OpSetSourceOutputMute:            {of[SetMute], nil},
	OpSetPortLatencyOffset:           {of[SetPortLatencyOffset], nil},
	OpSendObjectMessage:              {of[SendObjectMessage], of[SendObjectMessageReply]},
}

func of[T any, P interface {
	*T
	Message
}]() Message {
	return P(new(T))
}

// message is a new one for what op sends, or nil; known is false for an operation without a layout.
func message(op Op, isReply bool) (m Message, known bool) {
	pair, known := messages[op]
	f := pair[0]
	if isReply {
		f = pair[1]
	}
	if f == nil {
		return nil, known
	}
	return f(), true
}

// Messages of servers with modules and with events by name, which ours does not have.

// loadModule asks for a module. The answer is an IndexReply.
type loadModule struct{ Name, Argument string }

func (m *loadModule) Fields(c *Coder) {
	c.NullString(&m.Name)
	c.NullString(&m.Argument)
}

// moduleInfo answers GET_MODULE_INFO.
type moduleInfo struct {
	Index          uint32
	Name, Argument string
	Used           uint32 // how often; Invalid: unknown
	Props          PropList
}

func (m *moduleInfo) Fields(c *Coder) {
	c.U32(&m.Index)
	c.String(&m.Name)
	c.NullString(&m.Argument)
	c.U32(&m.Used)
	if c.Version < 15 {
		var autoload bool // obsolete
		c.Bool(&autoload)
		return
	}
	c.Props(&m.Props)
}

type moduleInfoList = List[moduleInfo, *moduleInfo]

// namedEvent is PLAYBACK_STREAM_EVENT and RECORD_STREAM_EVENT, from version 15 on: "request-cork", "format-lost" and the like.
type namedEvent struct {
	Channel uint32
	Name    string
	Props   PropList
}

func (m *namedEvent) Fields(c *Coder) {
	c.U32(&m.Channel)
	c.String(&m.Name)
	c.Props(&m.Props)
}

// clientEvent is namedEvent for the client as a whole.
type clientEvent struct {
	Name  string
	Props PropList
}

func (m *clientEvent) Fields(c *Coder) {
	c.String(&m.Name)
	c.Props(&m.Props)
}
