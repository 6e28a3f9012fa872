package device

import (
	"testing"
	"unsafe"

	"github.com/gen2brain/alsa"
)

// The sizes are part of the numbers of the calls.
func TestControlStructures(t *testing.T) {
	for name, c := range map[string]struct{ size, request uintptr }{
		"card info":     {unsafe.Sizeof(cardInfo{}), alsa.SNDRV_CTL_IOCTL_CARD_INFO},
		"element list":  {unsafe.Sizeof(elementList{}), alsa.SNDRV_CTL_IOCTL_ELEM_LIST},
		"element info":  {unsafe.Sizeof(elementInfo{}), alsa.SNDRV_CTL_IOCTL_ELEM_INFO},
		"element value": {unsafe.Sizeof(elementValue{}), alsa.SNDRV_CTL_IOCTL_ELEM_READ},
	} {
		if want := c.request >> 16 & 0x3fff; c.size != want {
			t.Errorf("%s: %d bytes, the kernel has %d", name, c.size, want)
		}
	}
	if size := unsafe.Sizeof(elementEvent{}); size != 72 {
		t.Errorf("event: %d bytes", size)
	}
}
