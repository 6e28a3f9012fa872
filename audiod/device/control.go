package device

import (
	"bytes"
	"errors"
	"fmt"
	"unsafe"

	"github.com/gen2brain/alsa"
	"golang.org/x/sys/unix"
)

// The kernel's control interface (include/uapi/sound/asound.h): a card's volumes, switches and jacks. gen2brain/alsa has one too, but it takes
// the values of all channels but the first from the wrong place on 64 bits, has the bit and the number of TLV wrong, and loses events.

// element is one control of a card.
type element struct {
	id        elementID
	name      string
	kind      alsa.MixerCtlType
	access    uint32
	count     int      // values, one for each channel
	low, high int      // of integers
	items     []string // of enumerations, whose values are indices into them
}

// elementID is struct snd_ctl_elem_id.
type elementID struct {
	numid             uint32
	iface             int32
	device, subdevice uint32
	name              [44]byte
	index             uint32
}

// elementInfo is struct snd_ctl_elem_info. Its bounds are those of integers, or enumeratedInfo.
type elementInfo struct {
	id            elementID
	kind          alsa.MixerCtlType
	access, count uint32
	owner         int32
	bounds        [128 / unsafe.Sizeof(int(0))]int // lowest, highest, step
	_             [64]byte
}

// enumeratedInfo is what elementInfo has of an enumeration: the kernel tells the name of one item at a time.
type enumeratedInfo struct {
	items, item uint32
	name        [64]byte
}

// elementList is struct snd_ctl_elem_list.
type elementList struct {
	offset, space, used, count uint32
	ids                        unsafe.Pointer
	_                          [50]byte
}

// elementValue is struct snd_ctl_elem_value. Enumerations have 32 bits a value, integers and booleans a C long.
type elementValue struct {
	id       elementID
	indirect uint
	value    [128]int
	_        [128]byte
}

// cardInfo is struct snd_ctl_card_info.
type cardInfo struct {
	number     int32
	_          int32
	id, driver [16]byte
	name       [32]byte
	longName   [80]byte
	_          [16]byte
	mixerName  [80]byte
	components [128]byte
}

// elementEvent is struct snd_ctl_event. The kernel gives whole ones, as many as fit.
type elementEvent struct {
	kind int32
	mask uint32
	id   elementID
}

const (
	ifaceCard  = 0 // SNDRV_CTL_ELEM_IFACE_CARD: where jacks are
	ifaceMixer = 2

	accessRead     = 1 << 0 // SNDRV_CTL_ELEM_ACCESS_…
	accessWrite    = 1 << 1
	accessTLV      = 1 << 4
	accessInactive = 1 << 8
	accessUser     = 1 << 29

	ioctlTLVRead = 0xC008551A // SNDRV_CTL_IOCTL_TLV_READ

	maxElements = 4096
	maxItems    = 64   // of an enumeration
	maxTLV      = 4096 // bytes: as much as alsa-lib takes
)

// control is a card's open control node. Its calls may wait for the hardware: some milliseconds on USB, a second where that does not answer.
type control int

