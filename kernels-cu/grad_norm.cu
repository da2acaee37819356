// Computes  partial_b = sum of x_i^2 over chunk b. columns.cu adds the chunks up.
// Tensors   x: [count] f32; partial: [count / 16384, rounded up] f64. Contiguous, the caller's.
// Grid      A block owns a chunk of 16384 elements, a thread eight neighbours in each of eight turns.
// Numerics  f64 throughout: squares of f32 values are exact and cannot overflow. A thread adds its
//           elements in order, then warps in a butterfly, then the block: repeatable to the bit.
// Writes    partial: '='.
// Twin      infuser-kernels/src/ops/grad_norm/cpu.rs
#include "device/reduce.cuh"
#include "device/vec.cuh"

#define TURNS 8u

template <int N> DEV void add_squares(const float* x, double& total) {
    Values<N> v = load<N>(x);
#pragma unroll
    for (int i = 0; i < N; i++) total += double(v.at[i]) * double(v.at[i]);
}

KERNEL void sum_of_squares_f32(const float* x, double* partial, u32 count) {
    u64 first = (u64(blockIdx.x) * TURNS * blockDim.x + threadIdx.x) * 8;
    double total = 0.0;
    for (u32 turn = 0; turn < TURNS; turn++) {
        u64 at = first + u64(turn) * blockDim.x * 8;
        if (at + 8 <= count) add_squares<8>(x + at, total);
        else for (; at < count; at++) add_squares<1>(x + at, total);
    }
    total = block_sum(total);
    if (threadIdx.x == 0) partial[blockIdx.x] = total;
}
EXPORT(sum_of_squares_f32)
