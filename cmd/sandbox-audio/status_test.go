package main

import (
	"strings"
	"testing"

	"sandbox-audio/audiod/session"
)

func TestStatusNamesTheQuality(t *testing.T) {
	for quality, d := range map[string]session.Device{
		"normal resampler":          {Resampler: "normal"},
		"best resampler and dither": {Resampler: "best", Dither: true, Open: true},
	} {
		d.Default = true
		var said strings.Builder
		if err := printStatus(&said, session.Status{Devices: []session.Device{d}}); err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(said.String(), "\n"); !strings.HasSuffix(first, ", "+quality) {
			t.Errorf("%q does not end in %q", first, quality)
		}
	}
}
