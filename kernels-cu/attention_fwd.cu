// Computes  for query row t of head h and the keys j that it sees, of key head h / (H / K):
//           z_j = scale <q_t, k_j>, lse_t = ln sum_j e^z_j, out_t = sum_j e^(z_j - lse_t) v_j.
// Tensors   q, out: [T, H, E] bf16; k, v: [S, K, E] bf16; lse: [T, H] f32; tiles: [tiles, 8] u32, as
//           QueryTile, which cover T. E at most the number in the entry's name. All contiguous, all
//           the caller's.
// Grid      A block of four warps owns a tile of 64 queries of one head, a warp sixteen of them; keys
//           and values pass in tiles of 64. Values travel while scores are computed, the next keys
//           while they are summed.
// Numerics  Products of bf16 in f32; weights are rounded to bf16 for the product with the values, not
//           for their sum. Online softmax in powers of two. Tiles of keys begin at multiples of 64,
//           and tiles without a visible key add nothing: a row's bits do not depend on the batch, the
//           tile or whether its prefix is shared. A row that sees nothing gives 0 and -inf.
// Writes    out, lse: '='.
// Twin      infuser-kernels/src/ops/attention/cpu/packed.rs; Dao, 2023.
#include "device/segment.cuh"
#include "device/softmax.cuh"
#include "device/tile.cuh"

#define KEY_TILE 64u

// Sixteen queries of a warp: lane / 4 and lane / 4 + 8 of them are this lane's, in columns 2 (lane % 4).
template <int WIDTH> struct Rows {
    u32 query[WIDTH / 16][4];
    float out[WIDTH / 8][4];
    Softmax sum[2];
};

// The largest, and the sum, over the four lanes that share a row.
DEV float row_max(float x COLLECTIVE) {
    x = fmaxf(x, shuffle_xor(x, 1 COLLECTIVE_LINE));
    return fmaxf(x, shuffle_xor(x, 2 COLLECTIVE_LINE));
}

DEV float row_sum(float x COLLECTIVE) {
    x += shuffle_xor(x, 1 COLLECTIVE_LINE);
    return x + shuffle_xor(x, 2 COLLECTIVE_LINE);
}

// Turns products into scores in powers of two; -inf where a query does not see the key.
DEV void mask(float (&scores)[KEY_TILE / 8][4], u32 query, u32 key, u32 window, float scale) {
#pragma unroll
    for (u32 n = 0; n < KEY_TILE / 8; n++)
#pragma unroll
        for (u32 i = 0; i < 4; i++) {
            bool seen = sees(query + i / 2 * 8, key + 8 * n + i % 2, window);
            scores[n][i] = seen ? scores[n][i] * scale : -INFINITY;
        }
}

// Scores become weights under the new maximum, and what was summed before is scaled to it. A lane's
// total is that of its own columns until the end.
template <int WIDTH> DEV void weigh(Rows<WIDTH>& rows, float (&scores)[KEY_TILE / 8][4]) {
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        Softmax& sum = rows.sum[half];
        float top = -INFINITY;
#pragma unroll
        for (u32 n = 0; n < KEY_TILE / 8; n++) top = fmaxf(top, fmaxf(scores[n][2 * half], scores[n][2 * half + 1]));
        top = fmaxf(sum.top, row_max(top));
        float shift = finite_or_zero(top), keep = exp2f(sum.top - shift);
        sum.top = top;
        sum.total *= keep;
#pragma unroll
        for (u32 n = 0; n < WIDTH / 8; n++) rows.out[n][2 * half] *= keep, rows.out[n][2 * half + 1] *= keep;
#pragma unroll
        for (u32 n = 0; n < KEY_TILE / 8; n++)
#pragma unroll
            for (u32 i = 2 * half; i < 2 * half + 2; i++) {
                scores[n][i] = exp2f(scores[n][i] - shift);
                sum.total += scores[n][i];
            }
    }
}

