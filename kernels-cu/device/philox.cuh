// The counter generator: Philox4x32-10 (Salmon et al., 2011), as infuser-kernels/src/rng.rs has it.
#pragma once
#include "device/types.cuh"

// Draw `index` of the stream with this key, uniform in [0, 1) with 53 random bits.
DEV double uniform_draw(u32 key_low, u32 key_high, u32 index_low, u32 index_high) {
    u32 a = index_low, b = index_high, c = 0, d = 0;
#pragma unroll
    for (int round = 0; round < 10; round++) {
        u64 first = u64(0xd2511f53u) * a, second = u64(0xcd9e8d57u) * c;
        a = u32(second >> 32) ^ b ^ key_low;
        b = u32(second);
        c = u32(first >> 32) ^ d ^ key_high;
        d = u32(first);
        key_low += 0x9e3779b9u;
        key_high += 0xbb67ae85u;
    }
    return double((u64(a) | u64(b) << 32) >> 11) * 0x1p-53;
}
