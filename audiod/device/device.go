// Package device is where sound leaves the daemon and comes in: one Sink for each kind of playback device, one Source for each kind of
// capture device.
//
// A Sink is a queue with a clock at its far end. The mixer writes frames into it ahead of time, asks how many of them are still
// to be heard, and comes back before they run out. A Source is a queue with a clock at its near end: the mixer asks how many frames have
// been captured, reads them, and comes back before there is no room for more. The device never calls the mixer but to say that it is ready,
// and never blocks on hardware; when it is closed it costs nothing.
//
// Cards keeps watch over the sound cards themselves: which there are, their volumes and switches, and what is plugged into them. What may take
// the hardware a while is done aside, and its result brought back to the loop.
package device

import (
	"errors"
	"time"

	"sandbox-audio/audiod/pcm"
)

// ErrGone is wrapped by what Write, Read, Queued and Available return when the device has left for good (unplugged, file system full).
// The mixer then closes it and moves to another.
var ErrGone = errors.New("the device is gone")

// ErrNotYet is wrapped by what Open returns while a device is still being made, which will tell when it is there: nothing is wrong.
var ErrNotYet = errors.New("it is being made ready")

// Config is what a sink or source agreed to when it was opened.
type Config struct {
	Rate     int            // frames per second
	Channels pcm.ChannelMap // of the frames Write takes and Read gives
	Buffer   int            // frames a sink can hold between Write and the ear, of which a card may have fetched up to Margin more; or a source unread
	Margin   int            // of a sink: frames below which Queued must not fall before the next Write, or an xrun threatens; 0: being late does no harm
	Ahead    int            // of a sink that is a Rewinder: frames it can be written ahead of somebody in no hurry, less than Buffer; else 0
	Linger   time.Duration  // how long the mixer keeps an idle sink open, fed with silence, because opening it costs something
	Bits     int            // of a sink's samples in the hardware, where they are evenly spaced; else 0
	Hardware string         // for people: the format the device really runs at, "s32le 2ch 48000Hz, period 480"
}

// Stats counts what happened to a device since it was made, over all its openings.
type Stats struct {
	Xruns uint64 // times a sink ran dry while open, and silence was heard; or a source was full, and sound was lost
}

// Volume is what a Sink is as well whose hardware can be turned down and silenced by itself. The hardware may take its time: nothing here
// waits for it.
type Volume interface {
	// SetVolume wants the hardware at gain, a factor for each of Config.Channels (1 is 0 dB), or at the next it can do above, and silent or not.
	SetVolume(gain []float32, muted bool)
	// Volume is where the hardware is now, in the same terms; ok is false where it has no volume after all, or none is known yet.
	Volume() (gain []float32, muted, ok bool)
	// OnVolume sets the one function that is called, from the loop, when what Volume says has changed: foreign is true when somebody else than
	// SetVolume did it.
	OnVolume(changed func(foreign bool))
}

// Plug tells whether something is plugged into a port.
type Plug uint8

const (
	PlugUnknown Plug = iota
	Unplugged
	Plugged
)

// Port is one socket, or built-in loudspeaker, of a device.
type Port struct {
	Name, Description string // Name as PulseAudio would have it: "analog-output-headphones"
	Priority          uint32
	Plug              Plug
	Type              uint32 // pa_device_port_type_t
}

// Ports is what a Sink is as well whose hardware has several ways out.
type Ports interface {
	// Ports is all of them, and the name of the one in use.
	Ports() (all []Port, active string)
	// SetPort uses another. The error says that there is none of that name, or that the hardware refused.
	SetPort(name string) error
	// OnPorts sets the one function that is called, from the loop, when what Ports says has changed.
	OnPorts(changed func())
}

// CardInfo is what a sound card says of itself.
type CardInfo struct {
	Driver, Name, LongName string
	Mixer                  string // the chip that its mixer is in
	Components             string // chips, by their ids: "HDA:1af40012,1af40012,00100101"
}

// OnCard is what a Sink or Source is as well that is part of a sound card.
type OnCard interface {
	// CardInfo is the card's; ok is false while it is not there, or does not let itself be asked.
	CardInfo() (card CardInfo, ok bool)
}

// Shared is what a Sink or Source is as well that other programs may hold, or whose right of use may come and go.
type Shared interface {
	// Look has it looked up, aside, whether what made Open fail has passed: the function that OpenAside set is called if so. It may be called at any
	// time, and costs little.
	Look()
}

// Sink is a playback device. Only the loop's goroutine may call it.
type Sink interface {
	// Name is the --device form that leads to this very sink ("alsa:Intel,0", "null"); Description is for people.
	Name() string
	Description() string
	// Open takes the device and makes it silent and ready. It is closed before the first Open, and may be opened again after Close.
	// An error says what holds the device where that can be told; one that wraps ErrSoon that it is to be called again in a moment.
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

// Rewinder is what a Sink is as well that gives back what it has not played.
type Rewinder interface {
	// Rewind takes back up to so many of the frames last written and returns how many these were, 0 where it cannot now. They are not heard, and
	// what is written next takes their place. The last Margin frames before the ear stay: the hardware may be fetching them.
	Rewind(frames int) (int, error)
}

// Source is a capture device. Only the loop's goroutine may call it.
type Source interface {
	// Name is the --source form that leads to this very source ("alsa:Intel,0", "null"); Description is for people.
	Name() string
	Description() string
	// Open takes the device, which captures from that moment on. It is closed before the first Open, and may be opened again after Close.
	// An error is as that of Sink.Open.
	Open() (Config, error)
	// Read moves the oldest captured frames into frames, interleaved float32, full scale ±1, and returns how many these were, 0 when there
	// are none yet. It allocates nothing.
	Read(frames []float32) (int, error)
	// Available is the number of frames captured and not yet read at this instant: a smooth figure, not one that jumps by a period, so Read may
	// give some milliseconds less, or more.
	// An overrun is noticed here and in Read: when nobody read for as long as Buffer lasts all that was captured is lost, it is counted, the
	// device captures anew from now on, and 0 is returned.
	Available() (int, error)
	// Close stops the device at once, drops what was not read and lets the hardware go.
	Close() error
	Stats() Stats
}
