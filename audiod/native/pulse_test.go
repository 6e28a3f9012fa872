package native

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/audiod/pcm"
)

// pulseaudio starts a server without hardware and returns its address.
func pulseaudio(t *testing.T) string {
	program, err := exec.LookPath("pulseaudio")
	if err != nil {
		t.Skip("needs the pulseaudio program: ", err)
	}
	dir := t.TempDir()
	socket := filepath.Join(dir, "native")
	cmd := exec.Command(program, "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", "--log-target=file:"+dir+"/log",
		"-L", "module-null-sink sink_name=out", "-L", "module-null-sink sink_name=other", "-L", "module-stream-restore",
		"-L", "module-native-protocol-unix auth-anonymous=1 socket="+socket)
	cmd.Env = []string{"HOME=" + dir, "XDG_RUNTIME_DIR=" + dir, "PATH=" + os.Getenv("PATH")}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if c, err := Dial(t.Context(), "unix:"+socket, "test"); err == nil {
			c.Close()
			return "unix:" + socket
		} else if time.Now().After(deadline) {
			log, _ := os.ReadFile(dir + "/log")
			t.Fatalf("pulseaudio does not come up: %v\n%s", err, log)
		}
	}
}

// PulseAudio reads every byte of our requests, or ends the connection, and we every byte of its answers: in all versions.
func TestPulseAudioUnderstandsEveryRequest(t *testing.T) {
	address := pulseaudio(t)
	for v := uint32(MinVersion); v <= Version; v++ {
		t.Run(fmt.Sprintf("version %d", v), func(t *testing.T) {
			c, err := dial(t.Context(), address, "test", v)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			understood(t, c)
			if err := c.Err(); err != nil {
				t.Fatal("the connection ended: ", err)
			}
		})
	}
}

