// poly.h - the constants of our exp, tanh and GELU, shared by scalar.c (which writes the formulas down) and rows.h (the
// same formulas, 16 lanes at a time). Coefficients are weighted minimax fits, rounded to float; every step is one fma.
#ifndef PARE_KERNEL_POLY_H
#define PARE_KERNEL_POLY_H

// exp(x) = 2^n exp(r), n = round(x log2(e)), r = x - n ln 2, |r| <= 0.347.
// Adding 1.5 * 2^23 rounds to an integer (half to even) and leaves n in the low bits of the float, from where a shift
// by 23 moves it to the exponent. ln 2 is split so that n * EXP_LN2_HI is exact for |n| <= 2^9 (15 significant bits).
#define EXP_LOG2E 0x1.715476p+0f
#define EXP_MAGIC 12582912.0f
#define EXP_LN2_HI 0x1.62e4p-1f
#define EXP_LN2_LO 0x1.7f7d1cp-20f
// exp(r) = 1 + r Q(r), Q(r) = 1 + r (Q1 + r (Q2 + r (Q3 + r (Q4 + r Q5)))): relative error 3.1e-9 before rounding,
// below 1 ulp after. r Q(r) alone is expm1(r), good to the last bits near 0, which tanh needs.
#define EXP_Q1 0x1.fffffcp-2f
#define EXP_Q2 0x1.55549p-3f
#define EXP_Q3 0x1.5558f4p-5f
#define EXP_Q4 0x1.123a2ap-7f
#define EXP_Q5 0x1.6a23bap-10f
// The result is (2 exp(r)) * 2^(n - 1), so that n = 128 still has an exponent: the product overflows to infinity by
// itself. That needs n >= -125: below EXP_MIN (exp(x) < 2.8e-38) the answer is 0. Above EXP_MAX it is infinity.
#define EXP_MIN (-86.5f)
#define EXP_MAX 89.0f

// tanh(x) = sign(x) * -m / (2 + m), m = expm1(-2|x|) = 2^n r Q(r) + (2^n - 1). At -40, m rounds to -1.
#define TANH_MIN (-40.0f)

// GELU needs the normal distribution, erf in another scale: Phi(-u) = exp(-ln 2 + u T(u)) for u >= 0, Phi(u) = 1 -
// Phi(-u). T has degree 9, fitted on [0, 9] with weight u max(Phi(-u), 1e-6): the error of Phi is below 4.2e-9 before
// rounding and 1e-7 after (erf(x) = 2 Phi(x sqrt 2) - 1: 2e-7). T9 < 0 and T keeps falling past 9, so large u ends in
// exp's 0.
#define TAIL_LN2 (-0x1.62e43p-1f)
#define TAIL_T0 (-0x1.988460p-1f)
#define TAIL_T1 (-0x1.45f192p-2f)
#define TAIL_T2 (-0x1.29decap-5f)
#define TAIL_T3 0x1.3cf128p-8f
#define TAIL_T4 (-0x1.749f62p-16f)
#define TAIL_T5 (-0x1.782b4cp-13f)
#define TAIL_T6 0x1.8c7ed0p-15f
#define TAIL_T7 (-0x1.a65ce0p-18f)
#define TAIL_T8 0x1.d8d02ap-22f
#define TAIL_T9 (-0x1.b49df0p-27f)

// x times something that underflows to 0 far to the left: -infinity must not become infinity * 0, so x is clamped where
// every one of these functions is already -0.
#define GATE_MIN (-1000.0f)
// gelu_tanh(x) = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)) = x / (1 + exp(x (G1 + G3 x^2)))
#define GELU_TANH_G1 (-0x1.988454p+0f) // -2 sqrt(2 / pi)
#define GELU_TANH_G3 (-0x1.2444f2p-4f) // 0.044715 G1
#define QUICK_GELU_G (-1.702f)

#endif
