// e^x with the bits of infuser-kernels/src/simd.rs: a value compared with a bound must fall on the same
// side on both.
#pragma once
#include "device/types.cuh"

DEV float power_of_two(int n) { return __uint_as_float(u32(n + 127) << 23); }

// 0 below -87.3, where f32 turns denormal, +inf above 88.7; NaN stays NaN.
DEV float exp_as_twin(float x) {
    const float lowest = -87.33654f, highest = 88.72283f, round = 12582912.0f;
    float clamped = x < lowest ? lowest : x > highest ? highest : x;
    float n = fmaf(clamped, 1.44269504f, round) - round;
    float r = fmaf(n, 2.1219444e-4f, fmaf(n, -0.6933594f, clamped));
    float p = 1.984127e-4f;
    p = fmaf(p, r, 1.3888889e-3f);
    p = fmaf(p, r, 8.333334e-3f);
    p = fmaf(p, r, 4.1666668e-2f);
    p = fmaf(p, r, 1.6666667e-1f);
    p = fmaf(p, r, 0.5f);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    // Below: of a NaN any integer will do, since p is one. Two factors, because n may reach 128.
    int whole = n == n ? int(n) : 0, half = whole >> 1;
    float value = p * power_of_two(half) * power_of_two(whole - half);
    return x < lowest ? 0.0f : x > highest ? INFINITY : value;
}
