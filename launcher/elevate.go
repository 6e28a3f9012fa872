package launcher

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
)

// Elevate replaces this process by the same command, with more arguments, under sudo. It returns only when it fails.
func Elevate(more ...string) error {
	argv, err := elevated(slices.Concat(os.Args[1:], more))
	if err != nil {
		return fmt.Errorf("only root can do this: %w", err)
	}
	return &exec.Error{Name: argv[0], Err: syscall.Exec(argv[0], argv, os.Environ())}
}

// AsRoot runs this program as root with other arguments, on the same terminal, through sudo where the caller is not root.
// The error is that of the process: what was wrong it has said itself.
func AsRoot(args ...string) error {
	argv, err := elevated(args)
	if err != nil {
		return fmt.Errorf("only root can do this: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd.Run()
}

// elevated is the command line that runs this program as root.
func elevated(args []string) ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() == 0 {
		return append([]string{self}, args...), nil
	}
	sudo, err := tool("sudo")
	return append([]string{sudo, "--", self}, args...), err
}
