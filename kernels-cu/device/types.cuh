// What every kernel is written against: the same source goes to NVRTC, nvcc and, through simt.h, to
// the host compiler. bf16 is our own type, so no CUDA header is needed. Inline PTX stands beside its
// host twin, one small function an instruction.
#pragma once

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define ON_GPU 1
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
#define KERNEL extern "C" __global__
#define EXPORT(name)
#define SHARED(T, name, dims) __shared__ T name dims
#define DEV __device__ __forceinline__
// On the host a warp-wide helper passes its caller's line on, for messages.
#define COLLECTIVE
#define COLLECTIVE_LINE
#define CHECK_ALIGNED_16(address)
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#else
#include "simt.h"
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#define KERNEL static
#define EXPORT(name) SIMT_KERNEL(name)
#define DEV static inline
#define COLLECTIVE , SIMT_LOC
#define COLLECTIVE_LINE , line_
#define CHECK_ALIGNED_16(address) \
    if (reinterpret_cast<uintptr_t>(address) % 16) simt::fail("a 16-byte access at an address that is no multiple of 16")
#endif

// One warp.
#define WARP_LANES 32u
#define ALL_LANES 0xffffffffu

struct bf16 { u16 bits; };
#ifndef ON_GPU
template <> struct simt::Letter<bf16> { static constexpr char memory = 'b'; };
#endif

DEV float widen(bf16 x) { return __uint_as_float(u32(x.bits) << 16); }

// Round to nearest, ties to even.
DEV bf16 narrow(float x) {
    bf16 y;
#ifdef ON_GPU
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(y.bits) : "f"(x));
#else
    u32 bits = __float_as_uint(x);
    bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    y.bits = nan ? u16(0x7fff) : u16((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
#endif
    return y;
}

template <class T> DEV T shuffle_xor(T x, int lanes COLLECTIVE) {
#ifdef ON_GPU
    return __shfl_xor_sync(ALL_LANES, x, lanes);
#else
    return __shfl_xor_sync(ALL_LANES, x, lanes, 32, line_);
#endif
}

// What lane `lane` holds.
template <class T> DEV T shuffle(T x, int lane COLLECTIVE) {
#ifdef ON_GPU
    return __shfl_sync(ALL_LANES, x, lane);
#else
    return __shfl_sync(ALL_LANES, x, lane, 32, line_);
#endif
}
