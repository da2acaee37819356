// Computes  out_i += x_i; scale: x_i *= factor.
// Tensors   x, out: [count], both bf16 or both f32; scale: f32. Contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left: one pass over memory.
// Numerics  f32, one rounding to the type an element: repeatable to the bit.
// Writes    out: '+='; scale: x in place. x may not be out.
// Twin      infuser-kernels/src/ops/add/cpu.rs
#include "device/vec.cuh"

template <int N, class T> DEV void add_at(const T* x, T* out) {
    Values<N> a = load<N>(out), b = load<N>(x);
#pragma unroll
    for (int i = 0; i < N; i++) a.at[i] += b.at[i];
    store(out, a);
}

template <int N> DEV void scale_at(float* x, float factor) {
    Values<N> a = load<N>(x);
#pragma unroll
    for (int i = 0; i < N; i++) a.at[i] *= factor;
    store(x, a);
}

KERNEL void add_bf16(const bf16* x, bf16* out, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { add_at<decltype(n)::value>(x + at, out + at); });
}
EXPORT(add_bf16)

KERNEL void add_f32(const float* x, float* out, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { add_at<decltype(n)::value>(x + at, out + at); });
}
EXPORT(add_f32)

KERNEL void scale_f32(float* x, u32 count, float factor) {
    for_own_eight(count, [&](auto n, u64 at) { scale_at<decltype(n)::value>(x + at, factor); });
}
EXPORT(scale_f32)
