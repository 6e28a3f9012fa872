package pcm

// Peak is the largest absolute value in src; 0 for nothing. A NaN counts as silence.
func Peak(src []float32) float32 {
	var hi, lo float32
	for _, x := range src {
		if x > hi {
			hi = x
		}
		if x < lo {
			lo = x
		}
	}
	return max(hi, -lo)
}

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
