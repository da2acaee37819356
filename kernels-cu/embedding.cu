// Computes  out_t = table[ids_t]. Backward: dtable[v] += sum of dout_t over the tokens t with ids_t = v.
// Tensors   table: [rows, width] bf16; ids: [tokens] u32, each below rows; out, dout: [tokens, width]
//           bf16; dtable: [rows, width] f32. Backward takes the tokens sorted by id: named: [distinct]
//           u32, the ids that occur; order: [tokens] u32, tokens of one id in ascending order; starts:
//           [distinct + 1] u32, where those of each begin in order. Contiguous, the caller's.
// Grid      Forward: a warp owns a token. Backward: a block owns a distinct id and 256 columns, a
//           thread one of them: neighbours read neighbours.
// Numerics  Forward copies. Backward f32, from what is there in the order of t: repeatable to the bit,
//           without atomics, and the bits of the twin on the same values.
// Writes    out: '='; dtable: '+=', rows of ids that do not occur untouched.
// Twin      infuser-kernels/src/ops/embedding/cpu.rs
#include "device/vec.cuh"

#define ROWS_PER_BLOCK 8u

template <int N> DEV void copy_row(const bf16* from, bf16* to, u32 width) {
    for (u32 col = threadIdx.x % WARP_LANES * N; col < width; col += WARP_LANES * N)
        if constexpr (N == 1) to[col] = from[col];
        else {
            CHECK_ALIGNED_16(from + col);
            CHECK_ALIGNED_16(to + col);
            *reinterpret_cast<uint4*>(to + col) = *reinterpret_cast<const uint4*>(from + col);
        }
}

KERNEL void embedding_fwd_bf16(const bf16* table, const u32* ids, bf16* out, u32 tokens, u32 width) {
    u32 token = blockIdx.x * ROWS_PER_BLOCK + threadIdx.x / WARP_LANES;
    if (token >= tokens) return;
    const bf16* row = table + u64(ids[token]) * width;
    if (width % 8 == 0) copy_row<8>(row, out + u64(token) * width, width);
    else copy_row<1>(row, out + u64(token) * width, width);
}
EXPORT(embedding_fwd_bf16)

KERNEL void embedding_bwd_bf16(const bf16* dout, const u32* named, const u32* order, const u32* starts, float* dtable,
                               u32 width) {
    u32 col = blockIdx.y * blockDim.x + threadIdx.x;
    if (col >= width) return;
    float* sum = dtable + u64(named[blockIdx.x]) * width + col;
    u32 end = starts[blockIdx.x + 1];
    float total = *sum;
    for (u32 i = starts[blockIdx.x]; i < end; i++) total += widen(dout[u64(order[i]) * width + col]);
    *sum = total;
}
EXPORT(embedding_bwd_bf16)
