package launcher

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// acl is an access control list as the kernel keeps it (acl(5)), with named users but no named groups.
type acl struct {
	owner, group, mask, other uint16
	users                     map[uint32]uint16
}

// The extended attributes that hold the lists, and the tags of their entries (linux/posix_acl_xattr.h, posix_acl.h).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"

	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclMask     = 0x10
	aclOther    = 0x20
	aclNoID     = 0xffffffff
)

// Permissions of an entry.
const (
	aclExecute = 1
	aclWrite   = 2
	aclRead    = 4
	aclAll     = aclRead | aclWrite | aclExecute
)

func (a *acl) bytes(ids ...uint32) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	entry := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	entry(aclUserObj, a.owner, aclNoID)
	for _, id := range ids {
		entry(aclUser, a.users[id], id)
	}
	entry(aclGroupObj, a.group, aclNoID)
	entry(aclMask, a.mask, aclNoID)
	entry(aclOther, a.other, aclNoID)
	return b
}

func parseACL(b []byte) (*acl, error) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != aclVersion || len(b)%8 != 4 {
		return nil, errors.New("an access control list of an unknown form")
	}
	a := &acl{users: map[uint32]uint16{}}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		perm, id := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
		switch binary.LittleEndian.Uint16(b) {
		case aclUserObj:
			a.owner = perm
		case aclUser:
			a.users[id] = perm
		case aclGroupObj:
			a.group = perm
		case aclMask:
			a.mask = perm
		case aclOther:
			a.other = perm
		}
	}
	return a, nil
}

// getACL reads a list of a file that is held open, if only by O_PATH; nil when it has none.
func getACL(fd uintptr, name string) (*acl, error) {
	buf := make([]byte, 4+8*32)
	n, err := unix.Getxattr(fdPath(fd), name, buf)
	if err == unix.ENODATA {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read an access control list: %w", err)
	}
	return parseACL(buf[:n])
}

func setACL(fd uintptr, name string, text []byte) error {
	err := unix.Setxattr(fdPath(fd), name, text, 0)
	if err == unix.EOPNOTSUPP {
		return fmt.Errorf("the file system knows no access control lists: %w", err)
	}
	return err
}

// fdPath is a name for an open file, whatever has become of its own.
func fdPath(fd uintptr) string { return fmt.Sprintf("/proc/self/fd/%d", fd) }
