package daemon_test

import (
	"os"
	"testing"

	"sandbox-audio/e2e/rig"
)

// roles are what this test binary does when a test starts it anew as another user.
var roles = map[string]func(args []string){}

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "role" {
		roles[os.Args[2]](os.Args[3:])
		return
	}
	status := m.Run()
	rig.Clean()
	os.Exit(status)
}
