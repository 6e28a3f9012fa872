package native

import "fmt"

// Op is what a control packet asks for or tells (native-common.h).
type Op uint32

const (
	OpError   Op = iota
	OpTimeout    // never on the wire
	OpReply
	OpCreatePlaybackStream
	OpDeletePlaybackStream
	OpCreateRecordStream
	OpDeleteRecordStream
	OpExit
	OpAuth
	OpSetClientName
	OpLookupSink
	OpLookupSource
	OpDrainPlaybackStream
	OpStat
	OpGetPlaybackLatency
	OpCreateUploadStream
	OpDeleteUploadStream
	OpFinishUploadStream
	OpPlaySample
	OpRemoveSample
	OpGetServerInfo
	OpGetSinkInfo
	OpGetSinkInfoList
	OpGetSourceInfo
	OpGetSourceInfoList
	OpGetModuleInfo
	OpGetModuleInfoList
	OpGetClientInfo
	OpGetClientInfoList
	OpGetSinkInputInfo
	OpGetSinkInputInfoList
	OpGetSourceOutputInfo
	OpGetSourceOutputInfoList
	OpGetSampleInfo
	OpGetSampleInfoList
	OpSubscribe
	OpSetSinkVolume
	OpSetSinkInputVolume
	OpSetSourceVolume
	OpSetSinkMute
	OpSetSourceMute
	OpCorkPlaybackStream
	OpFlushPlaybackStream
	OpTriggerPlaybackStream
	OpSetDefaultSink
	OpSetDefaultSource
	OpSetPlaybackStreamName
	OpSetRecordStreamName
	OpKillClient
	OpKillSinkInput
	OpKillSourceOutput
	OpLoadModule
	OpUnloadModule
	OpAddAutoload         // obsolete
	OpRemoveAutoload      // obsolete
	OpGetAutoloadInfo     // obsolete
	OpGetAutoloadInfoList // obsolete
	OpGetRecordLatency
	OpCorkRecordStream
	OpFlushRecordStream
	OpPrebufPlaybackStream
	OpRequest              // server to client
	OpOverflow             // server to client
	OpUnderflow            // server to client
	OpPlaybackStreamKilled // server to client
	OpRecordStreamKilled   // server to client
	OpSubscribeEvent       // server to client
	OpMoveSinkInput
	OpMoveSourceOutput
	OpSetSinkInputMute
	OpSuspendSink
	OpSuspendSource
	OpSetPlaybackStreamBufferAttr
	OpSetRecordStreamBufferAttr
	OpUpdatePlaybackStreamSampleRate
	OpUpdateRecordStreamSampleRate
	OpPlaybackStreamSuspended // server to client
	OpRecordStreamSuspended   // server to client
	OpPlaybackStreamMoved     // server to client
	OpRecordStreamMoved       // server to client
	OpUpdateRecordStreamProplist
	OpUpdatePlaybackStreamProplist
	OpUpdateClientProplist
	OpRemoveRecordStreamProplist
	OpRemovePlaybackStreamProplist
	OpRemoveClientProplist
	OpStarted // server to client
	OpExtension
	OpGetCardInfo
	OpGetCardInfoList
	OpSetCardProfile
	OpClientEvent               // server to client
	OpPlaybackStreamEvent       // server to client
	OpRecordStreamEvent         // server to client
	OpPlaybackBufferAttrChanged // server to client
	OpRecordBufferAttrChanged   // server to client
	OpSetSinkPort
	OpSetSourcePort
	OpSetSourceOutputVolume
	OpSetSourceOutputMute
	OpSetPortLatencyOffset
	OpEnableSRBChannel   // shared memory: never agreed to
	OpDisableSRBChannel  // shared memory: never agreed to
	OpRegisterMemfdShmID // shared memory: never agreed to
	OpSendObjectMessage
	NumOps // the number of operations, none itself
)

