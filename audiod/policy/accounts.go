package policy

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// accounts turns the --allow entries into user ids, from /etc/passwd and /etc/group as passwd(5) and group(5) describe them, and does
// so anew when one of the two files was changed. Users that only a directory service knows are allowed by number.
type accounts struct {
	passwd, group file
	users         []string // as given: login names and numbers
	groups        []string // without the @
	uids          map[uint32]bool
}

// allow takes the entries and resolves them; one that means nobody is an error.
func (a *accounts) allow(entries []string) error {
	for _, entry := range entries {
		if name, ok := strings.CutPrefix(entry, "@"); ok {
			a.groups = append(a.groups, name)
		} else {
			a.users = append(a.users, entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := a.passwd.changed(); err != nil {
		return fmt.Errorf("reading accounts: %w", err)
	}
	if _, err := a.group.changed(); err != nil {
		return fmt.Errorf("reading groups: %w", err)
	}
	return a.resolve()
}

// allowed reports whether an entry covers uid. While one of the files cannot be read the last known members stand.
func (a *accounts) allowed(uid uint32) bool {
	if len(a.users)+len(a.groups) == 0 {
		return false
	}
	p, _ := a.passwd.changed()
	g, _ := a.group.changed()
	if p || g {
		a.resolve() // an entry that has lost its account grants nothing, and is no reason to stop
	}
	return a.uids[uid]
}

// resolve computes the set of users. It names the first entry that does not exist, having resolved the others.
func (a *accounts) resolve() (unknown error) {
	type account struct{ uid, gid uint32 }
	byName := map[string]account{}
	for _, f := range a.passwd.records(4) { // name:password:uid:gid:…
		uid, uerr := parseID(f[2])
		gid, gerr := parseID(f[3])
		if uerr == nil && gerr == nil {
			byName[f[0]] = account{uid, gid}
		}
	}
	a.uids = map[uint32]bool{}
	for _, user := range a.users {
		if acc, ok := byName[user]; ok {
			a.uids[acc.uid] = true
		} else if uid, err := parseID(user); err == nil {
			a.uids[uid] = true
		} else if unknown == nil {
			unknown = fmt.Errorf("there is no user %q to allow: check the spelling with getent passwd, or give the number", user)
		}
	}
	for _, group := range a.groups {
		found := false
		for _, f := range a.group.records(4) { // name:password:gid:member,member
			gid, err := parseID(f[2])
			if f[0] != group || err != nil {
				continue
			}
			found = true
			for _, acc := range byName {
				if acc.gid == gid {
					a.uids[acc.uid] = true
				}
			}
			for member := range strings.SplitSeq(f[3], ",") {
				if acc, ok := byName[member]; ok {
					a.uids[acc.uid] = true
				}
			}
		}
		if !found && unknown == nil {
			unknown = fmt.Errorf("there is no group %q in /etc/group to allow: create it with groupadd %s, or check the spelling", group, group)
		}
	}
	return unknown
}

// parseID reads a user or group number; NoID is none.
func parseID(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, err
	}
	if uint32(n) == NoID {
		return 0, fmt.Errorf("%d is not a user or group", n)
	}
	return uint32(n), nil
}

// file is a text file that is read again only when stat(2) shows it was changed.
type file struct {
	path string
	seen unix.Stat_t
	text string
}

// changed brings text up to date and reports whether it had to.
func (f *file) changed() (bool, error) {
	var st unix.Stat_t
	if err := unix.Stat(f.path, &st); err != nil {
		return false, &os.PathError{Op: "stat", Path: f.path, Err: err}
	}
	if st.Ino == f.seen.Ino && st.Dev == f.seen.Dev && st.Size == f.seen.Size && st.Mtim == f.seen.Mtim && st.Ctim == f.seen.Ctim {
		return false, nil
	}
	const limit = 16 << 20 // far above any real account file
	r, err := os.Open(f.path)
	if err != nil {
		return false, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit))
	if err != nil {
		return false, err
	}
	f.text, f.seen = string(b), st // st is from before the read: what changed meanwhile is seen next time
	return true, nil
}

// records are the lines of f split at colons, those with fewer than fields of them left out.
func (f *file) records(fields int) [][]string {
	var all [][]string
	for line := range strings.Lines(f.text) {
		if r := strings.Split(strings.TrimSuffix(line, "\n"), ":"); len(r) >= fields {
			all = append(all, r)
		}
	}
	return all
}
