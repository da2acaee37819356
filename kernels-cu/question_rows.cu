// Computes  for each touched row r, of table column c and question q: rows_r += sum of dy_tc x_t over the
//           rows t of q; then, in a second launch, dy_tc = 0 for the same t.
// Tensors   dy: [batch, columns] bf16; x: [batch, width] bf16; touched: [R, 2] u32, c and q of each;
//           starts: [questions + 1] u32, where the ranges of each question begin; ranges: [ranges, 2] u32,
//           first row and end; rows: [R, width] f32. Contiguous, the caller's, all indices inside.
// Grid      Taking: a block owns a touched row and 256 columns, a thread one of them. Clearing: a block
//           owns a touched row, its threads share the rows of the batch.
// Numerics  f32, from what is there in the order of t; a product of two bf16 is exact: the bits of the twin
//           on the same values.
// Writes    rows: '+='; dy: '='. Blocks that clear one element agree on it.
// Twin      infuser-kernels/src/ops/question_sums/cpu.rs
#include "device/types.cuh"

KERNEL void question_rows_take_bf16(const bf16* dy, const bf16* x, const u32* touched, const u32* starts,
                                    const u32* ranges, float* rows, u32 columns, u32 width) {
    u32 col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= width) return;
    u32 column = touched[2 * blockIdx.x], question = touched[2 * blockIdx.x + 1];
    float* sum = rows + u64(blockIdx.x) * width + col;
    float total = *sum;
    for (u32 range = starts[question]; range < starts[question + 1]; range++)
        for (u32 t = ranges[2 * range]; t < ranges[2 * range + 1]; t++)
            total += widen(dy[u64(t) * columns + column]) * widen(x[u64(t) * width + col]);
    *sum = total;
}
EXPORT(question_rows_take_bf16)

KERNEL void question_rows_clear_bf16(bf16* dy, const u32* touched, const u32* starts, const u32* ranges, u32 columns) {
    u32 column = touched[2 * blockIdx.x], question = touched[2 * blockIdx.x + 1];
    for (u32 range = starts[question]; range < starts[question + 1]; range++)
        for (u32 t = ranges[2 * range] + threadIdx.x; t < ranges[2 * range + 1]; t += blockDim.x)
            dy[u64(t) * columns + column] = narrow(0.0f);
}
EXPORT(question_rows_clear_bf16)
