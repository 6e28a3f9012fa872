package pcm

import "math/bits"

// The decoding halves of ITU-T G.711, whose 13 and 14 bit values stand at the top of 16 bits.
var aLawTable, uLawTable = func() (a, u [256]float32) {
	for i := range 256 {
		b := uint(i) ^ 0x55
		v, exp := int(b&15)<<4+8, b>>4&7
		if exp > 0 {
			v = (v + 256) << (exp - 1)
		}
		if b&0x80 == 0 {
			v = -v
		}
		a[i] = float32(v) / 32768

		b = uint(^uint8(i))
		v = (int(b&15)<<3+132)<<(b>>4&7) - 132
		if b&0x80 != 0 {
			v = -v
		}
		u[i] = float32(v) / 32768
	}
	return
}()

// aLaw is the A-law code of a 16 bit sample.
func aLaw(s int32) byte {
	sign := byte(0x80)
	if s < 0 {
		s, sign = ^s, 0
	}
	m := uint32(s) >> 4
	if exp := bits.Len32(m >> 4); exp > 1 {
		m = uint32(exp)<<4 | m>>(exp-1)&15
	}
	return (byte(m) | sign) ^ 0x55
}

// uLaw is the µ-law code of a 16 bit sample.
func uLaw(s int32) byte {
	sign := byte(0)
	if s < 0 {
		s, sign = -s, 0x80
	}
	m := min(uint32(s), 32635)>>2 + 33
	exp := bits.Len32(m) - 6
	return ^(byte(exp<<4) | byte(m>>(exp+1)&15) | sign)
}
