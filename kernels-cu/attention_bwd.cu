// Computes  from dout, with p_tj = e^(z_tj - lse_t), d_t = <dout_t, out_t> and ds_tj = p_tj (<dout_t, v_j> - d_t):
//           dq_t = scale sum_j ds_tj k_j, dk_j = scale sum_t ds_tj q_t, dv_j = sum_t p_tj dout_t, the sums over
//           t also over the query heads of a key head and over all segments that see the key.
// Tensors   q, out, dout, dq: [T, H, E] bf16; k, v, dk, dv: [S, K, E] bf16; lse, dots: [T, H] f32, dots
//           scratch; tiles: [tiles, 8] u32, as QueryTile, which cover T; visits: [visits, 8] u32, as
//           Visit, those of key tile c from starts[c] to starts[c + 1]; starts: [key tiles + 1] u32. E at
//           most the number in the entry's name. All contiguous, all the caller's.
// Grid      Four warps a block. Queries: a block owns 64 queries of a head, keys pass in tiles of 32.
//           Keys: a block owns 64 keys of a key head, queries that see them pass in tiles of 32.
// Numerics  Scores are computed again, as in the forward pass. Products of bf16 in f32; p and ds are
//           rounded to bf16 for them. Segments, heads and tiles are added in order, without atomics:
//           repeatable to the bit. Rows and keys that nobody sees give 0.
// Writes    dots, dq, dk, dv: '='.
// Twin      infuser-kernels/src/ops/attention/cpu/backward.rs; Dao, 2023.
#include "device/reduce.cuh"
#include "device/segment.cuh"
#include "device/softmax.cuh"
#include "device/tile.cuh"
#include "device/vec.cuh"

#define PASSING 32u
#define KEYS 64u
#define WARPS 4u

// Queries of a segment that may see keys first..end of a key tile, as the host writes it.
struct Visit {
    u32 row, count;     // queries row..row + count of the tensor
    u32 position;       // of the first query; it sees the first key, but for a window
    u32 first, end;     // keys, counted from the tile's first
    u32 key_position;   // of key `first`
    u32 unused[2];
};

// A warp owns a row of a head.
KERNEL void attention_bwd_dot_bf16(const bf16* out, const bf16* dout, float* dots, u32 rows, u32 width) {
    u32 row = blockIdx.x * WARPS + threadIdx.x / WARP_LANES;
    if (row >= rows) return;
    u64 at = u64(row) * width;
    float dot = 0.0f;
    for (u32 col = threadIdx.x % WARP_LANES * 8; col < width; col += WARP_LANES * 8) {
        Values<8> o = load_within(out + at, col, width), d = load_within(dout + at, col, width);
#pragma unroll
        for (int i = 0; i < 8; i++) dot += o.at[i] * d.at[i];
    }
    dot = warp_sum(dot);
    if (threadIdx.x % WARP_LANES == 0) dots[row] = dot;
}
EXPORT(attention_bwd_dot_bf16)

// What a query's probabilities are computed from: log2 of its sum, and d. A row that is not there has
// an infinite sum, and so no probability.
struct Query { float lse, dot; };

DEV Query query_at(const float* lse, const float* dots, u64 at, bool real) {
    if (!real) return {INFINITY, 0.0f};
    return {lse[at] * LOG2_E, dots[at]};
}

// A score becomes p, the gradient of p becomes ds.
DEV void differentiate(float& score, float& slope, const Query& query, bool seen, float scale) {
    score = seen ? exp2f(score * scale - query.lse) : 0.0f;
    slope = score * (slope - query.dot);
}

template <int WIDTH>
DEV void write_sums(const float (&sums)[WIDTH / 8][4], bf16* to, u64 stride, u32 count, u32 width, float scale) {
    u32 lane = threadIdx.x % WARP_LANES;
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = threadIdx.x / WARP_LANES * 16 + lane / 4 + 8 * half;
        if (row >= count) continue;
#pragma unroll
        for (u32 n = 0; n < WIDTH / 8; n++)
            store_pair(to + row * stride, 8 * n + lane % 4 * 2, width, sums[n][2 * half] * scale,
                       sums[n][2 * half + 1] * scale);
    }
}

