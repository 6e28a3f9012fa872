package session

import (
	osuser "os/user"
	"strconv"

	"sandbox-audio/audiod/native"
	"sandbox-audio/audiod/policy"
)

// What a helper's program says of itself may be anything at all. To the owner it is shown cleaned, and the kernel's word on whose it is beside
// it: the program called "System Sounds" is then "System Sounds (me-sandbox)".

// attested are the properties of something of other's as this client may see them.
func (c *Session) attested(other *Session, props native.PropList) native.PropList {
	if c.user == other.user || other.grant == policy.Owner {
		return props
	}
	var clean native.PropList
	for _, p := range props {
		switch p.Key {
		case "application.process.user", "application.process.id", "application.process.binary", "application.process.host", "application.process.machine_id",
			"application.process.session_id":
		default:
			text, _ := props.Get(p.Key)
			text = native.Clean(text)
			if p.Key == "application.name" {
				text += other.user.mark()
			}
			clean = append(clean, native.Text(p.Key, text)...)
		}
	}
	known := native.Text("application.process.user", other.user.name, "application.process.binary", program(other.peer.PID))
	if other.peer.PID != 0 {
		known = append(known, native.Text("application.process.id", strconv.Itoa(int(other.peer.PID)))...)
	}
	return append(clean, known...)
}

// attestedName is a name that other has chosen for itself.
func (c *Session) attestedName(other *Session, name string) string {
	if c.user == other.user || other.grant == policy.Owner {
		return name
	}
	return native.Clean(name) + other.user.mark()
}

// mark tells whose something is.
func (u *user) mark() string { return " (" + u.name + ")" }

// userName is the account of uid, or the number where there is none.
func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := osuser.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
