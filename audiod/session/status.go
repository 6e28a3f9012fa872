package session

import (
	"cmp"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/policy"
)

// Status is the daemon as its owner sees it.
type Status struct {
	PID         int          `json:"pid"`
	Uptime      float64      `json:"uptime_seconds"`
	Priority    Priority     `json:"priority"`
	Devices     []Device     `json:"devices"`
	Users       []User       `json:"users"`
	Connections []Connection `json:"connections"`
	Streams     []Stream     `json:"streams"`
	Refused     Refused      `json:"refused"`
}

// Default is the device that streams play on unless somebody says otherwise.
func (s Status) Default() (d Device) {
	for _, d = range s.Devices {
		if d.Default {
			break
		}
	}
	return d
}

// Priority is how the thread that plays is scheduled among all others of the machine.
type Priority struct {
	Kind   string `json:"kind"`             // realtime, nice or ordinary
	Level  int    `json:"level"`            // of realtime 1 to 99, of the others the nice value
	By     string `json:"by,omitempty"`     // who granted it: RLIMIT_RTPRIO, RLIMIT_NICE or rtkit
	Why    string `json:"why,omitempty"`    // it is not realtime
	Advice string `json:"advice,omitempty"` // what would make it so
}

// ShowPriority has status tell what now returns, which is called on the loop. Call it before the first session.
func (s *Server) ShowPriority(now func() Priority) { s.priority = now }

// Device is a place that sound goes to.
type Device struct {
	Index       uint32  `json:"index"` // as a sink
	Sink        string  `json:"sink"`  // name as a sink
	Default     bool    `json:"default"`
	Name        string  `json:"name"` // as --device takes it
	Description string  `json:"description"`
	Hardware    string  `json:"hardware"`
	Trouble     string  `json:"trouble,omitempty"` // why it is not the device asked for
	Open        bool    `json:"open"`
	Suspended   bool    `json:"suspended"`
	Rate        int     `json:"rate_hz"`
	Channels    string  `json:"channels"`
	Resampler   string  `json:"resampler"` // of what comes at another rate: normal or best
	Dither      bool    `json:"dither"`
	Latency     float64 `json:"latency_ms"` // from the mixer to the ear
	Xruns       uint64  `json:"xruns"`
	Volume      float64 `json:"volume_percent"` // of the loudest channel
	Muted       bool    `json:"muted"`
	Peak        float64 `json:"peak"` // full scale 1
}

// User is one whose programs are connected, or were since the daemon began.
type User struct {
	UID         uint32  `json:"uid"`
	Name        string  `json:"name"`
	Grant       string  `json:"grant"`
	Connections int     `json:"connections"`
	Streams     int     `json:"streams"`
	Buffered    int     `json:"buffered_bytes"` // room in the queues of his streams
	Volume      float64 `json:"volume_percent"` // of his virtual sink, the loudest channel
	Muted       bool    `json:"muted"`
	Ceiling     float64 `json:"ceiling_percent,omitempty"` // the most that his programs can set; not there for the owner
	Mic         *Mic    `json:"microphone,omitempty"`      // likewise
}

// Connection is one client. UID and, on the Unix socket, PID and Program are the kernel's word; Claims is what the client says of itself.
type Connection struct {
	Index     uint32  `json:"index"`
	UID       uint32  `json:"uid"`
	PID       int32   `json:"pid,omitempty"`
	Program   string  `json:"program,omitempty"`
	Claims    string  `json:"claims,omitempty"`
	Transport string  `json:"transport"`
	Grant     string  `json:"grant"`
	Version   uint32  `json:"protocol"`
	Since     float64 `json:"connected_seconds"`
}

// Stream is one sink input.
type Stream struct {
	Index      uint32  `json:"index"`
	Connection uint32  `json:"connection"`
	UID        uint32  `json:"uid"`
	Sink       string  `json:"sink"`
	Name       string  `json:"name,omitempty"` // as the client says
	Format     string  `json:"format"`
	Channels   string  `json:"channels"`
	State      string  `json:"state"`      // playing, corked or waiting
	Latency    float64 `json:"latency_ms"` // from the client's write to the ear
	Underruns  uint64  `json:"underruns"`
	Volume     float64 `json:"volume_percent"`
	Muted      bool    `json:"muted"`
	Peak       float64 `json:"peak"` // as heard, full scale 1
}

// Refused is who was turned away.
type Refused struct {
	Total  uint64    `json:"total"`
	Newest []Refusal `json:"newest"` // newest first
}

