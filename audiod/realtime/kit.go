package realtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// RealtimeKit (org.freedesktop.RealtimeKit1.xml of rtkit 0.13): it looks whether the process is its caller's, whether RLIMIT_RTTIME is set,
// and asks polkit whether the caller sits at the machine.
const (
	kit       = "org.freedesktop.RealtimeKit1"
	kitObject = dbus.ObjectPath("/org/freedesktop/RealtimeKit1")
	kitTime   = 5 * time.Second // the service may have to be started
)

func realtimeByKit(process, thread int) (int, error) {
	return byKit("MaxRealtimePriority", func(most int, call caller) (int, error) {
		level := min(priority, most)
		return level, call("MakeThreadRealtimeWithPID", uint64(process), uint64(thread), uint32(level))
	})
}

func niceByKit(process, thread int) (int, error) {
	return byKit("MinNiceLevel", func(least int, call caller) (int, error) {
		level := max(nice, least)
		return level, call("MakeThreadHighPriorityWithPID", uint64(process), uint64(thread), int32(level))
	})
}

// caller calls a method of RealtimeKit's.
type caller func(method string, args ...any) error

// byKit joins the system bus for one request, with a bound that RealtimeKit has set.
func byKit(bound string, request func(bound int, call caller) (int, error)) (level int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), kitTime)
	defer cancel()
	bus, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return 0, fmt.Errorf("rtkit is not there: joining the system bus: %w", err)
	}
	defer bus.Close()
	object := bus.Object(kit, kitObject)
	value, err := object.GetProperty(kit + "." + bound)
	if err != nil {
		return 0, refusal(err)
	}
	n, ok := value.Value().(int32)
	if !ok {
		return 0, fmt.Errorf("rtkit: %s is no number but %v", bound, value)
	}
	return request(int(n), func(method string, args ...any) error {
		if err := object.CallWithContext(ctx, kit+"."+method, 0, args...).Err; err != nil {
			return refusal(err)
		}
		return nil
	})
}

// refusal says what a D-Bus error means here.
func refusal(err error) error {
	var e dbus.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("rtkit: %w", err)
	}
	switch e.Name {
	case "org.freedesktop.DBus.Error.ServiceUnknown":
		return errors.New("rtkit is not installed")
	case "org.freedesktop.DBus.Error.AccessDenied":
		return errors.New("rtkit refuses: it serves who sits at the machine")
	}
	return fmt.Errorf("rtkit refuses: %w", err)
}
