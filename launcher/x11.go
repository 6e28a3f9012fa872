package launcher

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sandbox-audio/launcher/x11"
)

// keyLapses is how long the key lives on when every run has been killed. Each run is a client that keeps it alive.
const keyLapses = 10 * time.Second

// xServer is the owner's X server, as the owner's programs find it.
type xServer struct {
	Display   string `json:"display"`
	Authority string `json:"authority"` // the owner's file of keys
}

// dial connects as the owner.
func (s xServer) dial() (*x11.Conn, x11.Display, error) {
	d, err := x11.ParseDisplay(s.Display)
	if err != nil {
		return nil, d, err
	}
	key, err := x11.ReadKey(s.Authority, d)
	if err != nil {
		return nil, d, err
	}
	c, err := x11.Dial(context.Background(), d, key)
	return c, d, err
}

// describe tells an X server of the helper's own what the owner's is like: its keyboard, resolution, fonts and cursor. What the
// owner's does not say stays as a server has it.
func (s xServer) describe(n *nestedRequest) {
	c, _, err := s.dial()
	if err != nil {
		return
	}
	defer c.Close()
	if resources, err := c.RootProperty("RESOURCE_MANAGER"); err == nil {
		for line := range strings.Lines(string(resources)) {
			if strings.HasPrefix(line, "Xft.") || strings.HasPrefix(line, "Xcursor.") {
				n.Resources += strings.TrimRight(line, "\n") + "\n"
			}
		}
	}
	names, err := c.RootProperty("_XKB_RULES_NAMES")
	if parts := strings.Split(string(names), "\x00"); err == nil && len(parts) >= 5 {
		n.Keyboard = parts[:5]
	}
}

// file is a file's name for what concerns the display.
func (s xServer) file(kind string, more ...any) string {
	name := kind + "-" + strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '_'
		}
		return r
	}, s.Display)
	for _, m := range more {
		name += fmt.Sprint("-", m)
	}
	return name
}

// x11Key is a key of the helper's own to the owner's display. It lapses with the last run, and at the latest
// keyLapses after all of them were killed.
type x11Key struct {
	xServer
	Helper  int    `json:"helper"` // uid
	Trusted bool   `json:"trusted"`
	ID      uint32 `json:"id"`
	Key     []byte `json:"key"`
	held    *x11.Conn
}

func (k *x11Key) Describe() string {
	return "a key to the display " + k.Display
}

func (k *x11Key) file() string { return k.xServer.file("x11key", k.Helper, k.Trusted) }

func (k *x11Key) key() x11.Key { return x11.Key{Name: x11.Cookie, Data: k.Key} }

// Check comes to the display with the key and stays there, so that the key does not lapse.
func (k *x11Key) Check() (bool, error) {
	if len(k.Key) == 0 {
		return false, nil
	}
	d, err := x11.ParseDisplay(k.Display)
	if err != nil {
		return false, err
	}
	c, err := x11.Dial(context.Background(), d, k.key())
	if err != nil {
		return false, nil // another server has taken the display's place, or none has
	}
	k.held = c
	go c.Drain()
	return true, nil
}

func (k *x11Key) Apply() error {
	c, _, err := k.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	id, key, err := c.GenerateKey(k.Trusted, keyLapses)
	if err != nil {
		return err
	}
	k.ID, k.Key = id, key.Data
	if ok, err := k.Check(); !ok {
		return errors.Join(errors.New("the X server does not take the key that it made"), err)
	}
	return nil
}

// Undo revokes the key, if the display still opens to it: in the place of a server that is gone there may be another,
// where the number is somebody else's.
func (k *x11Key) Undo() error {
	k.leave()
	if ok, err := k.Check(); !ok {
		return err
	}
	defer k.leave()
	c, _, err := k.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.RevokeKey(k.ID)
}

func (k *x11Key) leave() {
	if k.held != nil {
		k.held.Close()
		k.held = nil
	}
}

// x11User is the helper's place on the list of users who need no key, for servers that make no keys.
type x11User struct {
	xServer
	Helper int `json:"helper"` // uid
}

func (u *x11User) Describe() string {
	return fmt.Sprintf("the place of uid %d on the list of users of the display %s", u.Helper, u.Display)
}

func (u *x11User) file() string { return u.xServer.file("x11user", u.Helper) }

func (u *x11User) Check() (bool, error) {
	c, _, err := u.dial()
	if err != nil {
		return false, err
	}
	defer c.Close()
	return c.HasUser(u.Helper)
}

func (u *x11User) Apply() error {
	c, _, err := u.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	return c.AddUser(u.Helper)
}

// Undo takes the helper off the list. With the server its list is gone, too.
func (u *x11User) Undo() error {
	c, _, err := u.dial()
	if err != nil {
		return nil
	}
	defer c.Close()
	return c.RemoveUser(u.Helper)
}

func (u *x11User) leave() {}

// lendX11 lets the helper onto the display and returns its authority file, empty where it needs none.
func (l *lender) lendX11(server xServer, helper int, trusted bool) (authority []byte, err error) {
	key := &x11Key{xServer: server, Helper: helper, Trusted: trusted}
	err = l.lend(key)
	switch {
	case err == nil:
		d, err := x11.ParseDisplay(server.Display)
		return key.key().Authority(d), err
	case !errors.Is(err, x11.ErrNoSecurity):
		return nil, err
	case !trusted:
		return nil, fmt.Errorf("%w, so it cannot keep programs apart", err)
	}
	return nil, l.lend(&x11User{xServer: server, Helper: helper})
}
