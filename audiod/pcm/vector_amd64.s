#include "go_asm.h"
#include "textflag.h"

// func walkFMA(w *walk)
//
// AX out, BX and CX where the filter begins in a and b, SI the row, DX frames to go, DI bytes of a row, R13 w.
TEXT ·walkFMA(SB), NOSPLIT, $0-8
	MOVQ w+0(FP), R13
	MOVQ walk_out(R13), AX
	MOVQ walk_a(R13), BX
	MOVQ walk_b(R13), CX
	MOVQ walk_frames(R13), DX
	MOVQ walk_phase(R13), SI
	MOVQ walk_taps(R13), DI
	MOVQ walk_stride(R13), R11
	MOVQ walk_second(R13), R12
	SHLQ $2, DI

frame:
	MOVQ   SI, R8
	IMULQ  DI, R8
	ADDQ   walk_coef(R13), R8
	LEAQ   (R8)(DI*1), R15
	MOVQ   BX, R9
	MOVQ   CX, R10
	VXORPS Y0, Y0, Y0
	VXORPS Y1, Y1, Y1
	VXORPS Y2, Y2, Y2
	VXORPS Y3, Y3, Y3

	// Sixteen taps of both channels, in four sums of eight lanes so that none waits for itself.
taps:
	VMOVUPS     (R8), Y4
	VMOVUPS     32(R8), Y5
	VFMADD231PS (R9), Y4, Y0
	VFMADD231PS (R10), Y4, Y1
	VFMADD231PS 32(R9), Y5, Y2
	VFMADD231PS 32(R10), Y5, Y3
	ADDQ        $64, R8
	ADDQ        $64, R9
	ADDQ        $64, R10
	CMPQ        R8, R15
	JLT         taps

	// The lanes become one sum for a and one for b, which goes first: where both are the same place, a's is right.
	VADDPS       Y2, Y0, Y0
	VADDPS       Y3, Y1, Y1
	VHADDPS      Y1, Y0, Y0
	VHADDPS      Y0, Y0, Y0
	VEXTRACTF128 $1, Y0, X1
	VADDPS       X1, X0, X0
	VEXTRACTPS   $1, X0, (AX)(R12*4)
	VMOVSS       X0, (AX)
	LEAQ         (AX)(R11*4), AX

	MOVQ walk_whole(R13), R8
	ADDQ walk_rest(R13), SI
	CMPQ SI, walk_rows(R13)
	JLT  same
	SUBQ walk_rows(R13), SI
	INCQ R8

same:
	LEAQ (BX)(R8*4), BX
	LEAQ (CX)(R8*4), CX
	DECQ DX
	JNZ  frame

	VZEROUPPER
	RET

// Five numbers to compare with and hold within, one lane each.
DATA lanes<>+0(SB)/4, $0x7FFFFFFF  // all but the sign
DATA lanes<>+4(SB)/4, $0x27800000  // quiet
DATA lanes<>+8(SB)/4, $0x7F800000  // infinity
DATA lanes<>+12(SB)/4, $0x41000000 // loud
DATA lanes<>+16(SB)/4, $0xC1000000 // -loud
GLOBL lanes<>(SB), RODATA|NOPTR, $20

// func scrubAVX2(dst *float32, src *byte, n int)
TEXT ·scrubAVX2(SB), NOSPLIT, $0-24
	MOVQ         dst+0(FP), AX
	MOVQ         src+8(FP), BX
	MOVQ         n+16(FP), CX
	VBROADCASTSS lanes<>+0(SB), Y4
	VBROADCASTSS lanes<>+4(SB), Y5
	VBROADCASTSS lanes<>+8(SB), Y6
	VBROADCASTSS lanes<>+12(SB), Y7
	VBROADCASTSS lanes<>+16(SB), Y8

eight:
	VMOVUPS (BX), Y0
	VANDPS  Y4, Y0, Y1
	VCMPPS  $0x1D, Y5, Y1, Y2 // not less than quiet, and no NaN
	VCMPPS  $0x11, Y6, Y1, Y3 // less than infinity, and no NaN
	VANDPS  Y2, Y0, Y0
	VANDPS  Y3, Y0, Y0
	VMINPS  Y7, Y0, Y0
	VMAXPS  Y8, Y0, Y0
	VMOVUPS Y0, (AX)
	ADDQ    $32, AX
	ADDQ    $32, BX
	SUBQ    $8, CX
	JG      eight

	VZEROUPPER
	RET
