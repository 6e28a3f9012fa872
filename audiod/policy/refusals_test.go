package policy

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestRefusals(t *testing.T) {
	var lines []string
	r := NewRefusals(func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) })
	at := time.Unix(1000, 0)
	flood := &Refusal{Peer: Peer{UID: 7, Transport: TCP}, Reason: NoGrant}
	for range 1050 {
		r.Add(at, flood)
	}
	r.Add(at, &Refusal{Peer: Peer{UID: 8, PID: 99, Transport: Unix}, Reason: NoGrant}) // another user is not drowned
	r.Add(at.Add(2*time.Minute), flood)
	want := []string{
		"refused uid 7 over tcp: no grant",
		"refused uid 7 over tcp: no grant",
		"refused uid 7 over tcp: no grant",
		"refused uid 7 over tcp: no grant, and 6 more since the last line",
		"refused uid 7 over tcp: no grant, and 89 more since the last line",
		"refused uid 7 over tcp: no grant, and 899 more since the last line",
		"refused uid 8 (pid 99) over unix: no grant",
		"refused uid 7 over tcp: no grant: 50 more",
		"refused uid 7 over tcp: no grant",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("log:\n%q\nwant\n%q", lines, want)
	}
	if r.Total() != 1052 {
		t.Errorf("total %d", r.Total())
	}
	newest := r.Newest()
	if len(newest) != 64 || newest[0].Time != at.Add(2*time.Minute) || newest[1].UID != 8 || newest[63].UID != 7 {
		t.Errorf("newest: %d, %+v", len(newest), newest[:2])
	}
}

// Who has a grant can connect and misbehave as often as he likes, and must not fill the log by it.
func TestFaults(t *testing.T) {
	var lines []string
	r := NewRefusals(func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) })
	at, rude := time.Unix(1000, 0), Peer{UID: 7, PID: 99, Transport: Unix}
	for i := range 12 {
		r.Fault(at, rude, fmt.Errorf("rubbish %d", i))
	}
	r.Fault(at, Peer{UID: 8, Transport: TCP}, errors.New("late"))
	r.Fault(at.Add(2*time.Minute), rude, errors.New("more rubbish"))
	want := []string{
		"closed the connection of uid 7 (pid 99) over unix: rubbish 0",
		"closed the connection of uid 7 (pid 99) over unix: rubbish 1",
		"closed the connection of uid 7 (pid 99) over unix: rubbish 2",
		"closed the connection of uid 7 (pid 99) over unix: rubbish 9, and 6 more since the last line",
		"closed the connection of uid 8 over tcp: late",
		"closed connections of uid 7 over unix: 2 more",
		"closed the connection of uid 7 (pid 99) over unix: more rubbish",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("log:\n%q\nwant\n%q", lines, want)
	}
	if r.Total() != 0 || len(r.Newest()) != 0 {
		t.Errorf("%d of them are on record as refused", r.Total())
	}
}

// A helper with a user namespace has 65536 numbers to be refused under.
func TestRefusalsManyUsers(t *testing.T) {
	lines := 0
	r := NewRefusals(func(string, ...any) { lines++ })
	at := time.Unix(1000, 0)
	for uid := range uint32(65536) {
		r.Add(at, &Refusal{Peer: Peer{UID: uid}, Reason: NoGrant})
	}
	if len(r.kinds) > maxKinds+1 || lines > maxKinds+10 {
		t.Errorf("%d kinds kept, %d lines logged", len(r.kinds), lines)
	}
	r.Add(at.Add(time.Hour), &Refusal{Peer: Peer{UID: 70000}, Reason: NoGrant})
	if len(r.kinds) != 1 {
		t.Errorf("%d kinds after an hour", len(r.kinds))
	}
}