func openControl(card int) (control, error) {
	fd, err := unix.Open(fmt.Sprintf("/dev/snd/controlC%d", card), unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return control(fd), err
}

func (c control) close() { unix.Close(int(c)) }

func (c control) ioctl(request uintptr, arg unsafe.Pointer) error {
	return ioctl(uintptr(c), request, arg)
}

func (c control) info() (info cardInfo, err error) {
	err = c.ioctl(alsa.SNDRV_CTL_IOCTL_CARD_INFO, unsafe.Pointer(&info))
	return info, err
}

// elements are those that can be read, in the kernel's order, without the ones that other programs have made.
func (c control) elements() (all []element, err error) {
	var list elementList
	if err := c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_LIST, unsafe.Pointer(&list)); err != nil {
		return nil, err
	}
	ids := make([]elementID, min(list.count, maxElements)+1)
	list = elementList{space: uint32(len(ids)), ids: unsafe.Pointer(&ids[0])}
	if err := c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_LIST, unsafe.Pointer(&list)); err != nil {
		return nil, err
	}
	for _, id := range ids[:min(int(list.used), len(ids))] {
		info := elementInfo{id: id}
		if err := c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_INFO, unsafe.Pointer(&info)); errors.Is(err, unix.ENOENT) {
			continue // gone since
		} else if err != nil {
			return nil, err
		}
		e := element{id: info.id, name: text(info.id.name[:]), kind: info.kind, access: info.access, count: int(info.count)}
		if e.access&(accessRead|accessInactive|accessUser) != accessRead || e.count < 1 || e.count > len(elementValue{}.value) {
			continue
		}
		switch e.kind {
		case alsa.SNDRV_CTL_ELEM_TYPE_BOOLEAN:
			e.high = 1
		case alsa.SNDRV_CTL_ELEM_TYPE_INTEGER:
			e.low, e.high = info.bounds[0], info.bounds[1]
		case alsa.SNDRV_CTL_ELEM_TYPE_ENUMERATED:
			e.items = c.items(info)
		}
		all = append(all, e)
	}
	return all, nil
}

// items are the names in an enumeration.
func (c control) items(info elementInfo) (names []string) {
	e := (*enumeratedInfo)(unsafe.Pointer(&info.bounds))
	for i := range min(e.items, maxItems) {
		if e.item = i; c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_INFO, unsafe.Pointer(&info)) != nil {
			break
		}
		names = append(names, text(e.name[:]))
	}
	return names
}

// read gives the values of an element.
func (c control) read(e element) ([]int, error) {
	v := elementValue{id: e.id}
	if err := c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_READ, unsafe.Pointer(&v)); err != nil {
		return nil, err
	}
	values := make([]int, e.count)
	for i := range values {
		if values[i] = v.value[i]; e.items != nil {
			values[i] = int(v.enumerated()[i])
		}
	}
	return values, nil
}

// write sets the values of an element.
func (c control) write(e element, values []int) error {
	v := elementValue{id: e.id}
	for i, value := range values {
		if e.items != nil {
			v.enumerated()[i] = uint32(value)
		} else {
			v.value[i] = value
		}
	}
	return c.ioctl(alsa.SNDRV_CTL_IOCTL_ELEM_WRITE, unsafe.Pointer(&v))
}

func (v *elementValue) enumerated() *[128]uint32 { return (*[128]uint32)(unsafe.Pointer(&v.value)) }

// scale is what the driver tells of an element's gains.
func (c control) scale(e element) (scale, error) {
	if e.access&accessTLV == 0 {
		return nil, errors.New("its driver tells no dB")
	}
	var b struct {
		numid, length uint32
		tlv           [maxTLV / 4]uint32
	}
	b.numid, b.length = e.id.numid, maxTLV
	if err := c.ioctl(ioctlTLVRead, unsafe.Pointer(&b)); err != nil {
		return nil, err
	}
	length := 2 + min(int64(b.tlv[1])/4, int64(len(b.tlv)-2)) // the one entry that all else is in
	return parseScale(b.tlv[:length], e.low, e.high)
}

// subscribe has the node tell of changes, those made through it too.
func (c control) subscribe() error {
	yes := int32(1)
	return c.ioctl(alsa.SNDRV_CTL_IOCTL_SUBSCRIBE_EVENTS, unsafe.Pointer(&yes))
}

// drain takes the events that wait and tells which of them there were. It does not block.
func (c control) drain() (mask uint32, err error) {
	const size = int(unsafe.Sizeof(elementEvent{}))
	var events [16]elementEvent
	for range 64 { // what comes without end is taken up again in the next turn
		n, err := unix.Read(int(c), unsafe.Slice((*byte)(unsafe.Pointer(&events[0])), len(events)*size))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EAGAIN) || err == nil && n < size {
			return mask, nil
		}
		if err != nil {
			return mask, err
		}
		for _, e := range events[:n/size] {
			mask |= e.mask
		}
	}
	return mask, nil
}

// text is a string in a kernel structure.
func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
