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

// address names a PCM as a person does: the card by id or number, or "" for the best; the device by number, or anyDevice.
type address struct {
	card    string
	device  int
	capture bool // of the two PCMs that a device may have, the one that captures
}

const anyDevice = -1

// endpoint is a PCM that is there.
type endpoint struct {
	card   alsa.SoundCard
	device alsa.SoundCardDevice
}

func parseAddress(s string, capture bool) (address, error) {
	card, dev, more := strings.Cut(s, ",")
	a := address{card, anyDevice, capture}
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

func (p endpoint) capture() bool    { return !p.device.IsPlayback }
func (p endpoint) address() address { return address{p.card.Name, p.device.ID, p.capture()} }

// direction is the letter by which the kernel tells a device's two PCMs apart.
func (p endpoint) direction() string {
	if p.capture() {
		return "c"
	}
	return "p"
}

func (p endpoint) node() string {
	return fmt.Sprintf("/dev/snd/pcmC%dD%d%s", p.card.ID, p.device.ID, p.direction())
}

// driver is the kernel driver's name: /proc/asound/cards has "driver - short name", which Description repeats.
func (p endpoint) driver() string {
	driver, _, _ := strings.Cut(p.card.Description, " - ")
	return driver
}

// rank orders what a person hears or speaks through before what he probably does not: analog, then S/PDIF, then a screen's loudspeakers.
func (p endpoint) rank() int {
	switch name := strings.ToLower(p.device.Description); {
	case strings.Contains(name, "hdmi"), strings.Contains(name, "displayport"):
		return 2
	case strings.Contains(name, "digital"), strings.Contains(name, "iec958"), strings.Contains(name, "s/pdif"):
		return 1
	}
	return 0
}

// real tells a card from the kernel's stand-ins, snd-aloop and snd-dummy, which are used only when named.
func (p endpoint) real() bool { return p.driver() != "Loopback" && p.driver() != "Dummy" }

// findCard looks among the cards that are there now.
func findCard(want address) (endpoint, error) {
	cards, err := alsa.EnumerateCards()
	if err != nil {
		return endpoint{}, fmt.Errorf("no sound card: the kernel has none (load its driver, or see: lspci -nnk | grep -A3 -i audio): %w", err)
	}
	return choose(cards, want)
}

// realCards is the best playback or capture device of each real card that is there, as --device or --source forms, the best first.
func realCards(capture bool) (forms []string) {
	cards, _ := alsa.EnumerateCards() // who has none is told by findCard
	return bestOf(cards, capture)
}

func bestOf(cards []alsa.SoundCard, capture bool) (forms []string) {
	var best []endpoint
	for i, c := range cards {
		if p, err := choose(cards[i:i+1], address{c.Name, anyDevice, capture}); err == nil && p.real() {
			best = append(best, p)
		}
	}
	slices.SortStableFunc(best, byRank)
	for _, p := range best {
		forms = append(forms, p.address().String())
	}
	return forms
}

func choose(cards []alsa.SoundCard, want address) (endpoint, error) {
	var there, fit []endpoint
	for _, c := range cards {
		for _, d := range c.Devices {
			if p := (endpoint{c, d}); p.capture() == want.capture {
				there = append(there, p)
				if p.fits(want) {
					fit = append(fit, p)
				}
			}
		}
	}
	if len(fit) == 0 {
		return endpoint{}, missing(there, want)
	}
	return slices.MinFunc(fit, byRank), nil
}

func byRank(a, b endpoint) int { return cmp.Compare(a.rank(), b.rank()) }

func (p endpoint) fits(want address) bool {
	if want.device != anyDevice && want.device != p.device.ID {
		return false
	}
	if want.card == "" {
		return p.real()
	}
	return want.card == p.card.Name || want.card == strconv.Itoa(p.card.ID)
}

func missing(there []endpoint, want address) error {
	does, kind := "plays", "playback"
	if want.capture {
		does, kind = "captures", "capture"
	}
	what := "no real sound card"
	if want.card != "" {
		what = fmt.Sprintf("no %s device %s", kind, want)
	}
	if len(there) == 0 {
		return fmt.Errorf("%s: the kernel has no card that %s (see: cat /proc/asound/cards)", what, does)
	}
	var names []string
	for _, p := range there {
		names = append(names, fmt.Sprintf("%s (%s)", p.address(), p.device.Description))
	}
	return fmt.Errorf("%s: there is only %s", what, strings.Join(names, ", "))
}
