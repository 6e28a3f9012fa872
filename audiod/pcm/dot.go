package pcm

// dot2go is the sums of h·a and h·b. Their lengths are equal and a multiple of 16.
func dot2go(h, a, b []float32) (float32, float32) {
	a, b = a[:len(h)], b[:len(h)]
	var a0, a1, a2, a3, b0, b1, b2, b3 float32
	for i := 0; i+3 < len(h); i += 4 {
		h, a, b := h[i:i+4:i+4], a[i:i+4:i+4], b[i:i+4:i+4]
		a0 += h[0] * a[0]
		b0 += h[0] * b[0]
		a1 += h[1] * a[1]
		b1 += h[1] * b[1]
		a2 += h[2] * a[2]
		b2 += h[2] * b[2]
		a3 += h[3] * a[3]
		b3 += h[3] * b[3]
	}
	return a0 + a1 + (a2 + a3), b0 + b1 + (b2 + b3)
}
