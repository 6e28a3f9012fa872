package session

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/device"
	"sandbox-audio/audiod/device/devicetest"
	"sandbox-audio/audiod/memory"
	"sandbox-audio/audiod/mixer"
	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// What the owner sees of a helper at his own sound server is what plays, or what could, and whose it is; whatever that calls itself.
func TestTitles(t *testing.T) {
	r := newRig(t)
	var playing, recording Title
	changes := 0
	r.server.Personal(func(string) *Own {
		return &Own{Sink: mixer.NewSink(r.clock, devicetest.New(r.clock, device.Config{}), t.Logf), Playing: func(t Title) { playing = t; changes++ }, Recording: func(t Title) { recording = t }}
	})
	c := r.connect(helperUID, policy.Playback, 35)
	whose := userName(helperUID)
	want := func(what string, got, want Title) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	want("nothing", playing, Title{Name: whose, What: whose})
	streams := uint32(0)
	program := func(name, media, icon string) native.CreatePlaybackStreamReply {
		m := creation()
		streams++
		m.SyncID = streams // each plays by itself
		m.Props = native.Text("application.name", name, "media.name", media, "application.icon_name", icon)
		return c.create(m)
	}
	film := program("Firefox", "A film", "firefox")
	want("one program", playing, Title{"Firefox (" + whose + ")", "A film", "firefox"})
	advert := program("Firefox", "An advert", "firefox")
	want("twice", playing, Title{"Firefox (" + whose + ")", "A film, An advert", "firefox"})
	tune := program("\x1b[2Jmpv", "A\ntune", "/home/me/.ssh/id")
	want("two programs", playing, Title{"2 programs (" + whose + ")", "A film, An advert, A tune", ""})
	c.must(native.OpCorkPlaybackStream, &native.Cork{Channel: film.Channel, Corked: true}, nil)
	c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: advert.Channel}, nil)
	want("one of them corked", playing, Title{"[2Jmpv (" + whose + ")", "A tune", ""})
	c.must(native.OpSetPlaybackStreamName, &native.SetStreamName{Channel: tune.Channel, Name: "Another"}, nil)
	want("renamed", playing, Title{"[2Jmpv (" + whose + ")", "Another", ""})
	before := changes
	c.must(native.OpSetSinkInputVolume, &native.SetVolume{Index: tune.Index, Volume: native.NormVolume(2)}, nil)
	if changes != before {
		t.Error("told of another title, though that is the same")
	}
	c.must(native.OpDeletePlaybackStream, &native.ByIndex{Index: tune.Channel}, nil)
	want("only what is corked", playing, Title{"Firefox (" + whose + ")", "A film", "firefox"})
	c.record(recordingRequest())
	want("a recording", recording, Title{"test of 1001 (" + whose + ")", "voice", ""})
	c.s.Close()
	want("gone", playing, Title{Name: whose, What: whose})
	want("gone", recording, Title{Name: whose, What: whose})
}

// A helper's name without his owner's is that of his profile.
func TestTitleOfProfile(t *testing.T) {
	r := newRig(t)
	r.server.runs = "me"
	var got Title
	u := &user{name: "me-bank", own: &Own{Playing: func(t Title) { got = t }, Recording: func(Title) {}}}
	if r.server.entitle(u); got.Name != "bank" {
		t.Errorf("%+v", got)
	}
}

// Where each helper has a microphone of his own that is what he hears, when he may, and nobody else does.
func TestPersonalMicrophones(t *testing.T) {
	r := newRig(t)
	mics := map[string]*devicetest.Mic{}
	mic := func(name string, level float32) *mixer.Source {
		mics[name] = devicetest.NewMic(r.clock, device.Config{})
		mics[name].Sound = func(int64) float32 { return level }
		return mixer.NewSource(r.clock, mics[name], t.Logf)
	}
	r.server.AddSource(mic("owner", 0.75))
	r.server.Microphone(helperUID, memory.Allow)
	r.server.Personal(func(user string) *Own {
		return &Own{Sink: mixer.NewSink(r.clock, devicetest.New(r.clock, device.Config{}), t.Logf), Source: mic(user, 0.25), Playing: func(Title) {}, Recording: func(Title) {}}
	})
	one, two, owner := r.connect(helperUID, policy.Playback, 35), r.connect(otherUID, policy.Playback, 35), r.connect(ownerUID, policy.Owner, 35)
	hears := func(c *client) float32 {
		return pcm.Peak(r.hears(c, c.record(recordingRequest()).Channel, 500*time.Millisecond))
	}
	if p := hears(one); !near(p, 0.25) || mics["owner"].IsOpen() {
		t.Errorf("a helper who may hears %v, the owner's is open: %v", p, mics["owner"].IsOpen())
	}
	if p := hears(two); p != 0 || mics[userName(otherUID)].Opens() > 0 {
		t.Errorf("one who may not hears %v", p)
	}
	if p := hears(owner); !near(p, 0.75) {
		t.Errorf("the owner hears %v", p)
	}
	var sources native.SourceInfoList
	one.must(native.OpGetSourceInfoList, nil, &sources)
	if len(sources) != 1 || sources[0].Name != microphoneName {
		t.Errorf("a helper sees %+v", sources)
	}
}

// An event of one stream does not have the texts of all looked through, which may be kilobytes each: it would cost everybody's sound milliseconds.
func TestTitlesAreCheap(t *testing.T) {
	r := newRig(t)
	r.server.Personal(func(string) *Own {
		return &Own{Sink: mixer.NewSink(r.clock, devicetest.New(r.clock, device.Config{}), t.Logf), Playing: func(Title) {}, Recording: func(Title) {}}
	})
	c := r.connect(helperUID, policy.Playback, 35)
	long := strings.Repeat("\x01", 3900)
	var s native.CreatePlaybackStreamReply
	for i := range uint32(maxStreams) {
		r.clock.Advance(time.Second)
		m := small()
		m.SyncID = 1 + i
		m.Props = native.Text("application.name", fmt.Sprint(long, "program ", i), "media.name", fmt.Sprint(long, "tune ", i))
		s = c.create(m)
	}
	p := r.server.stream(s.Index)
	if n := testing.AllocsPerRun(100, func() { r.server.announce(native.EventSinkInput|native.EventChange, s.Index, p.session) }); n > maxStreams {
		t.Errorf("%v allocations for an event of one of %d streams", n, maxStreams)
	}
}

// Where the owner's sound server comes only later, each helper's streams and recordings go to his own there, and the owner's stay.
func TestPersonalLater(t *testing.T) {
	r := newRig(t)
	helper, owner := r.connect(helperUID, policy.Playback, 35), r.connect(ownerUID, policy.Owner, 35)
	helper.create(creation())
	owner.create(creation())
	own := mixer.NewSink(r.clock, devicetest.New(r.clock, device.Config{}), t.Logf)
	var title Title
	r.server.Personal(func(string) *Own {
		return &Own{Sink: own, Playing: func(t Title) { title = t }, Recording: func(Title) {}}
	})
	if n, m := len(own.Inputs()), len(r.sink.Inputs()); n != 1 || m != 1 {
		t.Errorf("%d streams of the helper's at his own sink, %d left at the usual one", n, m)
	}
	if !strings.Contains(title.Name, userName(helperUID)) {
		t.Errorf("it is shown as %+v", title)
	}
	if later := r.connect(helperUID, policy.Playback, 35); later.create(creation()).Channel != 0 || len(own.Inputs()) != 2 {
		t.Errorf("the next one is not there: %d", len(own.Inputs()))
	}
}
