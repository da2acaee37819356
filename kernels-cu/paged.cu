// Computes  append: the keys and values of row t go to place slot_t of the cache. Attention of query
//           row t, head h over the positions j that it sees, all in blocks of the cache:
//           z_j = scale <q_th, k_j>, lse_th = ln sum_j e^z_j, out_th = sum_j e^(z_j - lse_th) v_j.
// Tensors   k, v: [T, K E] bf16; k_cache, v_cache: [blocks, tokens, K, E] bf16; q, out: [T, H, E] bf16;
//           lse: [T, H] f32; slots: [T] u32, NO_SLOT for none; spans: [T, 2] u32, how many positions
//           there are up to the row (0: it sees nothing), and where in `table` its blocks begin;
//           table: u32; partial: [T, splits, H, E + 2] f32 scratch. E <= 128; tokens a multiple of 4.
//           All contiguous, all the caller's.
// Grid      Attention: a block owns a row, SPLIT positions of it, and up to four query heads of one
//           key head, so that a key is read once for them; eight or sixteen lanes share a key, and
//           hold eight of its elements each. A second pass puts the parts of long rows together.
// Numerics  f32, online softmax in powers of two; lanes, warps and parts are merged in a fixed order.
//           Parts begin at multiples of SPLIT: a row has the same bits in any batch and any blocks.
// Writes    k_cache, v_cache, out, lse, partial: '='.
// Twin      infuser-kernels/src/ops/paged/cpu.rs; Kwon et al., 2023 (paging), Dao et al., 2023 (parts).
#include "device/softmax.cuh"
#include "device/vec.cuh"

#define NO_SLOT 0xffffffffu
#define SPLIT 256u
#define HEADS_PER_BLOCK 4
#define KEYS_AT_ONCE 4u
#define WARPS 4u

// What one query row sees: positions first..len, in `count` parts from part `part` on.
struct Span { u32 first, len, part, count, table; };

DEV Span span_of(const u32* spans, u32 row, u32 window) {
    Span span;
    span.len = spans[2 * u64(row)];
    span.table = spans[2 * u64(row) + 1];
    span.first = span.len > window ? span.len - window : 0;
    span.part = span.first / SPLIT;
    span.count = (span.len + SPLIT - 1) / SPLIT - span.part;
    return span;
}

// Copies `width` elements; the block's threads share them.
DEV void copy_row(const bf16* from, bf16* to, u32 width) {
    if (width % 8 == 0)
        for (u32 col = threadIdx.x * 8; col < width; col += blockDim.x * 8) store<8>(to + col, load<8>(from + col));
    else
        for (u32 col = threadIdx.x; col < width; col += blockDim.x) to[col] = from[col];
}

KERNEL void kv_append_bf16(const bf16* k, const bf16* v, const u32* slots, bf16* k_cache, bf16* v_cache, u32 width) {
    u32 slot = slots[blockIdx.x];
    if (slot == NO_SLOT) return;
    u64 from = u64(blockIdx.x) * width, to = u64(slot) * width;
    copy_row(k + from, k_cache + to, width);
    copy_row(v + from, v_cache + to, width);
}
EXPORT(kv_append_bf16)

// One block of the grid copies one token's place.
KERNEL void kv_copy_bf16(bf16* k_cache, bf16* v_cache, u32 from, u32 to, u32 width) {
    u64 source = (u64(from) + blockIdx.x) * width, target = (u64(to) + blockIdx.x) * width;
    copy_row(k_cache + source, k_cache + target, width);
    copy_row(v_cache + source, v_cache + target, width);
}
EXPORT(kv_copy_bf16)

// The part of a softmax row that lanes of one key hold.
struct Part {
    Softmax sum;
    float out[8];
};

DEV void merge(Part& a, const Part& b) {
    Merge by = merge(a.sum, b.sum);
#pragma unroll
    for (int i = 0; i < 8; i++) a.out[i] = a.out[i] * by.own + b.out[i] * by.other;
}

// Sums over the lanes of one key; every one of them gets the result.
template <int LANES> DEV float key_sum(float x COLLECTIVE) {
#pragma unroll
    for (int lanes = LANES / 2; lanes; lanes >>= 1) x += shuffle_xor(x, lanes COLLECTIVE_LINE);
    return x;
}

