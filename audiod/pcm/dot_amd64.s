#include "textflag.h"

// func dot2fma(h, a, b *float32, n int) (float32, float32)
//
// Sixteen taps of both channels a turn, in four sums of eight lanes, so that each waits for itself as little as possible.
TEXT ·dot2fma(SB), NOSPLIT, $0-40
	MOVQ   h+0(FP), AX
	MOVQ   a+8(FP), BX
	MOVQ   b+16(FP), CX
	MOVQ   n+24(FP), DX
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

turn:
	VMOVUPS     (AX), Y4
	VMOVUPS     32(AX), Y5
	VFMADD231PS (BX), Y4, Y0
	VFMADD231PS (CX), Y4, Y1
	VFMADD231PS 32(BX), Y5, Y2
	VFMADD231PS 32(CX), Y5, Y3
	ADDQ        $64, AX
	ADDQ        $64, BX
	ADDQ        $64, CX
	SUBQ        $16, DX
	JG          turn

	// Eight lanes of a and of b become one of each.
	VADDPS       Y2, Y0, Y0
	VADDPS       Y3, Y1, Y1
	VHADDPS      Y1, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VMOVSS       X0, ret+32(FP)
	VPSRLQ       $32, X0, X0
	VMOVSS       X0, ret1+36(FP)
	VZEROUPPER
	RET
