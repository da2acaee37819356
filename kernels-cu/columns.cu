// Computes  sums over rows, in two stages: partial_cj = sum of x_tj over the rows t of chunk c, then
//           out_j += sum_c partial_cj.
// Tensors   x: [rows, width] bf16; partial: [chunks, width] f32 or f64; out: [width] of the same.
//           Contiguous, the caller's.
// Grid      Sum: a block owns 32 columns of a chunk of rows. Add: f32, a thread owns a column,
//           neighbours read neighbours; f64, a block owns eight columns, for few of them.
// Numerics  Of the tensor's type, rows and chunks in an order that is fixed by the sizes, then one
//           addition to out: repeatable to the bit.
// Writes    partial: '='; out: '+='. partial may not be out.
// Twin      infuser-kernels/src/ops/bias/cpu.rs, `backward`; the end of `backward_weight` in
//           infuser-kernels/src/ops/rmsnorm/cpu.rs
#include "device/types.cuh"

#define STRIPES 8u
#define COLUMNS_F64 8u
#define STRIPES_F64 32u

// Block (column tile, chunk): thread (col, stripe) sums every eighth row of the chunk.
KERNEL void columns_sum_bf16(const bf16* x, float* partial, u32 rows, u32 width, u32 rows_per_chunk) {
    SHARED(float, stripes, [STRIPES][WARP_LANES]);
    u32 lane = threadIdx.x % WARP_LANES, stripe = threadIdx.x / WARP_LANES;
    u32 col = blockIdx.x * WARP_LANES + lane;
    u32 first = blockIdx.y * rows_per_chunk, end = min(rows, first + rows_per_chunk);
    float total = 0.0f;
    if (col < width)
        for (u32 row = first + stripe; row < end; row += STRIPES) total += widen(x[u64(row) * width + col]);
    stripes[stripe][lane] = total;
    __syncthreads();  // the sums of all stripes are there; the first warp reads them
    if (stripe == 0 && col < width) {
#pragma unroll
        for (u32 other = 1; other < STRIPES; other++) total += stripes[other][lane];
        partial[u64(blockIdx.y) * width + col] = total;
    }
}
EXPORT(columns_sum_bf16)

KERNEL void columns_add_f32(const float* partial, float* out, u32 chunks, u32 width) {
    u32 col = blockIdx.x * blockDim.x + threadIdx.x;
    if (col >= width) return;
    float total = 0.0f;
    for (u32 chunk = 0; chunk < chunks; chunk++) total += partial[u64(chunk) * width + col];
    out[col] += total;
}
EXPORT(columns_add_f32)

// Thread (col, stripe) sums every thirty-second chunk.
KERNEL void columns_add_f64(const double* partial, double* out, u32 chunks, u32 width) {
    SHARED(double, stripes, [STRIPES_F64][COLUMNS_F64]);
    u32 lane = threadIdx.x % COLUMNS_F64, stripe = threadIdx.x / COLUMNS_F64;
    u32 col = blockIdx.x * COLUMNS_F64 + lane;
    double total = 0.0;
    if (col < width)
        for (u32 chunk = stripe; chunk < chunks; chunk += STRIPES_F64) total += partial[u64(chunk) * width + col];
    stripes[stripe][lane] = total;
    __syncthreads();  // every stripe is summed; the first of each column adds them up
    if (stripe == 0 && col < width) {
        for (u32 other = 1; other < STRIPES_F64; other++) total += stripes[other][lane];
        out[col] += total;
    }
}
EXPORT(columns_add_f64)