template <int WIDTH>
DEV void backward_q(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse, const float* dots,
                    bf16* dq, const QueryTile& tile, u32 kv_heads, u32 width, u32 window, float scale) {
    SHARED(uint4, queries, [QUERY_TILE * WIDTH / 8]);
    SHARED(uint4, slopes, [QUERY_TILE * WIDTH / 8]);
    SHARED(uint4, keys, [PASSING * WIDTH / 8]);
    SHARED(uint4, values, [PASSING * WIDTH / 8]);
    u32 lane = threadIdx.x % WARP_LANES, own = threadIdx.x / WARP_LANES * 16, head = blockIdx.y, heads = gridDim.y;
    u32 kv_head = head / (heads / kv_heads);
    u64 stride = u64(heads) * width, first_row = u64(tile.row) * heads + head;
    auto query_row = [&](u32 row) { return (u64(tile.row + row) * heads + head) * width; };
    begin_tile<QUERY_TILE, WIDTH>(queries, q, tile.count, width, query_row);
    begin_tile<QUERY_TILE, WIDTH>(slopes, dout, tile.count, width, query_row);
    Query query[2];
#pragma unroll
    for (u32 half = 0; half < 2; half++) {
        u32 row = own + lane / 4 + 8 * half;
        query[half] = query_at(lse, dots, first_row + u64(row) * heads, row < tile.count);
    }
    float sums[WIDTH / 8][4] = {};
    u32 first = first_seen(tile.position, window) / PASSING * PASSING;
    for (u32 key = first; key < tile.keys; key += PASSING) {
        auto own_row = [&](u32 row) { return (u64(key_row(tile, key + row)) * kv_heads + kv_head) * width; };
        begin_tile<PASSING, WIDTH>(keys, k, tile.keys - key, width, own_row);
        begin_tile<PASSING, WIDTH>(values, v, tile.keys - key, width, own_row);
        await_copies();
        __syncthreads();  // keys and values, and the first time queries, are there
        float scores[PASSING / 8][4] = {}, gradients[PASSING / 8][4] = {};
        multiply_transposed<WIDTH, PASSING>(scores, queries, own, keys);
        multiply_transposed<WIDTH, PASSING>(gradients, slopes, own, values);
#pragma unroll
        for (u32 n = 0; n < PASSING / 8; n++)
#pragma unroll
            for (u32 i = 0; i < 4; i++) {
                u32 at = tile.position + own + lane / 4 + i / 2 * 8;
                bool seen = sees(at, key + 8 * n + lane % 4 * 2 + i % 2, window);
                differentiate(scores[n][i], gradients[n][i], query[i / 2], seen, scale * LOG2_E);
            }
        multiply<WIDTH, PASSING>(sums, gradients, keys);
        __syncthreads();  // keys and values are used up; the next may come
    }
    await_copies();
    write_sums<WIDTH>(sums, dq + first_row * width, stride, tile.count, width, scale);
}

// How many of a visit's queries see a key, under a window.
DEV u32 visitors(const Visit& visit, u32 window) {
    u64 end = u64(visit.key_position) + (visit.end - visit.first) - 1 + window;
    return end <= visit.position ? 0 : u32(min(u64(visit.count), end - visit.position));
}

// Adds what PASSING queries from `from` on give to the keys of this warp.
template <int WIDTH>
DEV void add_queries(float (&dk)[WIDTH / 8][4], float (&dv)[WIDTH / 8][4], const uint4* keys, const uint4* values,
                     const uint4* queries, const uint4* slopes, const float* lse, const float* dots, const Visit& visit,
                     u32 from, u32 count, u32 head, u32 heads, u32 window, float scale) {
    u32 lane = threadIdx.x % WARP_LANES, own = threadIdx.x / WARP_LANES * 16;
    float scores[PASSING / 8][4] = {}, gradients[PASSING / 8][4] = {};
    multiply_transposed<WIDTH, PASSING>(scores, keys, own, queries);
    multiply_transposed<WIDTH, PASSING>(gradients, values, own, slopes);
#pragma unroll
    for (u32 n = 0; n < PASSING / 8; n++)
#pragma unroll
        for (u32 side = 0; side < 2; side++) {
            u32 at = from + 8 * n + lane % 4 * 2 + side;
            Query query = query_at(lse, dots, u64(visit.row + at) * heads + head, at < count);
#pragma unroll
            for (u32 half = 0; half < 2; half++) {
                u32 key = own + lane / 4 + 8 * half;
                bool seen = key >= visit.first && key < visit.end &&
                            sees(visit.position + at, visit.key_position + (key - visit.first), window);
                u32 i = 2 * half + side;
                differentiate(scores[n][i], gradients[n][i], query, seen, scale);
            }
        }
    multiply<WIDTH, PASSING>(dv, scores, slopes);
    multiply<WIDTH, PASSING>(dk, gradients, queries);
}

