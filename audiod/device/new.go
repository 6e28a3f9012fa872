package device

import (
	"fmt"
	"path/filepath"
	"strings"

	"sandbox-audio/audiod/loop"
)

// Forms is how a sink is named, and SourceForms a source, for help and errors.
const (
	Forms       = "auto (the owner's sound server, or every real card, or silence), pulse[:ADDR] (the owner's sound server), " + forms
	SourceForms = "auto (that of the owner's sound server, or every real card that captures), " + forms
	forms       = "alsa[:CARD[,DEV]] (CARD by id or number, as in /proc/asound/cards), wav:FILE or null"
)

// NewSinks makes the sinks that specs name, in their order, closed. Among them "auto", which is also what no specs at all mean, stands for the
// best playback device of every real card, the best card first.
func NewSinks(specs []string, clock loop.Clock) (sinks []Sink, err error) {
	if len(specs) == 0 {
		specs = []string{"auto"}
	}
	for _, spec := range specs {
		all := []string{spec}
		if cards := realCards(false); spec == "auto" && len(cards) > 0 {
			all = cards
		}
		for _, one := range all {
			s, err := New(one, clock)
			if err != nil {
				return nil, err
			}
			sinks = append(sinks, s)
		}
	}
	return sinks, nil
}

// New makes the sink that spec names, closed:
//
//	auto               the best playback device of a real card, where there is one; else null, whose Description then says why
//	alsa               the same, but an error where there is none
//	alsa:CARD[,DEV]    this card, by id or number; it need not be there yet, it is looked for again at each Open
//	wav:FILE           a file, written in real time
//	null               nothing, in real time
//
// The clock must be CLOCK_MONOTONIC for a card, which stamps its position with that.
func New(spec string, clock loop.Clock) (Sink, error) {
	kind, rest, more := strings.Cut(spec, ":")
	switch {
	case kind == "null" && !more:
		return &null{timed: timed{clock: clock}}, nil
	case kind == "wav" && rest != "":
		path, err := filepath.Abs(rest)
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", spec, err)
		}
		return &wav{timed: timed{clock: clock}, path: path}, nil
	case kind == "alsa" && !more:
		p, err := findCard(address{device: anyDevice})
		if err != nil {
			return nil, err
		}
		return &player{newCard(p.address(), clock)}, nil
	case kind == "alsa":
		a, err := parseAddress(rest, false)
		if err != nil {
			return nil, fmt.Errorf("device %q: %w", spec, err)
		}
		return &player{newCard(a, clock)}, nil
	case kind == "auto" && !more:
		p, err := findCard(address{device: anyDevice})
		if err != nil {
			return &null{timed: timed{clock: clock}, reason: err.Error()}, nil
		}
		return &player{newCard(p.address(), clock)}, nil
	}
	return nil, fmt.Errorf("no device is called %q: the forms are %s", spec, Forms)
}

// NewSources makes the sources that specs name, in their order, closed. Among them "auto", which is also what no specs at all mean, stands for
// the best capture device of every real card, the best card first, of which there may be none.
func NewSources(specs []string, clock loop.Clock) (sources []Source, err error) {
	if len(specs) == 0 {
		specs = []string{"auto"}
	}
	for _, spec := range specs {
		all := []string{spec}
		if spec == "auto" {
			all = realCards(true)
		}
		for _, one := range all {
			s, err := NewSource(one, clock)
			if err != nil {
				return nil, err
			}
			sources = append(sources, s)
		}
	}
	return sources, nil
}

// NewSource makes the source that spec names, closed:
//
//	alsa               the best capture device of a real card; an error where there is none
//	alsa:CARD[,DEV]    this card, by id or number; it need not be there yet, it is looked for again at each Open
//	wav:FILE           a file, read round and round in real time
//	null               silence, in real time
//
// The clock must be CLOCK_MONOTONIC for a card, which stamps its position with that.
func NewSource(spec string, clock loop.Clock) (Source, error) {
	kind, rest, more := strings.Cut(spec, ":")
	switch {
	case kind == "null" && !more:
		return &silence{ticking{clock: clock}}, nil
	case kind == "wav" && rest != "":
		path, err := filepath.Abs(rest)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", spec, err)
		}
		return &wavSource{ticking: ticking{clock: clock}, path: path}, nil
	case kind == "alsa" && !more:
		p, err := findCard(address{device: anyDevice, capture: true})
		if err != nil {
			return nil, err
		}
		return &recorder{newCard(p.address(), clock)}, nil
	case kind == "alsa":
		a, err := parseAddress(rest, true)
		if err != nil {
			return nil, fmt.Errorf("source %q: %w", spec, err)
		}
		return &recorder{newCard(a, clock)}, nil
	}
	return nil, fmt.Errorf("no source is called %q: the forms are %s", spec, SourceForms)
}
