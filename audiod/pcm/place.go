package pcm

// side is where a loudspeaker stands from left to right. Mono, LFE and the auxiliary channels stand nowhere.
type side uint8

const (
	left side = 1 << iota
	right
	center
)

func sideOf(p Position) side {
	switch p {
	case FrontLeft, RearLeft, FrontLeftOfCenter, SideLeft, TopFrontLeft, TopRearLeft:
		return left
	case FrontRight, RearRight, FrontRightOfCenter, SideRight, TopFrontRight, TopRearRight:
		return right
	case FrontCenter, RearCenter, TopCenter, TopFrontCenter, TopRearCenter:
		return center
	}
	return 0
}

// count is how many of m stand on any of these sides.
func count(m ChannelMap, sides side) (n int) {
	for _, p := range m {
		if sideOf(p)&sides != 0 {
			n++
		}
	}
	return n
}

// row is where a loudspeaker stands from front to rear.
type row uint8

const (
	elsewhere row = iota
	front
	beside
	rear
)

func rowOf(p Position) row {
	switch p {
	case FrontLeft, FrontRight, FrontCenter, FrontLeftOfCenter, FrontRightOfCenter, TopFrontLeft, TopFrontRight, TopFrontCenter:
		return front
	case SideLeft, SideRight:
		return beside
	case RearLeft, RearRight, RearCenter, TopRearLeft, TopRearRight, TopRearCenter:
		return rear
	}
	return elsewhere
}

// isTwin reports whether one of p and q is the rear, the other the side loudspeaker of the same side.
func isTwin(p, q Position) bool {
	return p == RearLeft && q == SideLeft || p == SideLeft && q == RearLeft ||
		p == RearRight && q == SideRight || p == SideRight && q == RearRight
}
