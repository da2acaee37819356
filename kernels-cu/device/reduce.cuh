// Sums over a warp. Precondition: all 32 lanes arrive; every lane gets the result, and the order of
// the additions is that of a butterfly, the same in every run.
#pragma once
#include "device/types.cuh"

DEV float warp_sum(float x COLLECTIVE) {
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) x += shuffle_xor(x, lanes COLLECTIVE_LINE);
    return x;
}
