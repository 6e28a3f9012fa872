package ask_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"sandbox-audio/audiod/ask"
	"sandbox-audio/audiod/ask/asktest"
)

func never() error { return nil }

func TestButtons(t *testing.T) {
	for button, want := range map[string]ask.Answer{"once": ask.Once, "hour": ask.Hour, "deny": ask.Denied, "": ask.Unanswered} {
		t.Run(button, func(t *testing.T) {
			desktop := asktest.New(t)
			connected := 0
			answer := make(chan ask.Answer, 1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			go func() {
				a, err := ask.Desktop(ctx, ask.Question{User: "user ann-sandbox", Program: "<b>fire</b>fox"}, func() error { connected++; return nil })
				if err != nil {
					t.Error(err)
				}
				answer <- a
			}()
			n := desktop.Shown()
			if !strings.Contains(n.Body, "“&lt;b&gt;fire&lt;/b&gt;fox”, run by user ann-sandbox,") || len(n.Actions) != 6 {
				t.Errorf("shown: %+v", n)
			}
			desktop.Press(n.ID+1, "once") // another's
			desktop.Press(n.ID, "default")
			if button == "" {
				desktop.Dismiss(n.ID)
			} else {
				desktop.Press(n.ID, button)
			}
			if a := <-answer; a != want || connected != 1 {
				t.Errorf("answer %v, not %v; connected %d times", a, want, connected)
			}
		})
	}
}

func TestPatienceEnds(t *testing.T) {
	desktop := asktest.New(t)
	ctx, cancel := context.WithCancel(context.Background())
	answer := make(chan ask.Answer, 1)
	go func() {
		a, _ := ask.Desktop(ctx, ask.Question{User: "ann-sandbox"}, never)
		answer <- a
	}()
	n := desktop.Shown()
	cancel()
	if a := <-answer; a != ask.Unanswered {
		t.Errorf("answer %v", a)
	}
	if id := desktop.Closed(); id != n.ID {
		t.Errorf("notification %d was taken back, not %d", id, n.ID)
	}
}

func TestNobodyThere(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	try := func(what string) {
		t.Helper()
		if a, err := ask.Desktop(ctx, ask.Question{User: "x"}, never); a != ask.Nobody || err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("answer %v, %v; no word of %q", a, err, what)
		}
	}
	asktest.Bus(t)
	try("no notifications")
	desktop := asktest.New(t)
	desktop.NoButtons()
	try("no buttons")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	try("joining the session bus")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "")
	try("no session bus")
}