template <int WIDTH>
DEV void backward_kv(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse, const float* dots,
                     bf16* dk, bf16* dv, const u32* starts, const Visit* visits, u32 kv_rows, u32 heads, u32 width,
                     u32 window, float scale) {
    SHARED(uint4, keys, [KEYS * WIDTH / 8]);
    SHARED(uint4, values, [KEYS * WIDTH / 8]);
    SHARED(uint4, queries, [PASSING * WIDTH / 8]);
    SHARED(uint4, slopes, [PASSING * WIDTH / 8]);
    u32 kv_head = blockIdx.y, kv_heads = gridDim.y, group = heads / kv_heads;
    u32 tile = blockIdx.x * KEYS, count = min(KEYS, kv_rows - tile);
    u64 stride = u64(kv_heads) * width, at = (u64(tile) * kv_heads + kv_head) * width;
    begin_tile<KEYS, WIDTH>(keys, k + at, count, width, [&](u32 row) { return row * stride; });
    begin_tile<KEYS, WIDTH>(values, v + at, count, width, [&](u32 row) { return row * stride; });
    float key_sums[WIDTH / 8][4] = {}, value_sums[WIDTH / 8][4] = {};
    for (u32 i = starts[blockIdx.x]; i < starts[blockIdx.x + 1]; i++) {
        Visit visit = visits[i];
        u32 seeing = visitors(visit, window);
        for (u32 head = kv_head * group; head < (kv_head + 1) * group; head++)
            for (u32 from = 0; from < seeing; from += PASSING) {
                auto row_at = [&](u32 row) { return (u64(visit.row + from + row) * heads + head) * width; };
                begin_tile<PASSING, WIDTH>(queries, q, seeing - from, width, row_at);
                begin_tile<PASSING, WIDTH>(slopes, dout, seeing - from, width, row_at);
                await_copies();
                __syncthreads();  // queries and slopes, and the first time keys, are there
                add_queries<WIDTH>(key_sums, value_sums, keys, values, queries, slopes, lse, dots, visit, from, seeing,
                                   head, heads, window, scale * LOG2_E);
                __syncthreads();  // queries and slopes are used up; the next may come
            }
    }
    await_copies();
    write_sums<WIDTH>(key_sums, dk + at, stride, count, width, scale);
    write_sums<WIDTH>(value_sums, dv + at, stride, count, width, 1.0f);
}

KERNEL void attention_bwd_q_64_bf16(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse,
                                    const float* dots, bf16* dq, const u32* tiles, u32 kv_heads, u32 width, u32 window,
                                    float scale) {
    QueryTile tile = reinterpret_cast<const QueryTile*>(tiles)[blockIdx.x];
    backward_q<64>(q, k, v, dout, lse, dots, dq, tile, kv_heads, width, window, scale);
}
EXPORT(attention_bwd_q_64_bf16)

KERNEL void attention_bwd_q_128_bf16(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse,
                                     const float* dots, bf16* dq, const u32* tiles, u32 kv_heads, u32 width, u32 window,
                                     float scale) {
    QueryTile tile = reinterpret_cast<const QueryTile*>(tiles)[blockIdx.x];
    backward_q<128>(q, k, v, dout, lse, dots, dq, tile, kv_heads, width, window, scale);
}
EXPORT(attention_bwd_q_128_bf16)

KERNEL void attention_bwd_kv_64_bf16(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse,
                                     const float* dots, bf16* dk, bf16* dv, const u32* starts, const u32* visits,
                                     u32 kv_rows, u32 heads, u32 width, u32 window, float scale) {
    backward_kv<64>(q, k, v, dout, lse, dots, dk, dv, starts, reinterpret_cast<const Visit*>(visits), kv_rows, heads,
                    width, window, scale);
}
EXPORT(attention_bwd_kv_64_bf16)

KERNEL void attention_bwd_kv_128_bf16(const bf16* q, const bf16* k, const bf16* v, const bf16* dout, const float* lse,
                                      const float* dots, bf16* dk, bf16* dv, const u32* starts, const u32* visits,
                                      u32 kv_rows, u32 heads, u32 width, u32 window, float scale) {
    backward_kv<128>(q, k, v, dout, lse, dots, dk, dv, starts, reinterpret_cast<const Visit*>(visits), kv_rows, heads,
                     width, window, scale);
}
EXPORT(attention_bwd_kv_128_bf16)
