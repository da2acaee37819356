// Computes  y_tj += b_j for every row t. The gradient of b is columns.cu's sum over rows.
// Tensors   bias: [width] bf16; y: [count / width, width] bf16. Contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left; where rows are no multiple of
//           eight, each of them finds its own column.
// Numerics  f32, one rounding to bf16 an element: repeatable to the bit.
// Writes    y: '+='.
// Twin      infuser-kernels/src/ops/bias/cpu.rs
#include "device/vec.cuh"

template <int N> DEV void bias_at(const bf16* bias, bf16* y, u32 at, u32 width) {
    Values<N> a = load<N>(y + at), b = load<N>(bias + at % width);
#pragma unroll
    for (int i = 0; i < N; i++) a.at[i] += b.at[i];
    store(y + at, a);
}

KERNEL void bias_fwd_bf16(const bf16* bias, bf16* y, u32 count, u32 width) {
    for_own_eight(count, [&](auto n, u64 at) {
        constexpr int N = decltype(n)::value;
        if (width % N == 0) bias_at<N>(bias, y, u32(at), width);
        else for (int i = 0; i < N; i++) bias_at<1>(bias, y, u32(at) + i, width);
    });
}
EXPORT(bias_fwd_bf16)
