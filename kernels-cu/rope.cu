// Computes  with c, s the table rows of the token's position, for lanes i and i + E/2 of a head:
//           x_i' = x_i c_i - x_(i+E/2) s_i, x_(i+E/2)' = x_(i+E/2) c_i + x_i s_i. The transpose, for
//           gradients, turns the other way: s with the opposite sign.
// Tensors   x: [tokens, heads, 2 half] bf16; positions: [tokens] u32, each below the tables' rows;
//           cos, sin: [rows, half] f32. All contiguous, all the caller's.
// Grid      A block owns a token, a thread pairs of lanes: the token's table row is read once from
//           memory and then from cache for every head.
// Numerics  f32, one rounding to bf16 an element; no sum, so repeatable to the bit.
// Writes    x in place, each pair by one thread.
// Twin      infuser-kernels/src/ops/rope/cpu.rs; Su et al., 2021.
#include "device/types.cuh"

KERNEL void rope_bf16(bf16* x, const u32* positions, const float* cos, const float* sin, u32 heads, u32 half,
                      u32 transpose) {
    u64 row = u64(positions[blockIdx.x]) * half;
    bf16* token = x + u64(blockIdx.x) * heads * half * 2;
    for (u32 pair = threadIdx.x; pair < heads * half; pair += blockDim.x) {
        u32 lane = pair % half;
        bf16* low = token + u64(pair / half) * half * 2 + lane;
        float c = cos[row + lane], s = transpose ? -sin[row + lane] : sin[row + lane];
        float a = widen(low[0]), b = widen(low[half]);
        low[0] = narrow(a * c - b * s);
        low[half] = narrow(b * c + a * s);
    }
}
EXPORT(rope_bf16)