// Refusal is one connection turned away. UID is absent when the kernel could not tell.
type Refusal struct {
	Time      time.Time `json:"time"`
	UID       *uint32   `json:"uid,omitempty"`
	Transport string    `json:"transport"`
	Reason    string    `json:"reason"`
}

func (s *Server) status() Status {
	st := Status{PID: os.Getpid(), Uptime: time.Since(s.started).Seconds(), Priority: s.priority(), Devices: s.devices(), Users: []User{}, Connections: []Connection{}, Streams: []Stream{}}
	for _, u := range s.users {
		st.Users = append(st.Users, s.userStatus(u))
	}
	slices.SortFunc(st.Users, func(a, b User) int { return cmp.Compare(a.UID, b.UID) })
	for _, c := range s.sessions {
		st.Connections = append(st.Connections, c.connection())
	}
	for _, p := range s.streams {
		st.Streams = append(st.Streams, p.status())
	}
	st.Refused = Refused{Total: s.refusals.Total(), Newest: []Refusal{}}
	for _, r := range s.refusals.Newest() {
		refusal := Refusal{Time: r.Time, Transport: r.Transport.String(), Reason: string(r.Reason)}
		if r.UID != policy.NoID {
			refusal.UID = &r.UID
		}
		st.Refused.Newest = append(st.Refused.Newest, refusal)
	}
	return st
}

func (s *Server) devices() (all []Device) {
	for _, k := range s.sinks {
		d := k.status()
		d.Default = k == s.defaultSink
		all = append(all, d)
	}
	return all
}

func (k *sink) status() Device {
	spec, cmap := k.mixer.Spec()
	st := k.mixer.State()
	volume, muted := k.mixer.Volume()
	quality := k.mixer.Quality()
	return Device{Index: k.index, Sink: k.name, Name: st.Device, Description: native.Clean(st.Description), Hardware: st.Hardware, Trouble: st.Trouble, Open: st.Open,
		Suspended: st.Suspended, Rate: int(spec.Rate), Channels: cmap.String(), Resampler: quality.Resampler.String(), Dither: quality.Dither,
		Latency: ms(st.Latency), Xruns: st.Xruns, Volume: percent(volume), Muted: muted, Peak: float64(st.Peak)}
}

func (s *Server) userStatus(u *user) User {
	st := User{UID: u.uid, Name: u.name, Grant: u.grant.String(), Streams: u.streams, Buffered: u.buffers.Taken(), Volume: percent(u.volume), Muted: u.muted}
	if u.grant != policy.Owner {
		st.Ceiling = percent([]pcm.Volume{u.ceiling})
		st.Mic = s.micStatus(u)
	}
	for _, c := range s.sessions {
		if c.user == u {
			st.Connections++
		}
	}
	return st
}

func (c *Session) connection() Connection {
	name, _ := c.props.Get("application.name")
	return Connection{Index: c.index, UID: c.peer.UID, PID: c.peer.PID, Program: program(c.peer.PID), Claims: native.Clean(name),
		Transport: c.peer.Transport.String(), Grant: c.grant.String(), Version: c.version, Since: time.Since(c.opened).Seconds()}
}

func (p *playback) status() Stream {
	c, spec := p.session, p.input.Spec()
	st := p.input.State()
	volume, muted := p.input.Volume()
	state := "waiting"
	switch {
	case p.input.Corked():
		state = "corked"
	case st.Timing.Playing:
		state = "playing"
	}
	name, _ := p.props.Get("media.name")
	return Stream{Index: p.index, Connection: c.index, UID: c.peer.UID, Sink: p.sink.name, Name: native.Clean(name), Format: spec.String(), Channels: p.input.Map().String(), State: state,
		Latency: ms(st.Timing.Latency + st.Queued), Underruns: st.Underruns, Volume: percent(volume), Muted: muted, Peak: float64(st.Peak)}
}

// percent is the loudest of volumes for people.
func percent(volume []pcm.Volume) float64 {
	return float64(slices.Max(volume)) * 100 / float64(pcm.VolumeNorm)
}

func ofPercent(p float64) pcm.Volume {
	return pcm.Volume(math.Round(p * float64(pcm.VolumeNorm) / 100))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// program is the name the kernel has for a process (proc(5), /proc/pid/comm), cleaned, since a program may choose its own.
func program(pid int32) string {
	if pid == 0 {
		return ""
	}
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(int(pid)) + "/comm")
	if err != nil {
		return ""
	}
	return native.Clean(strings.TrimSuffix(string(comm), "\n"))
}
