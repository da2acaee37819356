// Computes  x_i = value.
// Tensors   x: [count] bf16 or f32, contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left.
// Numerics  One rounding, of the value to the type.
// Writes    x: '='.
// Twin      slice::fill.
#include "device/vec.cuh"

template <int N, class T> DEV void fill_at(T* x, float value) {
    Values<N> all;
#pragma unroll
    for (int i = 0; i < N; i++) all.at[i] = value;
    store(x, all);
}

KERNEL void fill_bf16(bf16* x, u32 count, float value) {
    for_own_eight(count, [&](auto n, u64 at) { fill_at<decltype(n)::value>(x + at, value); });
}
EXPORT(fill_bf16)

KERNEL void fill_f32(float* x, u32 count, float value) {
    for_own_eight(count, [&](auto n, u64 at) { fill_at<decltype(n)::value>(x + at, value); });
}
EXPORT(fill_f32)