template <int WIDTH>
DEV void write_rows(Rows<WIDTH>& rows, const QueryTile& tile, bf16* out, float* lse, u32 width) {
    u32 lane = threadIdx.x % WARP_LANES, head = blockIdx.y, heads = gridDim.y;
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        Softmax sum = {rows.sum[half].top, row_sum(rows.sum[half].total)};
        u32 row = threadIdx.x / WARP_LANES * 16 + lane / 4 + 8 * half;
        if (row >= tile.count) continue;
        u64 at = u64(tile.row + row) * heads + head;
        if (lane % 4 == 0) lse[at] = log_sum_exp(sum);
#pragma unroll
        for (u32 n = 0; n < WIDTH / 8; n++)
            store_pair(out + at * width, 8 * n + lane % 4 * 2, width, share(rows.out[n][2 * half], sum),
                       share(rows.out[n][2 * half + 1], sum));
    }
}

template <int WIDTH>
DEV void forward(const bf16* q, const bf16* k, const bf16* v, bf16* out, float* lse, const QueryTile& tile, u32 kv_heads,
                 u32 width, u32 window, float scale) {
    SHARED(uint4, keys, [KEY_TILE * WIDTH / 8]);
    SHARED(uint4, values, [KEY_TILE * WIDTH / 8]);
    u32 lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES, head = blockIdx.y, heads = gridDim.y;
    u32 kv_head = head / (heads / kv_heads);
    Rows<WIDTH> rows = {};
    rows.sum[0] = rows.sum[1] = no_softmax();
    begin_tile<QUERY_TILE, WIDTH>(keys, q, tile.count, width,
                                  [&](u32 row) { return (u64(tile.row + row) * heads + head) * width; });
    await_copies();
    __syncthreads();  // the queries are there; each warp takes its own
#pragma unroll
    for (u32 step = 0; step < WIDTH / 16; step++) load_left<WIDTH>(rows.query[step], keys, 16 * warp, step);
    __syncthreads();  // all queries are taken; the first keys may come in their place
    auto begin = [&](uint4* to, const bf16* from, u32 key) {
        begin_tile<KEY_TILE, WIDTH>(to, from, tile.keys > key ? tile.keys - key : 0, width, [&](u32 row) {
            return (u64(key_row(tile, key + row)) * kv_heads + kv_head) * width;
        });
    };
    u32 query = tile.position + 16 * warp + lane / 4;
    u32 first = first_seen(tile.position, window) / KEY_TILE * KEY_TILE;
    begin(keys, k, first);
    for (u32 key = first; key < tile.keys; key += KEY_TILE) {
        await_copies();
        __syncthreads();  // these keys are there; the values before them are used up
        begin(values, v, key);
        float scores[KEY_TILE / 8][4] = {};
        multiply_transposed<WIDTH, KEY_TILE>(scores, rows.query, keys);
        mask(scores, query, key + lane % 4 * 2, window, scale * LOG2_E);
        weigh(rows, scores);
        await_copies();
        __syncthreads();  // these values are there; the keys are used up
        begin(keys, k, key + KEY_TILE);
        multiply<WIDTH, KEY_TILE>(rows.out, scores, values);
    }
    await_copies();
    write_rows(rows, tile, out, lse, width);
}

KERNEL void attention_fwd_64_bf16(const bf16* q, const bf16* k, const bf16* v, bf16* out, float* lse, const u32* tiles,
                                  u32 kv_heads, u32 width, u32 window, float scale) {
    QueryTile tile = reinterpret_cast<const QueryTile*>(tiles)[blockIdx.x];
    forward<64>(q, k, v, out, lse, tile, kv_heads, width, window, scale);
}
EXPORT(attention_fwd_64_bf16)

KERNEL void attention_fwd_128_bf16(const bf16* q, const bf16* k, const bf16* v, bf16* out, float* lse, const u32* tiles,
                                   u32 kv_heads, u32 width, u32 window, float scale) {
    QueryTile tile = reinterpret_cast<const QueryTile*>(tiles)[blockIdx.x];
    forward<128>(q, k, v, out, lse, tile, kv_heads, width, window, scale);
}
EXPORT(attention_fwd_128_bf16)
