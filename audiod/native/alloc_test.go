package native

import "testing"

// What goes to and fro while sound plays costs no memory.
func TestNoAllocation(t *testing.T) {
	buf := make([]byte, 0, 4096)
	request := &Request{Channel: 1}
	latency := &PlaybackLatency{SinkLatency: 20000, Playing: true}
	for name, f := range map[string]func(){
		"REQUEST":       func() { request.Length++; buf = AppendPacket(buf[:0], Version, OpRequest, Invalid, request) },
		"latency reply": func() { latency.ReadIndex++; buf = AppendPacket(buf[:0], Version, OpReply, 5, latency) },
		"error":         func() { buf = AppendError(buf[:0], 5, ErrNoEntity) },
		"sound header":  func() { buf = AppendHeader(buf[:0], Header{Length: 4096, Channel: 1}) },
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	header := AppendHeader(nil, Header{Length: 4096, Channel: 1, Offset: 8, Seek: SeekAbsolute})
	packet := AppendPacket(nil, Version, OpGetPlaybackLatency, 5, &GetLatency{Channel: 1, Time: Timeval{1, 2}})
	asked := new(GetLatency)
	for name, f := range map[string]func(){
		"reading a sound header": func() {
			if h, err := ParseHeader(header); err != nil || h.Offset != 8 {
				t.Error(h, err)
			}
		},
		"reading a latency request": func() {
			_, _, fields, _ := ParseControl(packet[HeaderSize:])
			if err := Decode(fields, Version, asked); err != nil || asked.Time.Usec != 2 {
				t.Error(asked, err)
			}
		},
	} {
		if n := testing.AllocsPerRun(1000, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkRequest(b *testing.B) {
	buf := make([]byte, 0, 4096)
	m := &Request{Channel: 1, Length: 4096}
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendPacket(buf[:0], Version, OpRequest, Invalid, m)
	}
}

func BenchmarkHeader(b *testing.B) {
	header := AppendHeader(nil, Header{Length: 4096, Channel: 1})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseHeader(header); err != nil {
			b.Fatal(err)
		}
	}
}
