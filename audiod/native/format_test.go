package native

import (
	"errors"
	"strings"
	"testing"

	"sandbox-audio/audiod/pcm"
)

func TestResolve(t *testing.T) {
	own := pcm.Spec{Format: pcm.Float32LE, Channels: 2, Rate: 48000}
	for _, test := range []struct {
		name  string
		props PropList
		want  string // spec, and map where the channels alone do not say it; "" for invalid
	}{
		{"nothing said", nil, "float32le 2ch 48000Hz front-left,front-right"},
		{"all said", Text(propFormat, `"s16le"`, propRate, "44100", propChannels, "2", propMap, `"front-right,front-left"`), "s16le 2ch 44100Hz front-right,front-left"},
		{"the map says how many", Text(propMap, `"front-left,front-right,lfe"`), "float32le 3ch 48000Hz front-left,front-right,lfe"},
		{"the number alone", Text(propChannels, "6"), "float32le 6ch 48000Hz front-left,front-right,rear-left,rear-right,front-center,lfe"},
		{"a choice", Text(propFormat, `["s32le","s16le"]`, propRate, "[ 96000, 44100 ]"), "s32le 2ch 96000Hz front-left,front-right"},
		{"a range around ours", Text(propRate, `{"min": 8000, "max": 192000}`), "float32le 2ch 48000Hz front-left,front-right"},
		{"a range below ours", Text(propRate, `{"min": 8000, "max": 22050}`), "float32le 2ch 22050Hz front-left,front-right"},
		{"a range above ours", Text(propRate, `{"max": 192000, "min": 88200}`), "float32le 2ch 88200Hz front-left,front-right"},
		{"a whole number with a point", Text(propRate, "44100.0"), "float32le 2ch 44100Hz front-left,front-right"},
		{"the case of names", Text(propFormat, `"S16LE"`), "s16le 2ch 48000Hz front-left,front-right"},

		{"rate 0", Text(propRate, "0"), ""},
		{"half a frame", Text(propRate, "44100.5"), ""},
		{"a negative rate", Text(propRate, "-44100"), ""},
		{"a rate over 32 bits", Text(propRate, "4294967297"), ""},
		{"a huge rate", Text(propRate, "1e300"), ""},
		{"a rate in quotes", Text(propRate, `"44100"`), ""},
		{"a range upside down", Text(propRate, `{"min": 9000, "max": 8000}`), ""},
		{"half a range", Text(propRate, `{"min": 9000}`), ""},
		{"no channels", Text(propChannels, "0"), ""},
		{"256 channels, which are 0 in a byte", Text(propChannels, "256"), ""},
		{"258 channels, which are 2 in a byte", Text(propChannels, "258"), ""},
		{"a map for other channels", Text(propChannels, "2", propMap, `"mono"`), ""},
		{"a position that is none", Text(propMap, `"front-left,nowhere"`), ""},
		{"a map of too many", Text(propMap, `"`+strings.Repeat("mono,", 40)+`mono"`), ""},
		{"a format that is none", Text(propFormat, `"mp3"`), ""},
		{"a format without quotes", Text(propFormat, "s16le"), ""},
		{"a format as a number", Text(propFormat, "3"), ""},
		{"more behind the value", Text(propFormat, `"s16le","x":"y"`), ""},
		{"deep nesting", Text(propRate, strings.Repeat("[", 2000)+strings.Repeat("]", 2000)), ""},
		{"bytes", PropList{{propRate, []byte{1, 2, 3}}}, ""},
	} {
		spec, m, err := FormatInfo{EncodingPCM, test.props}.Resolve(own, pcm.StereoMap)
		switch {
		case test.want == "":
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%s: %v %v, %v", test.name, spec, m, err)
			}
		case err != nil || spec.String()+" "+m.String() != test.want:
			t.Errorf("%s: %v %v, %v; want %s", test.name, spec, m, err, test.want)
		}
	}
	if _, _, err := (FormatInfo{Encoding: 3}).Resolve(own, pcm.StereoMap); !errors.Is(err, ErrNotSupported) {
		t.Errorf("compressed sound: %v", err)
	}
}

// Names go out as JSON strings: nothing in them can become syntax.
func TestPCM(t *testing.T) {
	f := PCM(pcm.Spec{Format: pcm.S16LE, Channels: 2, Rate: 44100}, pcm.StereoMap)
	for key, want := range map[string]string{propFormat: `"s16le"`, propRate: "44100", propChannels: "2", propMap: `"front-left,front-right"`} {
		if got, _ := f.Props.Get(key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if _, ok := PCM(pcm.Spec{Format: pcm.U8, Channels: 1, Rate: 8000}, nil).Props.Get(propMap); ok {
		t.Error("a map that was not given")
	}
}