func understood(t *testing.T, c *Client) {
	call := func(op Op, request, reply Message, want error) {
		t.Helper()
		if err := c.Call(op, request, reply); !errors.Is(err, want) {
			t.Errorf("%v: %v, want %v", op, err, want)
		}
	}
	spec, both := pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 44100}, pcm.StereoMap
	attr := BufferAttr{Invalid, 17640, Invalid, Invalid}
	props := Text("media.name", "a stream", "media.role", "test")
	var index IndexReply
	var play CreatePlaybackStreamReply
	call(OpCreatePlaybackStream, &CreatePlaybackStream{Spec: spec, Map: both, SinkIndex: Invalid, SinkName: "out", Attr: attr, Corked: true,
		Volume: NormVolume(2), VolumeSet: true, AdjustLatency: true, Props: props}, &play, nil)
	if play.Spec != spec || play.SinkName != "out" || play.Missing == 0 || play.Attr.MaxLength == 0 {
		t.Errorf("playback stream: %+v", play)
	}
	if c.version >= 21 {
		own := pcm.Spec{Format: pcm.Float32LE, Channels: 1, Rate: 8000}
		if got, m, err := play.Format.Resolve(own, pcm.MonoMap); got != spec || m.String() != both.String() || err != nil {
			t.Errorf("its format: %v %v, %v", got, m, err)
		}
		dummy := pcm.Spec{Format: pcm.FormatInvalid}
		var other CreatePlaybackStreamReply
		call(OpCreatePlaybackStream, &CreatePlaybackStream{Spec: dummy, SinkIndex: play.SinkIndex, Attr: attr, Volume: NormVolume(MaxChannels),
			Props: props, Formats: []FormatInfo{PCM(spec, both)}}, &other, nil)
		if other.Spec != spec {
			t.Errorf("a stream by format info: %+v", other)
		}
		call(OpDeletePlaybackStream, &ByIndex{other.Channel}, nil, nil)
	}
	var record CreateRecordStreamReply
	call(OpCreateRecordStream, &CreateRecordStream{Spec: spec, Map: both, SourceIndex: Invalid, SourceName: "out.monitor",
		Attr: RecordAttr{Invalid, 8820}, Props: props, DirectOnInput: Invalid, Volume: NormVolume(2)}, &record, nil)
	if record.Spec != spec || record.SourceName != "out.monitor" {
		t.Errorf("record stream: %+v", record)
	}

	now := Timeval{12345, 678}
	var latency PlaybackLatency
	call(OpGetPlaybackLatency, &GetLatency{play.Channel, now}, &latency, nil)
	if latency.ClientTime != now || latency.ServerTime.Sec < 1e9 || latency.Playing {
		t.Errorf("playback latency: %+v", latency)
	}
	var heard RecordLatency
	call(OpGetRecordLatency, &GetLatency{record.Channel, now}, &heard, nil)
	if heard.ClientTime != now {
		t.Errorf("record latency: %+v", heard)
	}
	var set PlaybackBufferAttrReply
	call(OpSetPlaybackStreamBufferAttr, &SetPlaybackBufferAttr{Channel: play.Channel, Attr: BufferAttr{88200, 44100, 0, 4408}}, &set, nil)
	if set.Attr.TLength != 44100 || set.Attr.MinReq != 4408 {
		t.Errorf("buffer attributes: %+v", set)
	}
	call(OpSetRecordStreamBufferAttr, &SetRecordBufferAttr{Channel: record.Channel, Attr: RecordAttr{88200, 4410}}, new(RecordBufferAttrReply), nil)
	call(OpCorkRecordStream, &Cork{record.Channel, true}, nil, nil)
	call(OpFlushRecordStream, &ByIndex{record.Channel}, nil, nil)
	for _, op := range []Op{OpPrebufPlaybackStream, OpTriggerPlaybackStream, OpFlushPlaybackStream} {
		call(op, &ByIndex{play.Channel}, nil, nil)
	}
	call(OpCorkPlaybackStream, &Cork{play.Channel, false}, nil, nil)
	call(OpDrainPlaybackStream, &ByIndex{play.Channel}, nil, nil)
	call(OpUpdatePlaybackStreamSampleRate, &UpdateRate{play.Channel, 48000}, nil, nil)
	call(OpUpdateRecordStreamSampleRate, &UpdateRate{record.Channel, 48000}, nil, nil)
	call(OpSetPlaybackStreamName, &SetStreamName{play.Channel, "renamed"}, nil, nil)
	call(OpSetRecordStreamName, &SetStreamName{record.Channel, "renamed"}, nil, nil)

	call(OpUpdatePlaybackStreamProplist, &UpdateStreamProps{play.Channel, UpdateReplace, Text("media.title", "a", "media.artist", "b")}, nil, nil)
	call(OpUpdateRecordStreamProplist, &UpdateStreamProps{record.Channel, UpdateMerge, Text("media.title", "a")}, nil, nil)
	call(OpUpdateClientProplist, &UpdateClientProps{UpdateReplace, Text("application.id", "a.b")}, nil, nil)
	call(OpRemovePlaybackStreamProplist, &RemoveStreamProps{play.Channel, []string{"media.artist"}}, nil, nil)
	call(OpRemoveRecordStreamProplist, &RemoveStreamProps{record.Channel, []string{"media.title"}}, nil, nil)
	call(OpRemoveClientProplist, &RemoveClientProps{[]string{"application.id"}}, nil, nil)
	var input SinkInputInfo
	call(OpGetSinkInputInfo, &ByIndex{play.Index}, &input, nil)
	title, _ := input.Props.Get("media.title")
	if _, artist := input.Props.Get("media.artist"); input.Name != "renamed" || title != "a" || artist {
		t.Errorf("sink input: %+v", input)
	}
	var output SourceOutputInfo
	call(OpGetSourceOutputInfo, &ByIndex{record.Index}, &output, nil)
	if output.Name != "renamed" || output.Client != input.Client || c.version >= 19 && !output.Corked {
		t.Errorf("source output: %+v", output)
	}
	var client ClientInfo
	call(OpGetClientInfo, &ByIndex{input.Client}, &client, nil)
	if client.Name != "test" {
		t.Errorf("client: %+v", client)
	}
	var sink SinkInfo
	call(OpGetSinkInfo, &ByIndexOrName{Invalid, "out"}, &sink, nil)
	var source SourceInfo
	call(OpGetSourceInfo, &ByIndexOrName{Index: sink.Monitor}, &source, nil)
	if source.Monitor != sink.Index || source.Name != sink.MonitorName {
		t.Errorf("sink %+v\nand its monitor %+v", sink, source)
	}
	var module moduleInfo
	call(OpGetModuleInfo, &ByIndex{sink.Module}, &module, nil)
	if module.Name != "module-null-sink" {
		t.Errorf("module: %+v", module)
	}
	call(OpLookupSink, &ByName{"other"}, &index, nil)
	call(OpLookupSource, &ByName{"other.monitor"}, &index, nil)
	call(OpLookupSource, &ByName{"none"}, nil, ErrNoEntity)
	call(OpMoveSinkInput, &MoveStream{play.Index, Invalid, "other"}, nil, nil)
	call(OpMoveSourceOutput, &MoveStream{record.Index, index.Index, ""}, nil, nil)
	call(OpSetSinkInputVolume, &SetVolume{play.Index, CVolume{pcm.VolumeNorm / 2}}, nil, nil)
	call(OpSetSinkInputMute, &SetMute{play.Index, true}, nil, nil)
	call(OpSetSinkVolume, &SetDeviceVolume{sink.Index, "", CVolume{pcm.VolumeNorm}}, nil, nil)
	call(OpSetSourceVolume, &SetDeviceVolume{Invalid, "out.monitor", NormVolume(2)}, nil, nil)
	call(OpSetSinkMute, &SetDeviceMute{Invalid, "out", false}, nil, nil)
	call(OpSetSourceMute, &SetDeviceMute{source.Index, "", false}, nil, nil)
	call(OpSuspendSink, &SuspendDevice{Invalid, "", true}, nil, nil)
	call(OpSuspendSink, &SuspendDevice{Invalid, "", false}, nil, nil)
	call(OpSuspendSource, &SuspendDevice{Invalid, "none", false}, nil, ErrNoEntity)
	call(OpSetDefaultSink, &ByName{"out"}, nil, nil)
	call(OpSetDefaultSource, &ByName{"out.monitor"}, nil, nil)
	call(OpSubscribe, &Subscribe{MaskAll}, nil, nil)
	call(OpSubscribe, &Subscribe{0x100}, nil, ErrInvalid)

	var upload CreateUploadStreamReply
	sample := &CreateUploadStream{"beep", spec, both, 4, Text("media.name", "beep")}
	call(OpCreateUploadStream, sample, &upload, nil)
	call(OpDeleteUploadStream, &ByIndex{upload.Channel}, nil, nil)
	call(OpCreateUploadStream, sample, &upload, nil)
	sound := append(AppendHeader(nil, Header{Length: 4, Channel: upload.Channel}), 1, 2, 3, 4)
	if _, err := c.conn.Write(sound); err != nil {
		t.Fatal(err)
	}
	call(OpFinishUploadStream, &ByIndex{upload.Channel}, nil, nil)
	var info SampleInfo
	call(OpGetSampleInfo, &ByIndexOrName{Invalid, "beep"}, &info, nil)
	if info.Length != 4 || info.Spec != spec {
		t.Errorf("sample: %+v", info)
	}
	call(OpPlaySample, &PlaySample{Invalid, "out", pcm.VolumeNorm, "beep", props}, &index, nil)
	call(OpRemoveSample, &ByName{"beep"}, nil, nil)

	var server ServerInfo
	call(OpGetServerInfo, nil, &server, nil)
	var stat StatReply
	call(OpStat, nil, &stat, nil)
	if server.DefaultSink != "out" || server.Name != "pulseaudio" || stat.Blocks == 0 {
		t.Errorf("server: %+v %+v", server, stat)
	}
	for _, op := range []Op{OpGetSinkInfoList, OpGetSourceInfoList, OpGetModuleInfoList, OpGetClientInfoList, OpGetSinkInputInfoList,
		OpGetSourceOutputInfoList, OpGetSampleInfoList} {
		list, _ := message(op, true)
		call(op, nil, list, nil)
	}
	call(OpLoadModule, &loadModule{"module-null-sink", "sink_name=third"}, &index, nil)
	call(OpUnloadModule, &ByIndex{index.Index}, nil, nil)
	call(OpKillClient, &ByIndex{9999}, nil, ErrNoEntity)
	call(OpKillSourceOutput, &ByIndex{record.Index}, nil, nil)
	call(OpKillSinkInput, &ByIndex{play.Index}, nil, nil)
	call(OpDeletePlaybackStream, &ByIndex{play.Channel}, nil, ErrNoEntity)
	call(OpDeleteRecordStream, &ByIndex{record.Channel}, nil, ErrNoEntity)
	if c.version >= 14 {
		restore := func(m *StreamRestore) *Extension {
			w := NewWriter(nil, c.version)
			m.Fields(w)
			return &Extension{Invalid, StreamRestoreModule, w.Bytes()}
		}
		call(OpExtension, restore(&StreamRestore{Command: RestoreTest}), &index, nil)
		entries := RestoreEntries{{"sink-input-by-media-role:event", pcm.StereoMap, CVolume{1, 2}, "out", true}, {Key: "sink-input-by-media-name:x", Muted: true}}
		call(OpExtension, restore(&StreamRestore{Command: RestoreSubscribe, Enable: true}), nil, nil)
		call(OpExtension, restore(&StreamRestore{Command: RestoreWrite, Mode: UpdateSet, Apply: true, Entries: entries}), nil, nil)
		var got RestoreEntries
		call(OpExtension, restore(&StreamRestore{Command: RestoreRead}), &got, nil)
		slices.SortFunc(got, func(a, b RestoreEntry) int { return strings.Compare(b.Key, a.Key) })
		for i, want := range entries {
			if len(got) != 2 || fmt.Sprint(got[i]) != fmt.Sprint(want) {
				t.Errorf("remembered: %+v", got)
			}
		}
		call(OpExtension, restore(&StreamRestore{Command: RestoreDelete, Keys: []string{entries[0].Key, entries[1].Key}}), nil, nil)
		call(OpExtension, restore(&StreamRestore{Command: RestoreRead}), &got, nil)
		if len(got) != 0 {
			t.Errorf("remembered after it was deleted: %+v", got)
		}
		call(OpExtension, &Extension{Module: Invalid, Name: "none"}, nil, ErrNoExtension)
	}
	if c.version >= 15 {
		call(OpGetCardInfo, &ByIndexOrName{Invalid, "none"}, nil, ErrNoEntity)
		call(OpGetCardInfoList, nil, new(CardInfoList), nil)
		call(OpSetCardProfile, &SetPort{Invalid, "none", "off"}, nil, ErrNoEntity)
	}
	if c.version >= 16 {
		call(OpSetSinkPort, &SetPort{Invalid, "out", "none"}, nil, ErrNotImplemented)
		call(OpSetSourcePort, &SetPort{Invalid, "out.monitor", "none"}, nil, ErrNotImplemented)
	}
	if c.version >= 22 {
		call(OpSetSourceOutputVolume, &SetVolume{record.Index, CVolume{pcm.VolumeNorm}}, nil, ErrNoEntity)
		call(OpSetSourceOutputMute, &SetMute{record.Index, true}, nil, ErrNoEntity)
	}
	if c.version >= 27 {
		call(OpSetPortLatencyOffset, &SetPortLatencyOffset{Invalid, "none", "none", 1}, nil, ErrNoEntity)
	}
	if c.version >= 35 {
		answer, err := c.SendMessage("/core", "list-handlers", "")
		if err != nil || len(answer) < 10 {
			t.Errorf("object message: %q, %v", answer, err)
		}
	}
}

func TestClientSeesTheServerGo(t *testing.T) {
	address := pulseaudio(t)
	c, err := Dial(context.Background(), address, "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Call(OpExit, nil, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case <-c.Done():
	case <-time.After(time.Minute):
		t.Fatal("the server left, the client did not notice")
	}
	if c.Err() == nil || c.Call(OpStat, nil, new(StatReply)) == nil {
		t.Error("a call on a connection that ended succeeded")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
