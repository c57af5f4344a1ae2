/*
 * After s_log1pf.c, as in glibc 2.36:
 *
 * Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
 * Developed at SunPro, a Sun Microsystems, Inc. business.
 * Permission to use, copy, modify, and distribute this software is freely granted, provided that
 * this notice is preserved.
 * Conversion to float by Ian Lance Taylor, Cygnus Support.
 */
#include "core/log1p.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ln 2 in two parts: k * LN2_HIGH is exact for every exponent k. */
#define LN2_HIGH 6.9313812256e-01F
#define LN2_LOW  9.0580006145e-06F

#define FRACTION_BITS 23
#define EXPONENT_BIAS 127
#define FRACTION      UINT32_C(0x007fffff)
#define ONE           UINT32_C(0x3f800000)
#define HALF          UINT32_C(0x3f000000)
#define ROOT_OF_TWO   UINT32_C(0x003504f7) /* the fraction of sqrt(2) */

/* 1 + x = 2^k * (1 + f) with sqrt(2)/2 < 1 + f < sqrt(2); c corrects for the rounding of 1 + x. */
struct reduced {
    float k;
    float f;
    float c;
    bool tiny; /* |f| < 2^-20 */
};

static uint32_t
bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float
float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static struct reduced
reduce(float x)
{
    const bool one_counts = x < 0x1p53F;
    const float sum = one_counts ? 1.0F + x : x;
    const uint32_t bits = bits_of(sum);
    const uint32_t fraction = bits & FRACTION;
    int k = (int)(bits >> FRACTION_BITS) - EXPONENT_BIAS;
    struct reduced out = {.c = 0};

    if (one_counts)
        out.c = (k > 0 ? 1.0F - (sum - x) : x - (sum - 1.0F)) / sum;
    if (fraction < ROOT_OF_TWO) {
        out.f = float_of(fraction | ONE) - 1.0F;
        out.tiny = fraction == 0;
    } else {
        k++;
        out.f = float_of(fraction | HALF) - 1.0F;
        out.tiny = (FRACTION + 1 - fraction) >> 2 == 0;
    }
    if (k == 0) /* as in the original: three values of x come here, and lose it */
        out.c = 0;
    out.k = (float)k;
    return out;
}

/* With s = f/(2+f): ln(1+f) = f - (f*f/2 - s*(f*f/2 + R)), R a polynomial in s*s. */
static float
remainder_of(float s)
{
    const float z = s * s;

    return z * (6.6666668653e-01F +
                z * (4.0000000596e-01F +
                     z * (2.8571429849e-01F +
                          z * (2.2222198546e-01F +
                               z * (1.8183572590e-01F +
                                    z * (1.5313838422e-01F + z * 1.4798198640e-01F))))));
}

float
log1p_single(float x)
{
    const bool is_small = x < 0x1.a827aep-2F;
    struct reduced r = {.f = x};

    if (x < 0x1p-54F)
        return x;
    if (x < 0x1p-29F)
        return x - x * x * 0.5F;
    if (!is_small)
        r = reduce(x);
    const float half_square = 0.5F * r.f * r.f;

    if (r.tiny) {
        const float rest = half_square * (1.0F - 0.66666666666666666F * r.f);

        return r.k * LN2_HIGH - ((rest - (r.k * LN2_LOW + r.c)) - r.f);
    }
    const float s = r.f / (2.0F + r.f);
    const float log = half_square - (s * (half_square + remainder_of(s)) + (r.k * LN2_LOW + r.c));

    return r.k * LN2_HIGH - (log - r.f);
}
