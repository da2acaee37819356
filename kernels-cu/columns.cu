// Computes  out_j += sum_c partial_cj: the second stage of a sum over rows.
// Tensors   partial: [chunks, width] f32; out: [width] f32. Contiguous, the caller's.
// Grid      A thread owns a column: neighbours read neighbours.
// Numerics  f32, chunks in ascending order, then one addition to out: repeatable to the bit.
// Writes    out: '+='. partial may not be out.
// Twin      infuser-kernels/src/ops/rmsnorm/cpu.rs, the end of `backward_weight`.
#include "device/types.cuh"

KERNEL void columns_add_f32(const float* partial, float* out, u32 chunks, u32 width) {
    u32 col = blockIdx.x * blockDim.x + threadIdx.x;
    if (col >= width) return;
    float total = 0.0f;
    for (u32 chunk = 0; chunk < chunks; chunk++) total += partial[u64(chunk) * width + col];
    out[col] += total;
}
EXPORT(columns_add_f32)
