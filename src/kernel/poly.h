// poly.h - the constants of our exp, tanh and GELU, shared by scalar.c (which writes the formulas down) and rows.h (the
// same formulas, 16 lanes at a time). Coefficients are weighted minimax fits, rounded to float; every step is one fma.
#ifndef PARE_KERNEL_POLY_H
#define PARE_KERNEL_POLY_H

// 2^x = 2^n 2^r, n = round(x), r = x - n, |r| <= 1/2.
// Adding 1.5 * 2^23 rounds to an integer (half to even) and leaves n in the low bits of the float, from where a shift
// by 23 moves it to the exponent.
#define EXP2_MAGIC 12582912.0f
// 2^r = 1 + r C(r), C(r) = C1 + r (C2 + r (C3 + r (C4 + r (C5 + r C6)))): relative error 3.0e-9 before rounding, below
// 1 ulp after. r C(r) alone is 2^r - 1, good to the last bits near 0, which tanh needs.
#define EXP2_C1 0x1.62e430p-1f
#define EXP2_C2 0x1.ebfbdcp-3f
#define EXP2_C3 0x1.c6af7cp-5f
#define EXP2_C4 0x1.3b2de0p-7f
#define EXP2_C5 0x1.5f082ep-10f
#define EXP2_C6 0x1.416b52p-13f
// x is clamped to where the exponent field is all zeros or all ones: the scale is 0 from n = -127 down, infinity from
// n = 128 up, and so is the answer.
#define EXP2_MIN (-127.0f)
#define EXP2_MAX 128.0f

// exp(x) = 2^(x log2 e): n = round(x log2 e), and r = x log2 e - n with log2 e in two parts, the first product exact
// within its fma. For x <= 0 only; at EXP_MIN, n is -127.
#define EXP_LOG2E_HI 0x1.715476p+0f
#define EXP_LOG2E_LO 0x1.4ae0c0p-26f
#define EXP_MIN (-88.0f)

// tanh(x) = sign(x) * -m / (2 + m), m = exp(-2|x|) - 1 = 2^n r C(r) + (2^n - 1). At 2^-58, m rounds to -1.
#define TANH_SLOPE (-0x1.715476p+1f) // -2 log2 e
#define TANH_MIN (-58.0f)

// GELU needs the normal distribution, erf in another scale: Phi(-u) = 2^(-1 + u T(u)) for u >= 0. T has degree 9,
// fitted on [0, 9] with weight u max(Phi(-u), 1e-6): the error of Phi is below 4.4e-9 before rounding and 1e-7 after
// (erf(x) = 2 Phi(x sqrt 2) - 1: 2e-7). T keeps falling past 9; at TAIL_MAX the exponent is -126.9, where 2^x is 0.
// gelu(x) = max(-0, x) - u Phi(-u), u = |x|: left of -TAIL_MAX it is -0.
#define TAIL_MAX 12.0625f
#define TAIL_T0 (-0x1.26aeccp+0f)
#define TAIL_T1 (-0x1.d63cacp-2f)
#define TAIL_T2 (-0x1.adbedep-5f)
#define TAIL_T3 0x1.c96822p-8f
#define TAIL_T4 (-0x1.227804p-15f)
#define TAIL_T5 (-0x1.0dae0cp-12f)
#define TAIL_T6 0x1.1ba5fcp-14f
#define TAIL_T7 (-0x1.2cf1c6p-17f)
#define TAIL_T8 0x1.4f1d7ap-21f
#define TAIL_T9 (-0x1.338d12p-26f)

// x over infinity far to the left: -infinity must not become infinity / infinity, so x is clamped where every one of
// these functions is already -0.
#define GATE_MIN (-1000.0f)
// gelu_tanh(x) = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)) = x / (1 + 2^(x (G1 + G3 x^2)))
#define GELU_TANH_G1 (-0x1.26aec2p+1f) // -2 sqrt(2 / pi) log2 e
#define GELU_TANH_G3 (-0x1.a5a7d0p-4f) // 0.044715 G1
#define QUICK_GELU_G (-0x1.3a4cbep+1f) // -1.702 log2 e
#define SIGMOID_G (-0x1.715476p+0f)    // -log2 e

#endif
