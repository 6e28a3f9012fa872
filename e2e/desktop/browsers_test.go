package desktop_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"sandbox-audio/e2e/need"
	"sandbox-audio/e2e/rig"
)

// screen is a display of the owner's that pictures can be taken of.
type screen struct {
	env     []string // of the owner's programs
	picture func() (image.Image, error)
}

// xScreen is an X server that lets in the owner alone.
func xScreen(t *testing.T, d *desk) *screen {
	t.Helper()
	x := need.Xvfb(t)
	key, err := os.ReadFile(x.Authority)
	if err != nil {
		t.Fatal(err)
	}
	own := x
	x.Authority = filepath.Join(rig.Folder(t, d.owner), "Xauthority")
	if err := os.WriteFile(x.Authority, key, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(x.Authority, d.owner.UID, d.owner.GID); err != nil {
		t.Fatal(err)
	}
	return &screen{x.Environ(), func() (image.Image, error) {
		dump, err := own.Client("xwd", "-root", "-silent").Output()
		if err != nil {
			return nil, err
		}
		return decodeXWD(dump)
	}}
}

// decodeXWD reads a picture of 24 or 32 bits a pixel, blue first (XWDFile.h, version 7).
func decodeXWD(b []byte) (image.Image, error) {
	const fields = 25
	if len(b) < 4*fields {
		return nil, errors.New("no picture")
	}
	field := func(i int) int { return int(binary.BigEndian.Uint32(b[4*i:])) }
	size, width, height, order, bits, stride, colours := field(0), field(4), field(5), field(7), field(11), field(12), field(19)
	if bits != 24 && bits != 32 || order != 0 || len(b) < size+12*colours+height*stride {
		return nil, fmt.Errorf("a picture of %d bits a pixel, order %d", bits, order)
	}
	pixels := b[size+12*colours:]
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			p := pixels[y*stride+bits/8*x:]
			m.SetRGBA(x, y, color.RGBA{p[2], p[1], p[0], 255})
		}
	}
	return m, nil
}

// waylandScreen is a compositor of the owner's without a screen to see.
func waylandScreen(t *testing.T, d *desk) *screen {
	t.Helper()
	dir := rig.Folder(t, d.owner)
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.owner.Home, "sway")
	if err := os.WriteFile(config, []byte("xwayland disable\noutput * resolution 800x600\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"XDG_RUNTIME_DIR=" + dir}
	cmd := d.owner.Command(t.Context(), append(env, "WLR_BACKENDS=headless", "WLR_RENDERER=pixman", "WLR_LIBINPUT_NO_DEVICES=1"), "sway", "-c", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Wait()
		if t.Failed() {
			t.Logf("sway said:\n%s", &said)
		}
	})
	need.Eventually(t, time.Minute, func() string {
		sockets, _ := filepath.Glob(dir + "/wayland-[0-9]")
		if len(sockets) == 0 {
			return "sway does not listen"
		}
		env = append(env[:1], "WAYLAND_DISPLAY="+filepath.Base(sockets[0]))
		return ""
	})
	return &screen{env, func() (image.Image, error) {
		out, err := d.owner.Command(t.Context(), env, "grim", "-").Output()
		if err != nil {
			return nil, err
		}
		return png.Decode(bytes.NewReader(out))
	}}
}

// shows waits until a good part of the screen has the colour of the pages, and keeps the picture.
func (s *screen) shows(t *testing.T, name string) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		m, err := s.picture()
		if err != nil {
			return err.Error()
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			return err.Error()
		}
		keep(t, name, b.Bytes())
		hits, all := 0, m.Bounds().Dx()*m.Bounds().Dy()
		for i := range all {
			r, g, b, _ := m.At(i%m.Bounds().Dx(), i/m.Bounds().Dx()).RGBA()
			if fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8) == colour {
				hits++
			}
		}
		if hits < all/5 {
			return fmt.Sprintf("%d of %d pixels are the page's", hits, all)
		}
		return ""
	})
}

// TestBrowsers has each browser open a page as the helper, on each kind of display: it is seen and heard. A second run reaches
// the browser that runs, and nothing is left of the session at the end.
func TestBrowsers(t *testing.T) {
	d := newDesk(t)
	for _, test := range []struct {
		name, browser string
		screen        func(*testing.T, *desk) *screen
		flags         []string
	}{
		{"firefox-x11", "firefox", xScreen, nil},
		{"firefox-wayland", "firefox", waylandScreen, []string{"--display=wayland"}},
		{"chromium-x11", "chromium", xScreen, nil},
		{"chromium-wayland", "chromium", waylandScreen, []string{"--display=wayland"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := test.screen(t, d)
			d.listen()
			argv := append(test.flags, browsers[test.browser](t, d, test.name)...)
			if test.name == "chromium-wayland" {
				argv = append(argv, "--ozone-platform=wayland")
			}
			first := d.start(t, s.env, append(argv, d.site.tone("997"))...)
			d.site.await(t, "997")
			s.shows(t, test.name)
			d.heard(t, 997)
			second := d.start(t, s.env, append(argv, d.site.tone("440"))...)
			d.site.await(t, "440")
			select {
			case err := <-second.ended:
				second.ended <- err
				if err != nil {
					t.Errorf("the second run: %v", err)
				}
			case <-time.After(time.Minute):
				t.Error("the second run has a browser of its own")
			}
			d.heard(t, 440)
			select {
			case err := <-first.ended:
				first.ended <- err
				t.Fatalf("the first run has ended with the second: %v", err)
			default:
			}
			first.end(t)
			d.nothingLeft(t)
		})
	}
}

// nothingLeft waits until the helper has no process and nothing in its runtime directory.
func (d *desk) nothingLeft(t *testing.T) {
	t.Helper()
	need.Eventually(t, time.Minute, func() string {
		if out, err := exec.Command("ps", "-u", d.helper, "-o", "pid=,args=").Output(); err == nil && len(out) > 0 {
			return string(out)
		}
		left, err := os.ReadDir("/run/sandbox-audio/" + d.helper)
		if err != nil {
			return err.Error()
		}
		if len(left) > 0 {
			return strconv.Itoa(len(left)) + " files in the runtime directory, as " + left[0].Name()
		}
		return ""
	})
}
