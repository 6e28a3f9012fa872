package pcm

import "github.com/tphakala/simd/f32"

// Peak is the largest absolute value in src, which has no NaN; 0 for nothing.
func Peak(src []float32) float32 { return f32.MaxAbs(src) }

// Clip holds buf within ±1, in place. A NaN becomes 0.
func Clip(buf []float32) {
	for i, x := range buf {
		if !(x >= -1 && x <= 1) {
			buf[i] = clip(x)
		}
	}
}

func clip(x float32) float32 {
	switch {
	case x >= -1 && x <= 1:
		return x
	case x > 1:
		return 1
	case x < -1:
		return -1
	}
	return 0
}
