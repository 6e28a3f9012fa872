package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/pcm"
	"sandbox-audio/audiod/session"
)

// target is something with a volume: a device, all that one helper plays, or one stream.
type target struct {
	Kind    string  `json:"kind"` // device, helper or stream
	Name    string  `json:"name"` // as it can be typed
	Index   uint32  `json:"index"`
	Note    string  `json:"note,omitempty"` // for people
	Volume  float64 `json:"volume_percent"` // of the loudest channel
	Muted   bool    `json:"muted"`
	Default bool    `json:"default,omitempty"`

	uid  uint32  // whose a stream is
	peak float64 // as heard; full scale 1
}

// targets is everything that has a volume: devices, helpers, streams.
func targets(st session.Status) (all []target) {
	for _, d := range st.Devices {
		all = append(all, target{Kind: "device", Name: d.Sink, Index: d.Index, Note: d.Description, Volume: d.Volume, Muted: d.Muted, Default: d.Default, peak: d.Peak})
	}
	for _, u := range st.Users {
		if u.Grant == "owner" {
			continue
		}
		t := target{Kind: "helper", Name: userName(u.UID), Index: u.UID, Note: count(uint64(u.Streams), "stream"), Volume: u.Volume, Muted: u.Muted}
		for _, s := range st.Streams {
			if s.UID == u.UID {
				t.peak = max(t.peak, s.Peak)
			}
		}
		all = append(all, t)
	}
	for _, s := range st.Streams {
		all = append(all, target{Kind: "stream", Name: strconv.FormatUint(uint64(s.Index), 10), Index: s.Index, Note: streamNote(st, s.Connection, s.UID, s.Name), Volume: s.Volume, Muted: s.Muted,
			uid: s.UID, peak: s.Peak})
	}
	return all
}

// streamNote says whose a stream is, by the kernel's word as far as there is one.
func streamNote(st session.Status, connection, uid uint32, name string) string {
	note := userName(uid)
	if program := programOf(st, connection); program != "" {
		note = program + " of " + note
	}
	if name != "" {
		note += fmt.Sprintf(", “%s”", name)
	}
	return note
}

// programOf is what runs at the other end of a connection: what the kernel says or, over TCP, what it calls itself.
func programOf(st session.Status, connection uint32) string {
	for _, c := range st.Connections {
		if c.Index == connection && c.Program != "" {
			return c.Program
		} else if c.Index == connection {
			return c.Claims
		}
	}
	return ""
}

// findTarget is what a person means by word; "" is the default device.
func findTarget(st session.Status, word string) (target, error) {
	all := targets(st)
	var names []string
	for _, t := range all {
		if t.Name == word || word == "" && t.Default || t.Kind == "helper" && strconv.FormatUint(uint64(t.Index), 10) == word {
			return t, nil
		}
		names = append(names, t.Name)
	}
	for _, d := range st.Devices { // also as --device takes it
		if i := slices.IndexFunc(all, func(t target) bool { return t.Kind == "device" && t.Index == d.Index }); d.Name == word && i >= 0 {
			return all[i], nil
		}
	}
	return target{}, fmt.Errorf("%q is no device, no helper that has played yet, and no stream; there are %s", word, strings.Join(names, ", "))
}

// setVolume makes the loudest channel of t so loud, and keeps the balance between channels.
func (t *target) setVolume(c *native.Client, percent float64) (err error) {
	to := pcm.Volume(percent*float64(pcm.VolumeNorm)/100 + 0.5)
	switch t.Kind {
	case "helper":
		return send(c, session.MessageUser, session.UserChange{UID: t.Index, Volume: &percent}, new(session.User))
	case "device":
		var now native.SinkInfo
		if err = c.Call(native.OpGetSinkInfo, &native.ByIndexOrName{Index: t.Index}, &now); err == nil {
			err = c.Call(native.OpSetSinkVolume, &native.SetDeviceVolume{Index: t.Index, Volume: scaled(now.Volume, to)}, nil)
		}
	default:
		var now native.SinkInputInfo
		if err = c.Call(native.OpGetSinkInputInfo, &native.ByIndex{Index: t.Index}, &now); err == nil {
			err = c.Call(native.OpSetSinkInputVolume, &native.SetVolume{Index: t.Index, Volume: scaled(now.Volume, to)}, nil)
		}
	}
	return err
}

func (t *target) setMuted(c *native.Client, muted bool) error {
	switch t.Kind {
	case "helper":
		return send(c, session.MessageUser, session.UserChange{UID: t.Index, Muted: &muted}, new(session.User))
	case "device":
		return c.Call(native.OpSetSinkMute, &native.SetDeviceMute{Index: t.Index, Muted: muted}, nil)
	}
	return c.Call(native.OpSetSinkInputMute, &native.SetMute{Index: t.Index, Muted: muted}, nil)
}

// scaled is v with its loudest channel at to.
func scaled(v native.CVolume, to pcm.Volume) native.CVolume {
	from := slices.Max(v)
	out := make(native.CVolume, len(v))
	for i := range v {
		if out[i] = to; from > 0 {
			out[i] = pcm.Volume(uint64(v[i]) * uint64(to) / uint64(from))
		}
	}
	return out
}

// targetArgs completes the first argument of volume and mute.
func targetArgs(cmd *cobra.Command, args []string, _ string) (words []string, _ cobra.ShellCompDirective) {
	server, err := cmd.Flags().GetString("server")
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	withDaemon(server, "completion", func(_ *native.Client, st session.Status) error { // without one there is nothing to offer
		for _, t := range targets(st) {
			words = append(words, t.Name+"\t"+t.Note)
		}
		return nil
	})
	return words, cobra.ShellCompDirectiveNoFileComp
}
