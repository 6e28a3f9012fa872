package launcher

import (
	"bytes"
	"reflect"
	"runtime"
	"testing"
)

func FuzzReadMessage(f *testing.F) {
	for _, v := range []any{outcome{PID: 7}, outcome{Code: 127, Error: "x"}, outcome{Signal: 15}, order{Signal: 2}} {
		text, err := encodeMessage(v, maxOutcome)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, text []byte) {
		var o outcome
		if err := readMessage(bytes.NewReader(text), &o, maxOutcome); err != nil {
			return
		}
		again, err := encodeMessage(o, maxOutcome*6) // what JSON escapes may grow
		if err != nil {
			t.Fatal(err)
		}
		var back outcome
		if err := readMessage(bytes.NewReader(again), &back, maxOutcome*6); err != nil || !reflect.DeepEqual(o, back) {
			t.Errorf("%+v came back as %+v, %v", o, back, err)
		}
	})
}

// A length is checked before memory is taken for it.
func TestHugeLengthTakesNoMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var o outcome
	err := readMessage(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xf0, 1, 2, 3}), &o, maxOutcome)
	runtime.ReadMemStats(&after)
	if err == nil {
		t.Error("a message of four gigabytes was read")
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d bytes were taken for it", n)
	}
}

func TestRequestOverTheLimit(t *testing.T) {
	if _, err := encodeMessage(request{Argv: []string{string(make([]byte, maxRequest))}}, maxRequest); err == nil {
		t.Error("a request over the limit was encoded")
	}
}
