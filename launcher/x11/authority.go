package x11

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
)

// Key is what a client shows to be let in.
type Key struct {
	Name string // the authorization protocol; the only one used here is Cookie
	Data []byte
}

// Cookie is the protocol whose key is a shared secret.
const Cookie = "MIT-MAGIC-COOKIE-1"

// Families of addresses in an authority file (Xauth.h).
const (
	familyInternet  = 0
	familyInternet6 = 6
	familyLocal     = 256
	familyWild      = 65535
)

// entry is one record of an authority file: the key for one display.
type entry struct {
	family  uint16
	address string
	number  string
	key     Key
}

// AuthorityPath is the file where a client with these variables looks for keys; empty when there is no telling.
func AuthorityPath(getenv func(string) string) string {
	if path := getenv("XAUTHORITY"); path != "" {
		return path
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".Xauthority")
	}
	return ""
}

// ReadKey looks for the key of the display in an authority file. Without a file or a fitting entry it is the zero Key
// and no error: the server may let its own user in without.
func ReadKey(path string, d Display) (Key, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) || path == "" {
		return Key{}, nil
	}
	if err != nil {
		return Key{}, err
	}
	family, address := d.address()
	number := strconv.Itoa(d.Number)
	for len(text) > 0 {
		var e entry
		if e, text, err = parseEntry(text); err != nil {
			return Key{}, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		here := e.family == familyWild || e.family == family && e.address == address
		if here && (e.number == "" || e.number == number) && e.key.Name == Cookie {
			return e.key, nil // the first that fits, as in XauGetBestAuthByAddr(3)
		}
	}
	return Key{}, nil
}

// address is how authority files call the display's machine.
func (d Display) address() (family uint16, address string) {
	if d.Host != "" {
		if addrs, err := net.LookupHost(d.Host); err == nil && len(addrs) > 0 {
			if ip, err := netip.ParseAddr(addrs[0]); err == nil && !ip.IsLoopback() {
				if ip.Unmap().Is4() {
					return familyInternet, string(ip.Unmap().AsSlice())
				}
				return familyInternet6, string(ip.AsSlice())
			}
		}
	}
	if name := os.Getenv("XAUTHLOCALHOSTNAME"); name != "" { // set where the host's name changes while a session lasts
		return familyLocal, name
	}
	name, _ := os.Hostname()
	return familyLocal, name
}

var errAuthority = errors.New("this is not an authority file")

func parseEntry(text []byte) (e entry, rest []byte, err error) {
	if len(text) < 2 {
		return e, nil, errAuthority
	}
	e.family = binary.BigEndian.Uint16(text)
	text = text[2:]
	var data string
	for _, field := range []*string{&e.address, &e.number, &e.key.Name, &data} {
		if len(text) < 2 {
			return e, nil, errAuthority
		}
		n := int(binary.BigEndian.Uint16(text))
		if len(text) < 2+n {
			return e, nil, errAuthority
		}
		*field, text = string(text[2:2+n]), text[2+n:]
	}
	e.key.Data = []byte(data)
	return e, text, nil
}

// Authority is an authority file with the one key for the display, whatever the machine is called.
func (k Key) Authority(d Display) []byte {
	text := binary.BigEndian.AppendUint16(nil, familyWild)
	for _, field := range []string{"", strconv.Itoa(d.Number), k.Name, string(k.Data)} {
		text = binary.BigEndian.AppendUint16(text, uint16(len(field)))
		text = append(text, field...)
	}
	return text
}
