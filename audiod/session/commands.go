package session

import (
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

// heavy is the cost of what may have a resampler's filter worked out while the stream plays, a millisecond or two.
const heavy = 20

// commands is every request that has an answer of its own; the rest get ErrNotImplemented. One file a family has the functions.
var commands = [native.NumOps]command{
	native.OpAuth:                 {do: (*Session).auth},
	native.OpSetClientName:        {do: (*Session).setClientName},
	native.OpUpdateClientProplist: {do: (*Session).updateClientProps},
	native.OpRemoveClientProplist: {do: (*Session).removeClientProps},

	native.OpGetServerInfo:           {do: (*Session).serverInfo},
	native.OpStat:                    {do: (*Session).stat},
	native.OpLookupSink:              {do: (*Session).lookupSink},
	native.OpLookupSource:            {do: (*Session).lookupSource},
	native.OpGetSinkInfo:             {do: (*Session).sinkInfo},
	native.OpGetSinkInfoList:         {do: (*Session).sinkInfoList},
	native.OpGetClientInfo:           {do: (*Session).clientInfo},
	native.OpGetClientInfoList:       {do: (*Session).clientInfoList},
	native.OpGetSinkInputInfo:        {do: (*Session).sinkInputInfo},
	native.OpGetSinkInputInfoList:    {do: (*Session).sinkInputInfoList},
	native.OpGetSourceInfo:           {do: (*Session).sourceInfo},
	native.OpGetSourceInfoList:       {do: (*Session).sourceInfoList},
	native.OpGetSourceOutputInfo:     {do: (*Session).sourceOutputInfo},
	native.OpGetSourceOutputInfoList: {do: (*Session).sourceOutputInfoList},
	native.OpGetModuleInfo:           {answer: native.ErrNoEntity},
	native.OpGetModuleInfoList:       {do: (*Session).emptyList},
	native.OpGetCardInfo:             {do: (*Session).cardInfo},
	native.OpGetCardInfoList:         {do: (*Session).cardInfoList},
	native.OpGetSampleInfo:           {do: (*Session).sampleInfo},
	native.OpGetSampleInfoList:       {do: (*Session).sampleInfoList},
	native.OpSubscribe:               {do: (*Session).subscribe},
	native.OpSendObjectMessage:       {do: (*Session).objectMessage},
	native.OpExtension:               {do: (*Session).extension},

	native.OpCreateUploadStream: {do: (*Session).createUpload},
	native.OpFinishUploadStream: {do: (*Session).finishUpload},
	native.OpDeleteUploadStream: {do: (*Session).deleteUpload},
	native.OpPlaySample:         {do: (*Session).playSample},
	native.OpRemoveSample:       {do: (*Session).removeSample},

	native.OpCreatePlaybackStream:           {do: (*Session).createPlayback},
	native.OpDeletePlaybackStream:           {do: (*Session).deletePlayback},
	native.OpDrainPlaybackStream:            {do: (*Session).drain},
	native.OpCorkPlaybackStream:             {do: (*Session).cork},
	native.OpFlushPlaybackStream:            {do: (*Session).flush},
	native.OpTriggerPlaybackStream:          {do: (*Session).trigger},
	native.OpPrebufPlaybackStream:           {do: (*Session).prebuf},
	native.OpGetPlaybackLatency:             {do: (*Session).latency},
	native.OpSetPlaybackStreamBufferAttr:    {do: (*Session).setBufferAttr},
	native.OpUpdatePlaybackStreamSampleRate: {do: (*Session).setRate, cost: heavy},
	native.OpSetPlaybackStreamName:          {do: (*Session).setStreamName},
	native.OpUpdatePlaybackStreamProplist:   {do: (*Session).updateStreamProps},
	native.OpRemovePlaybackStreamProplist:   {do: (*Session).removeStreamProps},
	native.OpSetSinkInputVolume:             {do: (*Session).setInputVolume},
	native.OpSetSinkInputMute:               {do: (*Session).setInputMute},

	// What a server for people who do not trust each other does for nobody.
	native.OpExit:         {answer: native.ErrAccess},
	native.OpLoadModule:   {answer: native.ErrAccess},
	native.OpUnloadModule: {answer: native.ErrAccess},

	native.OpSetSinkVolume:        {do: (*Session).setSinkVolume},
	native.OpSetSinkMute:          {do: (*Session).setSinkMute},
	native.OpSetDefaultSink:       {do: (*Session).setDefaultSink, grant: policy.Owner},
	native.OpSetCardProfile:       {do: (*Session).setCardProfile, grant: policy.Owner},
	native.OpSetSinkPort:          {do: (*Session).setSinkPort, grant: policy.Owner},
	native.OpSetSourcePort:        {do: (*Session).setSourcePort, grant: policy.Owner},
	native.OpSetPortLatencyOffset: {do: (*Session).setPortLatencyOffset, grant: policy.Owner},
	native.OpSuspendSink:          {do: (*Session).suspendSink, grant: policy.Owner},
	native.OpMoveSinkInput:        {do: (*Session).moveSinkInput, grant: policy.Owner},
	native.OpKillSinkInput:        {do: (*Session).killSinkInput, grant: policy.Owner},
	native.OpKillClient:           {do: (*Session).killClient, grant: policy.Owner},

	native.OpCreateRecordStream:           {do: (*Session).createRecord},
	native.OpDeleteRecordStream:           {do: (*Session).deleteRecord},
	native.OpCorkRecordStream:             {do: (*Session).corkRecord},
	native.OpFlushRecordStream:            {do: (*Session).flushRecord},
	native.OpGetRecordLatency:             {do: (*Session).recordLatency},
	native.OpSetRecordStreamBufferAttr:    {do: (*Session).setRecordAttr},
	native.OpUpdateRecordStreamSampleRate: {do: (*Session).setRecordRate},
	native.OpSetRecordStreamName:          {do: (*Session).setRecordName},
	native.OpUpdateRecordStreamProplist:   {do: (*Session).updateRecordProps},
	native.OpRemoveRecordStreamProplist:   {do: (*Session).removeRecordProps},
	native.OpSetSourceOutputVolume:        {do: (*Session).setOutputVolume},
	native.OpSetSourceOutputMute:          {do: (*Session).setOutputMute},
	native.OpMoveSourceOutput:             {do: (*Session).moveSourceOutput, grant: policy.Owner},
	native.OpKillSourceOutput:             {do: (*Session).killSourceOutput, grant: policy.Owner},

	native.OpSetSourceVolume:  {do: (*Session).setSourceVolume},
	native.OpSetSourceMute:    {do: (*Session).setSourceMute},
	native.OpSetDefaultSource: {do: (*Session).setDefaultSource, grant: policy.Owner},
	native.OpSuspendSource:    {do: (*Session).suspendSource, grant: policy.Owner},
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
