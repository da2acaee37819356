// N neighbouring bf16 or f32 at once, in f32. With N = 8 these are 16-byte accesses, and the address
// must be a multiple of 16; N = 1 takes any address.
#pragma once
#include "device/types.cuh"

template <int N> struct Values { float at[N]; };

template <int N> DEV Values<N> load(const bf16* from) {
    static_assert(N == 1 || N == 8, "one element or 16 bytes");
    Values<N> out;
    if constexpr (N == 1) {
        out.at[0] = widen(*from);
    } else {
        CHECK_ALIGNED_16(from);
        uint4 raw = *reinterpret_cast<const uint4*>(from);
        u32 words[4] = {raw.x, raw.y, raw.z, raw.w};
#pragma unroll
        for (int i = 0; i < 4; i++) {
            out.at[2 * i] = __uint_as_float(words[i] << 16);
            out.at[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000u);
        }
    }
    return out;
}

template <int N> DEV Values<N> load(const float* from) {
    static_assert(N == 1 || N == 8, "one element or 32 bytes");
    Values<N> out;
    if constexpr (N == 1) {
        out.at[0] = *from;
    } else {
        CHECK_ALIGNED_16(from);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            float4 raw = reinterpret_cast<const float4*>(from)[half];
            out.at[4 * half] = raw.x;
            out.at[4 * half + 1] = raw.y;
            out.at[4 * half + 2] = raw.z;
            out.at[4 * half + 3] = raw.w;
        }
    }
    return out;
}

template <int N> DEV void store(float* to, const Values<N>& values) {
    static_assert(N == 1 || N == 8, "one element or 32 bytes");
    if constexpr (N == 1) {
        *to = values.at[0];
    } else {
        CHECK_ALIGNED_16(to);
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const float* v = values.at + 4 * half;
            reinterpret_cast<float4*>(to)[half] = make_float4(v[0], v[1], v[2], v[3]);
        }
    }
}

template <int N> DEV void store(bf16* to, const Values<N>& values) {
    static_assert(N == 1 || N == 8, "one element or 16 bytes");
    if constexpr (N == 1) {
        *to = narrow(values.at[0]);
    } else {
        u32 words[4];
#pragma unroll
        for (int i = 0; i < 4; i++)
            words[i] = u32(narrow(values.at[2 * i]).bits) | u32(narrow(values.at[2 * i + 1]).bits) << 16;
        CHECK_ALIGNED_16(to);
        *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
    }
}

// Elements col..col + 8 of a row that has `width`; 0 past its end. Where the width is a multiple of
// eight, rows start at multiples of 16 bytes and the eight are one access.
DEV Values<8> load_within(const bf16* row, u32 col, u32 width) {
    if (width % 8 == 0 && col < width) return load<8>(row + col);
    Values<8> out;
#pragma unroll
    for (u32 i = 0; i < 8; i++) out.at[i] = col + i < width ? widen(row[col + i]) : 0.0f;
    return out;
}

template <int N> struct Width { static constexpr int value = N; };

// Visits the eight neighbours of `count` elements that this thread owns: visit(Width<8>, at) if all
// are there, else visit(Width<1>, at) for each that is.
template <class Visit> DEV void for_own_eight(u32 count, Visit visit) {
    u64 at = (u64(blockIdx.x) * blockDim.x + threadIdx.x) * 8;
    if (at + 8 <= count) visit(Width<8>{}, at);
    else for (u64 left = at; left < count; left++) visit(Width<1>{}, left);
}
