// Sums over a warp or a block. Precondition: all lanes, or all threads of a block of whole warps, arrive;
// all get the result, and the order of the additions is fixed, the same in every run.
#pragma once
#include "device/types.cuh"

// A butterfly, for f32 and f64.
template <class T> DEV T warp_sum(T x COLLECTIVE) {
#pragma unroll
    for (int lanes = 16; lanes; lanes >>= 1) x += shuffle_xor(x, lanes COLLECTIVE_LINE);
    return x;
}

// Warps in ascending order.
DEV double block_sum(double x COLLECTIVE) {
    SHARED(double, warps, [32]);
    x = warp_sum(x COLLECTIVE_LINE);
    if (threadIdx.x % WARP_LANES == 0) warps[threadIdx.x / WARP_LANES] = x;
    __syncthreads();  // every warp's sum is there
    double total = 0.0;
    for (u32 warp = 0; warp < blockDim.x / WARP_LANES; warp++) total += warps[warp];
    __syncthreads();  // every thread has read them; the next sum may write
    return total;
}
