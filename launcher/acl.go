package launcher

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"golang.org/x/sys/unix"
)

// acl is an access control list as the kernel keeps it (acl(5)).
type acl struct {
	owner, group, mask, other uint16
	users, groups             map[uint32]uint16 // named ones
}

// modeACL is a mode as a list.
func modeACL(mode fs.FileMode) *acl {
	perm := uint16(mode.Perm())
	return &acl{owner: perm >> 6, group: perm >> 3 & 7, other: perm & 7, users: map[uint32]uint16{}}
}

// widen makes the mask the least that limits no entry, as setfacl(1) does.
func (a *acl) widen() {
	a.mask = a.group
	for _, named := range []map[uint32]uint16{a.users, a.groups} {
		for _, perm := range named {
			a.mask |= perm
		}
	}
}

// The extended attributes that hold the lists, and the tags of their entries (linux/posix_acl_xattr.h, posix_acl.h).
const (
	aclAccess  = "system.posix_acl_access"
	aclDefault = "system.posix_acl_default"

	aclVersion  = 2
	aclUserObj  = 0x01
	aclUser     = 0x02
	aclGroupObj = 0x04
	aclGroup    = 0x08
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

// bytes is the list as the kernel takes it: entries in order, and a mask if there are named ones.
func (a *acl) bytes() []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	entry := func(tag, perm uint16, id uint32) {
		b = binary.LittleEndian.AppendUint16(b, tag)
		b = binary.LittleEndian.AppendUint16(b, perm)
		b = binary.LittleEndian.AppendUint32(b, id)
	}
	named := func(tag uint16, perms map[uint32]uint16) {
		for _, id := range slices.Sorted(maps.Keys(perms)) {
			entry(tag, perms[id], id)
		}
	}
	entry(aclUserObj, a.owner, aclNoID)
	named(aclUser, a.users)
	entry(aclGroupObj, a.group, aclNoID)
	named(aclGroup, a.groups)
	if len(a.users)+len(a.groups) > 0 {
		entry(aclMask, a.mask, aclNoID)
	}
	entry(aclOther, a.other, aclNoID)
	return b
}

func parseACL(b []byte) (*acl, error) {
	if len(b) < 4 || binary.LittleEndian.Uint32(b) != aclVersion || len(b)%8 != 4 {
		return nil, errors.New("an access control list of an unknown form")
	}
	a := &acl{users: map[uint32]uint16{}, groups: map[uint32]uint16{}}
	for b = b[4:]; len(b) > 0; b = b[8:] {
		perm, id := binary.LittleEndian.Uint16(b[2:]), binary.LittleEndian.Uint32(b[4:])
		switch binary.LittleEndian.Uint16(b) {
		case aclUserObj:
			a.owner = perm
		case aclUser:
			a.users[id] = perm
		case aclGroupObj:
			a.group = perm
		case aclGroup:
			a.groups[id] = perm
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
