package mixer

import (
	"math"
	"time"
)

// meter holds a peak that falls by 20 dB a second, so that whoever looks now and then sees what was loud of late.
type meter struct {
	peak float32
	at   time.Duration
}

func (m *meter) add(peak float32, now time.Duration) {
	if peak < m.peak {
		peak = max(peak, m.read(now))
	}
	m.peak, m.at = peak, now
}

func (m *meter) read(now time.Duration) float32 {
	if m.peak == 0 {
		return 0
	}
	fallen := m.peak * float32(math.Exp(-math.Ln10*(now-m.at).Seconds()))
	if fallen < 1e-6 {
		return 0
	}
	return fallen
}
