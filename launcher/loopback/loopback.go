// Package loopback is the loopback device of a network namespace, which is down in a new one.
package loopback

import "golang.org/x/sys/unix"

// Up puts the device up in the namespace of the calling thread, which takes CAP_NET_ADMIN there (netdevice(7)).
func Up() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}
