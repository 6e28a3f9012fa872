package device

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gen2brain/alsa"
)

// address names a playback PCM as a person does: the card by id or number, or "" for the best; the device by number, or anyDevice.
type address struct {
	card   string
	device int
}

const anyDevice = -1

// playback is a playback PCM that is there.
type playback struct {
	card   alsa.SoundCard
	device alsa.SoundCardDevice
}

func parseAddress(s string) (address, error) {
	card, dev, more := strings.Cut(s, ",")
	a := address{card, anyDevice}
	if card == "" {
		return a, errors.New("no card after alsa: (as in alsa:0 or alsa:Intel,0)")
	}
	if more {
		n, err := strconv.ParseUint(dev, 10, 16)
		if err != nil {
			return a, fmt.Errorf("the device after the comma is a number, not %q", dev)
		}
		a.device = int(n)
	}
	return a, nil
}

func (a address) String() string {
	if a.device == anyDevice {
		return "alsa:" + a.card
	}
	return fmt.Sprintf("alsa:%s,%d", a.card, a.device)
}

func (p playback) address() address { return address{p.card.Name, p.device.ID} }
func (p playback) node() string {
	return fmt.Sprintf("/dev/snd/pcmC%dD%dp", p.card.ID, p.device.ID)
}

// driver is the kernel driver's name: /proc/asound/cards has "driver - short name", which Description repeats.
func (p playback) driver() string {
	driver, _, _ := strings.Cut(p.card.Description, " - ")
	return driver
}

// rank orders what a person hears through before what he probably does not: analog, then S/PDIF, then a screen's loudspeakers.
func (p playback) rank() int {
	switch name := strings.ToLower(p.device.Description); {
	case strings.Contains(name, "hdmi"), strings.Contains(name, "displayport"):
		return 2
	case strings.Contains(name, "digital"), strings.Contains(name, "iec958"), strings.Contains(name, "s/pdif"):
		return 1
	}
	return 0
}

// real tells a card from the kernel's stand-ins, snd-aloop and snd-dummy, which are used only when named.
func (p playback) real() bool { return p.driver() != "Loopback" && p.driver() != "Dummy" }

// findCard looks among the cards that are there now.
func findCard(want address) (playback, error) {
	cards, err := alsa.EnumerateCards()
	if err != nil {
		return playback{}, fmt.Errorf("no sound card: the kernel has none (load its driver, or see: lspci -nnk | grep -A3 -i audio): %w", err)
	}
	return choose(cards, want)
}

// realCards is the best playback device of each real card that is there, as --device forms, the best first.
func realCards() (forms []string) {
	cards, _ := alsa.EnumerateCards() // who has none is told by findCard
	return bestOf(cards)
}

func bestOf(cards []alsa.SoundCard) (forms []string) {
	var best []playback
	for i, c := range cards {
		if p, err := choose(cards[i:i+1], address{card: c.Name, device: anyDevice}); err == nil && p.real() {
			best = append(best, p)
		}
	}
	slices.SortStableFunc(best, func(a, b playback) int { return cmp.Compare(a.rank(), b.rank()) })
	for _, p := range best {
		forms = append(forms, p.address().String())
	}
	return forms
}

func choose(cards []alsa.SoundCard, want address) (playback, error) {
	var there, fit []playback
	for _, c := range cards {
		for _, d := range c.Devices {
			if p := (playback{c, d}); d.IsPlayback {
				there = append(there, p)
				if p.fits(want) {
					fit = append(fit, p)
				}
			}
		}
	}
	if len(fit) == 0 {
		return playback{}, missing(there, want)
	}
	return slices.MinFunc(fit, func(a, b playback) int { return cmp.Compare(a.rank(), b.rank()) }), nil
}

func (p playback) fits(want address) bool {
	if want.device != anyDevice && want.device != p.device.ID {
		return false
	}
	if want.card == "" {
		return p.real()
	}
	return want.card == p.card.Name || want.card == strconv.Itoa(p.card.ID)
}

func missing(there []playback, want address) error {
	what := "no real sound card"
	if want.card != "" {
		what = fmt.Sprintf("no playback device %s", want)
	}
	if len(there) == 0 {
		return fmt.Errorf("%s: the kernel has no card that plays (see: cat /proc/asound/cards)", what)
	}
	var names []string
	for _, p := range there {
		names = append(names, fmt.Sprintf("%s (%s)", p.address(), p.device.Description))
	}
	return fmt.Errorf("%s: there is only %s", what, strings.Join(names, ", "))
}
