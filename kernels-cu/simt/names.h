// The names that CUDA C++ has built in, as far as the kernels use them.
#pragma once

namespace simt {
template <class T> inline T shfl(unsigned mask, T v, int src, Kind kind, int line) {
    static_assert(sizeof(T) <= 16 && std::is_trivially_copyable<T>::value, "shuffle type");
    Quiet quiet; Warp& w = warp(); int l = cur->lane;
    memcpy(w.in[l], &v, sizeof(T)); w.src[l] = src;
    collective(mask, kind, line, [&] {
        for (unsigned m = mask; m; m &= m - 1) {
            int i = __builtin_ctz(m), s = w.src[i];
            if (mask >> s & 1) memcpy(w.out[i], w.in[s], sizeof(T)); else memset(w.out[i], 0xff, sizeof(T));  // undefined
        }
    });
    memcpy(&v, w.out[l], sizeof(T)); return v;
}
}  // namespace simt

#define threadIdx (simt::cur->tid)
#define blockIdx (simt::blk->block_idx)
#define blockDim (simt::blk->block)
#define gridDim (simt::blk->grid)
#define warpSize 32
inline void __syncthreads(SIMT_LOC) { simt::sync_block(line_); }
inline void __syncwarp(unsigned m = ~0u, SIMT_LOC) { simt::collective(m, simt::SYNCWARP, line_, [] {}); }
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
inline void __threadfence_block() {}
template <class T> inline T __shfl_sync(unsigned m, T v, int src, int width = 32, SIMT_LOC) {
    int l = simt::cur->lane; return simt::shfl(m, v, (l & ~(width - 1)) | (src & (width - 1)), simt::SHFL, line_);
}
template <class T> inline T __shfl_xor_sync(unsigned m, T v, int x, int width = 32, SIMT_LOC) {
    int l = simt::cur->lane, s = l ^ x; return simt::shfl(m, v, s > (l | (width - 1)) ? l : s, simt::SHFL_XOR, line_);
}
template <class T> inline T __shfl_down_sync(unsigned m, T v, unsigned d, int width = 32, SIMT_LOC) {
    int l = simt::cur->lane, s = l + int(d); return simt::shfl(m, v, s > (l | (width - 1)) ? l : s, simt::SHFL_DOWN, line_);
}
template <class T> inline T __shfl_up_sync(unsigned m, T v, unsigned d, int width = 32, SIMT_LOC) {
    int l = simt::cur->lane, s = l - int(d); return simt::shfl(m, v, s < (l & ~(width - 1)) ? l : s, simt::SHFL_UP, line_);
}
inline unsigned __ballot_sync(unsigned mask, int pred, SIMT_LOC) {
    simt::Quiet quiet; auto& w = simt::warp(); int l = simt::cur->lane; w.in[l][0] = pred != 0;
    simt::collective(mask, simt::BALLOT, line_, [&] {
        unsigned r = 0;
        for (unsigned m = mask; m; m &= m - 1) r |= unsigned(w.in[__builtin_ctz(m)][0]) << __builtin_ctz(m);
        for (unsigned m = mask; m; m &= m - 1) w.out[__builtin_ctz(m)][0] = r;
    });
    return unsigned(w.out[l][0]);
}
inline int __any_sync(unsigned m, int pred, SIMT_LOC) { return __ballot_sync(m, pred, line_) != 0; }
inline int __all_sync(unsigned m, int pred, SIMT_LOC) { return __ballot_sync(m, pred, line_) == m; }

template <class T> inline T simt_atomic_f(T* p, T v, bool mx) {
    using U = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
    U o = __atomic_load_n((U*)p, __ATOMIC_RELAXED), n; T f;
    do { memcpy(&f, &o, sizeof f); T g = mx ? (f > v ? f : v) : f + v; memcpy(&n, &g, sizeof n); }
    while (!__atomic_compare_exchange_n((U*)p, &o, n, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    return f;
}
inline float atomicAdd(float* p, float v) { return simt_atomic_f(p, v, false); }
inline double atomicAdd(double* p, double v) { return simt_atomic_f(p, v, false); }
inline int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline uint64_t atomicAdd(uint64_t* p, uint64_t v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
inline unsigned atomicCAS(unsigned* p, unsigned c, unsigned v) { __atomic_compare_exchange_n(p, &c, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); return c; }

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
#define __expf(x) std::exp(float(x))  // macros: glibc's math.h declares functions of these names
#define __logf(x) std::log(float(x))
inline float __fdividef(float a, float b) { return a / b; }
inline float __uint_as_float(unsigned u) { float f; memcpy(&f, &u, 4); return f; }
inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
template <class T> inline T __ldg(const T* p) { return *p; }
using std::max; using std::min;  // of integers; those of floats drop a NaN
inline float max(float a, float b) { return std::fmax(a, b); }
inline float min(float a, float b) { return std::fmin(a, b); }
inline double max(double a, double b) { return std::fmax(a, b); }
inline double min(double a, double b) { return std::fmin(a, b); }