// The scores of up to four heads against KEYS_AT_ONCE keys, then their sums.
template <int LANES>
DEV void visit_keys(Part* parts, const Values<8>* query, const bf16* k, const bf16* v, u64 stride, u32 width, u32 left,
                    u32 skip, float scale) {
    u32 col = threadIdx.x % LANES * 8;
    Values<8> values[KEYS_AT_ONCE];
    float scores[HEADS_PER_BLOCK][KEYS_AT_ONCE];
#pragma unroll
    for (u32 i = 0; i < KEYS_AT_ONCE; i++) {
        bool seen = i >= skip && i < left;
        Values<8> key = load_within(k + i * stride, col, seen ? width : 0);
        values[i] = load_within(v + i * stride, col, seen ? width : 0);
#pragma unroll
        for (int h = 0; h < HEADS_PER_BLOCK; h++) {
            float dot = 0.0f;
#pragma unroll
            for (int e = 0; e < 8; e++) dot += query[h].at[e] * key.at[e];
            dot = key_sum<LANES>(dot) * scale;
            scores[h][i] = seen ? dot : -INFINITY;
        }
    }
#pragma unroll
    for (int h = 0; h < HEADS_PER_BLOCK; h++) {
        Part& part = parts[h];
        float top = part.sum.top;
#pragma unroll
        for (u32 i = 0; i < KEYS_AT_ONCE; i++) top = fmaxf(top, scores[h][i]);
        float shift = finite_or_zero(top), keep = exp2f(part.sum.top - shift);
        part.sum.top = top;
        part.sum.total *= keep;
#pragma unroll
        for (int e = 0; e < 8; e++) part.out[e] *= keep;
#pragma unroll
        for (u32 i = 0; i < KEYS_AT_ONCE; i++) {
            float p = exp2f(scores[h][i] - shift);
            part.sum.total += p;
#pragma unroll
            for (int e = 0; e < 8; e++) part.out[e] += p * values[i].at[e];
        }
    }
}

// Merges the keys of a warp into its first lanes.
template <int LANES> DEV void merge_warp(Part& part COLLECTIVE) {
#pragma unroll
    for (int lanes = LANES; lanes < int(WARP_LANES); lanes <<= 1) {
        Part other;
        other.sum.top = shuffle_xor(part.sum.top, lanes COLLECTIVE_LINE);
        other.sum.total = shuffle_xor(part.sum.total, lanes COLLECTIVE_LINE);
#pragma unroll
        for (int e = 0; e < 8; e++) other.out[e] = shuffle_xor(part.out[e], lanes COLLECTIVE_LINE);
        merge(part, other);
    }
}

// What a block works on: four heads from `head` on of the key head `kv_head`, `heads` of them real.
struct Heads { u32 head, kv_head, count; };

DEV Heads own_heads(u32 heads, u32 kv_heads) {
    u32 group = heads / kv_heads, chunks = (group + HEADS_PER_BLOCK - 1) / HEADS_PER_BLOCK;
    u32 kv_head = blockIdx.y / chunks, first = blockIdx.y % chunks * HEADS_PER_BLOCK;
    return {kv_head * group + first, kv_head, min(group - first, u32(HEADS_PER_BLOCK))};
}

// All keys of this block's part, each warp its own.
template <int LANES>
DEV void visit_part(Part* parts, const Values<8>* query, const bf16* k_cache, const bf16* v_cache, const u32* table,
                    const Span& span, u32 part, u32 kv_head, u32 kv_heads, u32 width, u32 tokens, float scale) {
    u32 keys_a_warp = WARP_LANES / LANES * KEYS_AT_ONCE;
    u32 begin = part * SPLIT, end = min(span.len, begin + SPLIT);
    u64 stride = u64(kv_heads) * width;
    // The bounds are the same for all lanes: each takes part in every sum of its warp.
    for (u32 from = begin; from < end; from += WARPS * keys_a_warp) {
        u32 at = from + threadIdx.x / LANES * KEYS_AT_ONCE;
        u32 left = at < end ? end - at : 0, skip = at < span.first ? span.first - at : 0;
        // Keys that are read together are in one block: its size is a multiple of their number.
        u64 slot = left > skip ? u64(table[span.table + at / tokens]) * tokens + at % tokens : 0;
        u64 offset = slot * stride + u64(kv_head) * width;
        visit_keys<LANES>(parts, query, k_cache + offset, v_cache + offset, stride, width, left, skip, scale);
    }
}

