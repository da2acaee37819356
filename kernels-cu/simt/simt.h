// Runs the kernels of this folder on the host, for tests. Header only, C++17, GCC or Clang.
//
// Every CUDA thread of a block is a fiber, so barriers and warp collectives really block and
// kernels need no rewriting. One OS thread runs a whole block, then the next block.
// Each launch checks: barriers that can never complete, collectives that lanes of one mask reach
// at different source lines or with different masks, and lanes that exited but are named in a mask.
// Under -fsanitize=address every out-of-bounds access of device buffers and of dynamic shared
// memory is a report; under -fsanitize=thread a missing __syncthreads is one.
#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>
#include <sys/mman.h>

#if defined(__SANITIZE_ADDRESS__)
#define SIMT_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#define SIMT_TSAN 1
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int); void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int); void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif
#if !defined(__x86_64__) || defined(SIMT_UCONTEXT)
#define SIMT_USE_UCONTEXT 1
#include <ucontext.h>
#endif

#define __global__ static
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
// no __noinline__ here: libstdc++ headers spell attributes that way
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Static shared arrays: SHARED(float, part, [32]). They live on the heap, so that they are filled with
// NaN before every block, sanitizers guard their ends, and OS threads do not share them. (A plain
// __shared__ could only become a thread_local, which has none of that; so it is left undefined.)
#define SHARED(T, name, dims) static char name##_key; T(&name) dims = *reinterpret_cast<T(*) dims>(simt::shared(&name##_key, sizeof(T dims)))
#define SIMT_LOC int line_ = __builtin_LINE()

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x, y, z; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

#include "fiber.h"
#include "block.h"
#include "launch.h"
#include "names.h"
#include "matrix.h"