var opNames = [NumOps]string{"ERROR", "TIMEOUT", "REPLY", "CREATE_PLAYBACK_STREAM", "DELETE_PLAYBACK_STREAM", "CREATE_RECORD_STREAM",
	"DELETE_RECORD_STREAM", "EXIT", "AUTH", "SET_CLIENT_NAME", "LOOKUP_SINK", "LOOKUP_SOURCE", "DRAIN_PLAYBACK_STREAM", "STAT",
	"GET_PLAYBACK_LATENCY", "CREATE_UPLOAD_STREAM", "DELETE_UPLOAD_STREAM", "FINISH_UPLOAD_STREAM", "PLAY_SAMPLE", "REMOVE_SAMPLE",
	"GET_SERVER_INFO", "GET_SINK_INFO", "GET_SINK_INFO_LIST", "GET_SOURCE_INFO", "GET_SOURCE_INFO_LIST", "GET_MODULE_INFO",
	"GET_MODULE_INFO_LIST", "GET_CLIENT_INFO", "GET_CLIENT_INFO_LIST", "GET_SINK_INPUT_INFO", "GET_SINK_INPUT_INFO_LIST",
	"GET_SOURCE_OUTPUT_INFO", "GET_SOURCE_OUTPUT_INFO_LIST", "GET_SAMPLE_INFO", "GET_SAMPLE_INFO_LIST", "SUBSCRIBE", "SET_SINK_VOLUME",
	"SET_SINK_INPUT_VOLUME", "SET_SOURCE_VOLUME", "SET_SINK_MUTE", "SET_SOURCE_MUTE", "CORK_PLAYBACK_STREAM", "FLUSH_PLAYBACK_STREAM",
	"TRIGGER_PLAYBACK_STREAM", "SET_DEFAULT_SINK", "SET_DEFAULT_SOURCE", "SET_PLAYBACK_STREAM_NAME", "SET_RECORD_STREAM_NAME",
	"KILL_CLIENT", "KILL_SINK_INPUT", "KILL_SOURCE_OUTPUT", "LOAD_MODULE", "UNLOAD_MODULE", "ADD_AUTOLOAD", "REMOVE_AUTOLOAD",
	"GET_AUTOLOAD_INFO", "GET_AUTOLOAD_INFO_LIST", "GET_RECORD_LATENCY", "CORK_RECORD_STREAM", "FLUSH_RECORD_STREAM",
	"PREBUF_PLAYBACK_STREAM", "REQUEST", "OVERFLOW", "UNDERFLOW", "PLAYBACK_STREAM_KILLED", "RECORD_STREAM_KILLED", "SUBSCRIBE_EVENT",
	"MOVE_SINK_INPUT", "MOVE_SOURCE_OUTPUT", "SET_SINK_INPUT_MUTE", "SUSPEND_SINK", "SUSPEND_SOURCE", "SET_PLAYBACK_STREAM_BUFFER_ATTR",
	"SET_RECORD_STREAM_BUFFER_ATTR", "UPDATE_PLAYBACK_STREAM_SAMPLE_RATE", "UPDATE_RECORD_STREAM_SAMPLE_RATE",
	"PLAYBACK_STREAM_SUSPENDED", "RECORD_STREAM_SUSPENDED", "PLAYBACK_STREAM_MOVED", "RECORD_STREAM_MOVED",
	"UPDATE_RECORD_STREAM_PROPLIST", "UPDATE_PLAYBACK_STREAM_PROPLIST", "UPDATE_CLIENT_PROPLIST", "REMOVE_RECORD_STREAM_PROPLIST",
	"REMOVE_PLAYBACK_STREAM_PROPLIST", "REMOVE_CLIENT_PROPLIST", "STARTED", "EXTENSION", "GET_CARD_INFO", "GET_CARD_INFO_LIST",
	"SET_CARD_PROFILE", "CLIENT_EVENT", "PLAYBACK_STREAM_EVENT", "RECORD_STREAM_EVENT", "PLAYBACK_BUFFER_ATTR_CHANGED",
	"RECORD_BUFFER_ATTR_CHANGED", "SET_SINK_PORT", "SET_SOURCE_PORT", "SET_SOURCE_OUTPUT_VOLUME", "SET_SOURCE_OUTPUT_MUTE",
	"SET_PORT_LATENCY_OFFSET", "ENABLE_SRBCHANNEL", "DISABLE_SRBCHANNEL", "REGISTER_MEMFD_SHMID", "SEND_OBJECT_MESSAGE"}

// String is the command's name in PulseAudio's source and debug output, without its prefix.
func (op Op) String() string {
	if op < NumOps {
		return opNames[op]
	}
	return fmt.Sprintf("command %d", uint32(op))
}
