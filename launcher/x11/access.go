package x11

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// ErrNoSecurity tells that the server lacks the SECURITY extension.
var ErrNoSecurity = errors.New("the X server has no SECURITY extension")

var errShort = errors.New("the X server's answer is too short")

// security returns the number of the SECURITY extension's requests.
func (c *Conn) security() (major byte, err error) {
	const queryExtension, name = 98, "SECURITY"
	b := []byte{queryExtension, 0, 0, 0}
	b = le.AppendUint16(b, uint16(len(name)))
	b = le.AppendUint16(b, 0)
	reply, err := c.request(appendPadded(b, name))
	if err != nil {
		return 0, err
	}
	if reply == nil || reply[8] == 0 {
		return 0, ErrNoSecurity
	}
	return reply[9], nil
}

// GenerateKey makes a new key and its number. The key lapses when no client has been connected with it for so long.
// A client with a trusted key may do what any may; one with an untrusted key sees nothing of the others' windows and
// keys (SecurityGenerateAuthorization). The error is ErrNoSecurity where the extension is missing.
func (c *Conn) GenerateKey(trusted bool, lapse time.Duration) (id uint32, key Key, err error) {
	const generate = 1
	const timeout, trustLevel = 1 << 0, 1 << 1
	major, err := c.security()
	if err != nil {
		return 0, Key{}, err
	}
	level := uint32(0)
	if !trusted {
		level = 1
	}
	b := []byte{major, generate, 0, 0}
	b = le.AppendUint16(b, uint16(len(Cookie)))
	b = le.AppendUint16(b, 0) // the server makes the data up
	b = le.AppendUint32(b, timeout|trustLevel)
	b = appendPadded(b, Cookie)
	b = le.AppendUint32(b, uint32(lapse/time.Second))
	b = le.AppendUint32(b, level)
	reply, err := c.request(b)
	if err != nil {
		return 0, Key{}, err
	}
	if len(reply) < 32 {
		return 0, Key{}, errShort
	}
	n := int(le.Uint16(reply[12:]))
	if n == 0 || len(reply) < 32+n {
		return 0, Key{}, errShort
	}
	return le.Uint32(reply[8:]), Key{Name: Cookie, Data: reply[32 : 32+n]}, nil
}

// RevokeKey ends a key, and the connections of those who came with it. A key that is not there is no error.
func (c *Conn) RevokeKey(id uint32) error {
	const revoke = 2
	major, err := c.security()
	if err != nil {
		return err
	}
	_, err = c.request(le.AppendUint32([]byte{major, revoke, 0, 0}, id))
	var xerr *Error
	if errors.As(err, &xerr) && xerr.Major == major && xerr.Code >= firstExtensionError {
		return nil // BadAuthorization
	}
	return err
}

// firstExtensionError is the lowest error code that an extension can have.
const firstExtensionError = 128

const (
	changeHosts       = 109
	listHosts         = 110
	hostInsert        = 0
	hostDelete        = 1
	familyInterpreted = 5 // server-interpreted: kind NUL value
	localUser         = "localuser\x00"
)

// AddUser lets every process of a user of this machine in without a key.
func (c *Conn) AddUser(uid int) error { return c.changeHosts(hostInsert, uid) }

// RemoveUser takes that back. A user who is not on the list is no error.
func (c *Conn) RemoveUser(uid int) error { return c.changeHosts(hostDelete, uid) }

func (c *Conn) changeHosts(mode byte, uid int) error {
	address := userAddress(uid)
	b := []byte{changeHosts, mode, 0, 0, familyInterpreted, 0}
	b = le.AppendUint16(b, uint16(len(address)))
	_, err := c.request(appendPadded(b, address))
	return err
}

func userAddress(uid int) string { return localUser + "#" + strconv.Itoa(uid) }

// HasUser reports whether the user is on the list of those who need no key.
func (c *Conn) HasUser(uid int) (bool, error) {
	reply, err := c.request([]byte{listHosts, 0, 0, 0})
	if err != nil {
		return false, err
	}
	if len(reply) < 32 {
		return false, errShort
	}
	hosts := reply[32:]
	for range le.Uint16(reply[8:]) {
		if len(hosts) < 4 {
			return false, errShort
		}
		family, n := hosts[0], int(le.Uint16(hosts[2:]))
		whole := 4 + n + pad(n)
		if len(hosts) < whole {
			return false, errShort
		}
		if address := string(hosts[4 : 4+n]); family == familyInterpreted && strings.TrimRight(address, "\x00") == userAddress(uid) {
			return true, nil
		}
		hosts = hosts[whole:]
	}
	return false, nil
}
