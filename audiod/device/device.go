// Package device is where sound leaves the daemon: one Sink for each kind of playback device.
//
// A Sink is a queue with a clock at its far end. The mixer writes frames into it ahead of time, asks how many of them are still
// to be heard, and comes back before they run out. The device never calls the mixer, never blocks on hardware and starts
// no goroutine; when it is closed it costs nothing.
package device

import (
	"errors"
	"time"

	"sandbox-audio/audiod/pcm"
)

// ErrGone is wrapped by what Write and Queued return when the device has left for good (unplugged, file system full).
// The mixer then closes it and moves to another.
var ErrGone = errors.New("the device is gone")

// Config is what a sink agreed to when it was opened.
type Config struct {
	Rate     int            // frames per second
	Channels pcm.ChannelMap // of the frames Write takes
	Buffer   int            // frames the sink can hold between Write and the ear; a card may have fetched up to Margin more
	Margin   int            // frames below which Queued must not fall before the next Write, or an xrun threatens; 0: being late does no harm
	Linger   time.Duration  // how long the mixer keeps an idle sink open, fed with silence, because opening it costs something
	Hardware string         // for people: the format the device really runs at, "s32le 2ch 48000Hz, period 480"
}

// Stats counts what happened to a sink since it was made, over all its openings.
type Stats struct {
	Xruns uint64 // times the device ran dry while open; silence was heard
}

// Sink is a playback device. Only the loop's goroutine may call it.
type Sink interface {
	// Name is the --device form that leads to this very sink ("alsa:Intel,0", "null"); Description is for people.
	Name() string
	Description() string
	// Open takes the device and makes it silent and ready. It is closed before the first Open, and may be opened again after Close.
	// An error says what holds the device where that can be told.
	Open() (Config, error)
	// Write queues interleaved float32 frames, full scale ±1, which it clips and does not keep. It takes what fits and returns how many
	// frames that was, 0 when full. The first Write after Open, or after an xrun, starts the device, and should hold several times Margin. It
	// allocates nothing.
	Write(frames []float32) (int, error)
	// Queued is the number of frames written and not yet heard at this instant: a smooth figure, not one that jumps by a period. Only
	// when it starts may a card fall faster for a tenth of a second, while it fills its own stages: some keep 20 ms in them.
	// An xrun is noticed here and in Write: it is counted, the device is made ready again and 0 is returned. A sink that cannot run dry
	// returns a negative number when its writer is late: the frames it wants at once to catch up.
	Queued() (int, error)
	// Close stops the device at once, drops what is queued and lets the hardware go.
	Close() error
	Stats() Stats
}
