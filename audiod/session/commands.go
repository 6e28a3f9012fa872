package session

import (
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// command says how a request is answered.
type command struct {
	do     func(*Session, *request) error // nil: it is not
	grant  policy.Grant                   // the least grant it takes
	answer native.Code                    // where do is nil
	cost   int                            // requests it counts as in the user's budget, beside itself
}

// heavy is the cost of what may have a resampler's filter worked out, a millisecond or two in which nobody else is served: a new stream, of a
// sample too, and a stream's new rate.
const heavy = 20

// commands is every request that has an answer of its own; the rest get ErrNotImplemented. One file a family has the functions.
var commands = [native.NumOps]command{
	native.OpAuth:                 {do: (*Session).auth},
	native.OpSetClientName:        {do: on((*Session).setClientName)},
	native.OpUpdateClientProplist: {do: on((*Session).updateClientProps)},
	native.OpRemoveClientProplist: {do: on((*Session).removeClientProps)},

	native.OpGetServerInfo:           {do: bare((*Session).serverInfo)},
	native.OpStat:                    {do: bare((*Session).stat)},
	native.OpLookupSink:              {do: on((*Session).lookupSink)},
	native.OpLookupSource:            {do: on((*Session).lookupSource)},
	native.OpGetSinkInfo:             {do: on((*Session).sinkInfo)},
	native.OpGetSinkInfoList:         {do: bare((*Session).sinkInfoList)},
	native.OpGetClientInfo:           {do: on((*Session).clientInfo)},
	native.OpGetClientInfoList:       {do: bare((*Session).clientInfoList)},
	native.OpGetSinkInputInfo:        {do: on((*Session).sinkInputInfo)},
	native.OpGetSinkInputInfoList:    {do: bare((*Session).sinkInputInfoList)},
	native.OpGetSourceInfo:           {do: on((*Session).sourceInfo)},
	native.OpGetSourceInfoList:       {do: bare((*Session).sourceInfoList)},
	native.OpGetSourceOutputInfo:     {do: on((*Session).sourceOutputInfo)},
	native.OpGetSourceOutputInfoList: {do: bare((*Session).sourceOutputInfoList)},
	native.OpGetModuleInfo:           {answer: native.ErrNoEntity},
	native.OpGetModuleInfoList:       {do: bare((*Session).emptyList)},
	native.OpGetCardInfo:             {do: on((*Session).cardInfo)},
	native.OpGetCardInfoList:         {do: bare((*Session).cardInfoList)},
	native.OpGetSampleInfo:           {do: on((*Session).sampleInfo)},
	native.OpGetSampleInfoList:       {do: bare((*Session).sampleInfoList)},
	native.OpSubscribe:               {do: on((*Session).subscribe)},
	native.OpSendObjectMessage:       {do: on((*Session).objectMessage)},
	native.OpExtension:               {do: on((*Session).extension)},

	native.OpCreateUploadStream: {do: on((*Session).createUpload)},
	native.OpFinishUploadStream: {do: on((*Session).finishUpload)},
	native.OpDeleteUploadStream: {do: on((*Session).deleteUpload)},
	native.OpPlaySample:         {do: on((*Session).playSample), cost: heavy},
	native.OpRemoveSample:       {do: on((*Session).removeSample)},

	native.OpCreatePlaybackStream:           {do: on((*Session).createPlayback), cost: heavy},
	native.OpDeletePlaybackStream:           {do: on((*Session).deletePlayback)},
	native.OpDrainPlaybackStream:            {do: on((*Session).drain)},
	native.OpCorkPlaybackStream:             {do: on((*Session).cork)},
	native.OpFlushPlaybackStream:            {do: on(toStream((*mixer.Input).Flush))},
	native.OpTriggerPlaybackStream:          {do: on(toStream((*mixer.Input).Trigger))},
	native.OpPrebufPlaybackStream:           {do: on(toStream((*mixer.Input).Prebuf))},
	native.OpGetPlaybackLatency:             {do: (*Session).latency},
	native.OpSetPlaybackStreamBufferAttr:    {do: on((*Session).setBufferAttr)},
	native.OpUpdatePlaybackStreamSampleRate: {do: on((*Session).setRate), cost: heavy},
	native.OpSetPlaybackStreamName:          {do: on((*Session).setStreamName)},
	native.OpUpdatePlaybackStreamProplist:   {do: on((*Session).updateStreamProps)},
	native.OpRemovePlaybackStreamProplist:   {do: on((*Session).removeStreamProps)},
	native.OpSetSinkInputVolume:             {do: on((*Session).setInputVolume)},
	native.OpSetSinkInputMute:               {do: on((*Session).setInputMute)},

	// What a server for people who do not trust each other does for nobody.
	native.OpExit:         {answer: native.ErrAccess},
	native.OpLoadModule:   {answer: native.ErrAccess},
	native.OpUnloadModule: {answer: native.ErrAccess},

	native.OpSetSinkVolume:        {do: on((*Session).setSinkVolume)},
	native.OpSetSinkMute:          {do: on((*Session).setSinkMute)},
	native.OpSetDefaultSink:       {do: on((*Session).setDefaultSink), grant: policy.Owner},
	native.OpSetCardProfile:       {do: on((*Session).setCardProfile), grant: policy.Owner},
	native.OpSetSinkPort:          {do: on((*Session).setSinkPort), grant: policy.Owner},
	native.OpSetSourcePort:        {do: on((*Session).setSourcePort), grant: policy.Owner},
	native.OpSetPortLatencyOffset: {do: on((*Session).setPortLatencyOffset), grant: policy.Owner},
	native.OpSuspendSink:          {do: on((*Session).suspendSink), grant: policy.Owner},
	native.OpMoveSinkInput:        {do: on((*Session).moveSinkInput), grant: policy.Owner},
	native.OpKillSinkInput:        {do: on((*Session).killSinkInput), grant: policy.Owner},
	native.OpKillClient:           {do: on((*Session).killClient), grant: policy.Owner},

	native.OpCreateRecordStream:           {do: on((*Session).createRecord), cost: heavy},
	native.OpDeleteRecordStream:           {do: on((*Session).deleteRecord)},
	native.OpCorkRecordStream:             {do: on((*Session).corkRecord)},
	native.OpFlushRecordStream:            {do: on((*Session).flushRecord)},
	native.OpGetRecordLatency:             {do: on((*Session).recordLatency)},
	native.OpSetRecordStreamBufferAttr:    {do: on((*Session).setRecordAttr)},
	native.OpUpdateRecordStreamSampleRate: {do: on((*Session).setRecordRate), cost: heavy},
	native.OpSetRecordStreamName:          {do: on((*Session).setRecordName)},
	native.OpUpdateRecordStreamProplist:   {do: on((*Session).updateRecordProps)},
	native.OpRemoveRecordStreamProplist:   {do: on((*Session).removeRecordProps)},
	native.OpSetSourceOutputVolume:        {do: on((*Session).setOutputVolume)},
	native.OpSetSourceOutputMute:          {do: on((*Session).setOutputMute)},
	native.OpMoveSourceOutput:             {do: on((*Session).moveSourceOutput), grant: policy.Owner},
	native.OpKillSourceOutput:             {do: on((*Session).killSourceOutput), grant: policy.Owner},

	native.OpSetSourceVolume:  {do: on((*Session).setSourceVolume)},
	native.OpSetSourceMute:    {do: on((*Session).setSourceMute)},
	native.OpSetDefaultSource: {do: on((*Session).setDefaultSource), grant: policy.Owner},
	native.OpSuspendSource:    {do: on((*Session).suspendSource), grant: policy.Owner},
}

// on has a request's fields decoded for do.
func on[M any, P interface {
	*M
	native.Message
}](do func(*Session, *request, P) error) func(*Session, *request) error {
	return func(c *Session, r *request) error {
		m := P(new(M))
		if err := native.Decode(r.fields, c.version, m); err != nil {
			return err
		}
		return do(c, r, m)
	}
}

// bare is do for a request without fields.
func bare(do func(*Session, *request) error) func(*Session, *request) error {
	return func(c *Session, r *request) error {
		if err := native.Decode(r.fields, c.version, nil); err != nil {
			return err
		}
		return do(c, r)
	}
}

func lookup(op native.Op) command {
	if op < native.NumOps {
		return commands[op]
	}
	return command{}
}

// without is the error for a command that nobody carries out.
func (h command) without(grant policy.Grant) error {
	switch {
	case h.grant > grant:
		return native.ErrAccess
	case h.answer != native.OK:
		return h.answer
	}
	return native.ErrNotImplemented
}