template <int LANES>
DEV void decode(const bf16* q, const bf16* k_cache, const bf16* v_cache, bf16* out, float* lse, float* partial,
                const u32* spans, const u32* table, u32 heads, u32 kv_heads, u32 width, u32 tokens, u32 window,
                u32 splits, float scale) {
    SHARED(Softmax, sums, [WARPS][HEADS_PER_BLOCK]);
    SHARED(float, outs, [WARPS][HEADS_PER_BLOCK][LANES * 8]);
    u32 row = blockIdx.x / splits, split = blockIdx.x % splits, warp = threadIdx.x / WARP_LANES;
    Span span = span_of(spans, row, window);
    if (split >= max(span.count, 1u)) return;
    Heads own = own_heads(heads, kv_heads);
    Values<8> query[HEADS_PER_BLOCK];
    Part parts[HEADS_PER_BLOCK];
#pragma unroll
    for (u32 h = 0; h < HEADS_PER_BLOCK; h++) {
        const bf16* from = q + (u64(row) * heads + own.head + min(h, own.count - 1)) * width;
        query[h] = load_within(from, threadIdx.x % LANES * 8, width);
        parts[h] = Part{};
        parts[h].sum = no_softmax();
    }
    visit_part<LANES>(parts, query, k_cache, v_cache, table, span, span.part + split, own.kv_head, kv_heads, width,
                      tokens, scale * LOG2_E);
#pragma unroll
    for (u32 h = 0; h < HEADS_PER_BLOCK; h++) {
        merge_warp<LANES>(parts[h]);
        if (threadIdx.x % WARP_LANES >= LANES) continue;
        if (threadIdx.x % WARP_LANES == 0) sums[warp][h] = parts[h].sum;
#pragma unroll
        for (u32 e = 0; e < 8; e++) outs[warp][h][threadIdx.x % LANES * 8 + e] = parts[h].out[e];
    }
    __syncthreads();  // every warp's part is written; all threads read them
    for (u32 i = threadIdx.x; i < own.count * width; i += blockDim.x) {
        u32 h = i / width, e = i % width;
        Softmax sum = sums[0][h];
        float value = outs[0][h][e];
#pragma unroll
        for (u32 other = 1; other < WARPS; other++) {
            Merge by = merge(sum, sums[other][h]);
            value = value * by.own + outs[other][h][e] * by.other;
        }
        u64 at = u64(row) * heads + own.head + h;
        if (span.count <= 1) {
            out[at * width + e] = narrow(share(value, sum));
            if (e == 0) lse[at] = log_sum_exp(sum);
        } else {
            float* to = partial + ((u64(row) * splits + split) * heads + own.head + h) * (width + 2);
            to[e] = value;
            if (e == 0) to[width] = sum.top, to[width + 1] = sum.total;
        }
    }
}

KERNEL void paged_attention_64_bf16(const bf16* q, const bf16* k_cache, const bf16* v_cache, bf16* out, float* lse,
                                    float* partial, const u32* spans, const u32* table, u32 heads, u32 kv_heads,
                                    u32 width, u32 tokens, u32 window, u32 splits, float scale) {
    decode<8>(q, k_cache, v_cache, out, lse, partial, spans, table, heads, kv_heads, width, tokens, window, splits,
              scale);
}
EXPORT(paged_attention_64_bf16)

KERNEL void paged_attention_128_bf16(const bf16* q, const bf16* k_cache, const bf16* v_cache, bf16* out, float* lse,
                                     float* partial, const u32* spans, const u32* table, u32 heads, u32 kv_heads,
                                     u32 width, u32 tokens, u32 window, u32 splits, float scale) {
    decode<16>(q, k_cache, v_cache, out, lse, partial, spans, table, heads, kv_heads, width, tokens, window, splits,
               scale);
}
EXPORT(paged_attention_128_bf16)

// Block (row, head): puts the parts of a row together, in ascending order.
KERNEL void paged_combine_bf16(const float* partial, const u32* spans, bf16* out, float* lse, u32 width, u32 window,
                               u32 splits) {
    u32 row = blockIdx.x, head = blockIdx.y, heads = gridDim.y;
    Span span = span_of(spans, row, window);
    if (span.count <= 1) return;
    u64 stride = u64(heads) * (width + 2);
    const float* first = partial + u64(row) * splits * stride + u64(head) * (width + 2);
    u64 at = u64(row) * heads + head;
    for (u32 e = threadIdx.x; e < width; e += blockDim.x) {
        Softmax sum = {first[width], first[width + 1]};
        float value = first[e];
        for (u32 split = 1; split < span.count; split++) {
            const float* part = first + split * stride;
            Merge by = merge(sum, Softmax{part[width], part[width + 1]});
            value = value * by.own + part[e] * by.other;
        }
        out[at * width + e] = narrow(share(value, sum));
        if (e == 0) lse[at] = log_sum_exp(sum);
    }
}
EXPORT(paged_combine_bf16)
