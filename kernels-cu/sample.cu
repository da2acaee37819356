// Computes  a token for each draw: penalty, temperature, then top-k, top-p and min-p, then one uniform
//           number; with its log-probability, that of the plain logits, and the entropy.
// Tensors   logits: [rows, vocab] f32; draws: [draws, 13] u32, the words named below, rows below the
//           logits'; seen: the penalised tokens of all draws, below vocab, each once a draw; scratch:
//           [draws, vocab] f32; tokens: [draws] u32; values: [draws, 3] f32, logp, raw logp, entropy. Contiguous,
//           the caller's.
// Grid      A block owns a draw.
// Numerics  Probabilities are f32 with the exponential of the twin. Their sums are integers, units of
//           2^-62: no order of additions shows, and atomics on them change no bit. A token differs from
//           the twin's only where the uniform number or a bound of top-p falls within rounding, about
//           1e-7, of the border between two. A row that holds a NaN, or no finite logit, gives a logp that
//           is not finite, and token 0.
// Writes    scratch, tokens, values: '='.
// Twin      infuser-kernels/src/ops/sample/cpu.rs
#include "device/exp.cuh"
#include "device/philox.cuh"
#include "device/reduce.cuh"

#define CHUNKS 1024u
#define BINS 256u

enum Word { ROW, GREEDY, TEMPERATURE, TOP_K, TOP_P, MIN_P, PENALTY, SEEN_BEGIN, SEEN_END, KEY_LOW, KEY_HIGH, INDEX_LOW,
            INDEX_HIGH, WORDS };

// Shared memory of a block. Whoever uses a part again has passed another barrier since it was read.
struct Room { u64* sums; u64* bins; u64* found; };

// The tokens kept: those with a larger key, and of equals those up to an id.
struct Cut { u32 key, id; };

struct Statistics { float lse, entropy; u32 best; };

// Orders floats as integers; -0 comes before 0.
DEV u32 order_of(float x) {
    u32 bits = __float_as_uint(x);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

DEV bool keeps(Cut cut, u32 key, u32 id) { return key > cut.key || (key == cut.key && id <= cut.id); }

DEV u64 units(float p) { return u64(p * 0x1p62f); }

DEV u64 block_max(u64 x, const Room& room COLLECTIVE) {
#pragma unroll
    for (int lanes = 16; lanes > 0; lanes >>= 1) {
        u64 other = shuffle_xor(x, lanes COLLECTIVE_LINE);
        x = other > x ? other : x;
    }
    if (threadIdx.x % WARP_LANES == 0) room.sums[threadIdx.x / WARP_LANES] = x;
    __syncthreads();  // every warp's largest is there
    for (u32 warp = 0; warp < blockDim.x / WARP_LANES; warp++) x = room.sums[warp] > x ? room.sums[warp] : x;
    return x;
}

// Log-sum-exp and entropy of the logits logit(0..vocab), and the first of the largest.
template <class Logit> DEV Statistics statistics(u32 vocab, const Room& room, Logit logit) {
    u64 best = 0;
    for (u32 id = threadIdx.x; id < vocab; id += blockDim.x) {
        // -0 counts as 0; the smaller id wins.
        u64 here = u64(order_of(logit(id) + 0.0f)) << 32 | u32(~id);
        best = here > best ? here : best;
    }
    u32 id = ~u32(block_max(best, room));
    float top = logit(id);
    double total = 0.0, moment = 0.0;
    for (u32 i = threadIdx.x; i < vocab; i += blockDim.x) {
        float away = logit(i) - top;
        away = away < -104.0f ? -104.0f : away;
        float e = exp_as_twin(away);
        total += double(e);
        moment += double(e) * double(away);
    }
    float sum = float(block_sum(total)), spread = float(block_sum(moment));
    float entropy = logf(sum) - spread / sum;
    return {top + logf(sum), entropy < 0.0f ? 0.0f : entropy, id};
}

// The first id at which the running sum of weight(id), in the order of ids, passes `target`; if none
// does, the last that weighs anything.
template <class Weight> DEV u32 first_past(u32 vocab, u64 target, const Room& room, Weight weight) {
    u32 lane = threadIdx.x % WARP_LANES, warps = blockDim.x / WARP_LANES;
    u32 length = ((vocab + CHUNKS - 1) / CHUNKS + WARP_LANES - 1) / WARP_LANES * WARP_LANES;
    u32 chunks = (vocab + length - 1) / length;
    for (u32 chunk = threadIdx.x / WARP_LANES; chunk < chunks; chunk += warps) {
        u64 total = 0;
        for (u32 i = lane; i < length; i += WARP_LANES)
            if (chunk * length + i < vocab) total += weight(chunk * length + i);
        total = warp_sum(total);
        if (lane == 0) room.sums[chunk] = total;
    }
    __syncthreads();  // all chunks are summed; the first warp walks over them
    if (threadIdx.x < WARP_LANES) {
        u32 chunk = 0, last = 0;
        for (; chunk < chunks && target >= room.sums[chunk]; chunk++) {
            if (room.sums[chunk] > 0) last = chunk;
            target -= room.sums[chunk];
        }
        if (chunk == chunks) {
            chunk = last;
            target = room.sums[chunk] - 1;
        }
        u32 id = 0;
        bool passed = false;
        for (u32 i = 0; i < length; i += WARP_LANES) {
            u32 own = chunk * length + i + lane;
            u64 mine = own < vocab ? weight(own) : 0;
            for (int other = 0; other < int(WARP_LANES); other++) {
                u64 here = shuffle(mine, other);
                if (!passed && target < here) {
                    passed = true;
                    id = chunk * length + i + u32(other);
                }
                target -= passed ? 0 : here;
            }
        }
        if (lane == 0) room.found[0] = id;
    }
    __syncthreads();  // the answer is there
    return u32(room.found[0]);
}

// The fewest tokens, of the largest logits and, of equals, the smallest ids, whose weights reach `mass`:
// byte by byte of the key from the top, then among the equals.
template <class Weight> DEV Cut heaviest(const float* z, u32 vocab, u64 mass, const Room& room, Weight weight) {
    u32 prefix = 0;
    u64 left = mass;
    for (int shift = 24; shift >= 0; shift -= 8) {
        for (u32 bin = threadIdx.x; bin < BINS; bin += blockDim.x) room.bins[bin] = 0;
        __syncthreads();  // the bins are empty
        for (u32 id = threadIdx.x; id < vocab; id += blockDim.x) {
            u32 key = order_of(z[id]);
            if (shift == 24 || key >> (shift + 8) == prefix) atomicAdd(&room.bins[key >> shift & 255], weight(id));
        }
        __syncthreads();  // the bins are full
        if (threadIdx.x == 0) {
            u32 bin = BINS - 1;
            for (; bin > 0 && room.bins[bin] < left; bin--) left -= room.bins[bin];
            room.found[0] = bin;
            room.found[1] = left;
        }
        __syncthreads();  // the bin where the mass is reached is known
        prefix = prefix << 8 | u32(room.found[0]);
        left = room.found[1];
    }
    u64 before = left > 0 ? left - 1 : 0;
    u32 id = first_past(vocab, before, room, [&](u32 i) { return order_of(z[i]) == prefix ? weight(i) : u64(0); });
    return {prefix, id};
}

// Writes the logits of a draw, penalised and over the temperature, to z.
DEV void scale_logits(const float* raw, const u32* word, const u32* seen, float* z, u32 vocab) {
    float inverse = 1.0f / __uint_as_float(word[TEMPERATURE]), penalty = __uint_as_float(word[PENALTY]);
    for (u32 id = threadIdx.x; id < vocab; id += blockDim.x) z[id] = raw[id] * inverse;
    __syncthreads();  // what was seen is written again, by another thread
    for (u32 i = word[SEEN_BEGIN] + threadIdx.x; i < word[SEEN_END]; i += blockDim.x) {
        float logit = raw[seen[i]];
        z[seen[i]] = (logit > 0.0f ? logit / penalty : logit * penalty) * inverse;
    }
    __syncthreads();  // the logits are complete
}

// The token of a draw that is not greedy.
DEV u32 drawn_token(const float* z, const u32* word, u32 vocab, const Statistics& of, const Room& room) {
    auto p = [&](u32 id) { return exp_as_twin(z[id] - of.lse); };
    Cut cut = {0, 0xffffffffu};
    if (word[TOP_K] < vocab) cut = heaviest(z, vocab, word[TOP_K], room, [](u32) { return u64(1); });
    auto total_of = [&](auto kept) {
        u64 total = 0;
        for (u32 id = threadIdx.x; id < vocab; id += blockDim.x) total += kept(id);
        total = warp_sum(total);
        if (threadIdx.x % WARP_LANES == 0) room.sums[threadIdx.x / WARP_LANES] = total;
        __syncthreads();  // every warp's total is there
        total = 0;
        for (u32 warp = 0; warp < blockDim.x / WARP_LANES; warp++) total += room.sums[warp];
        __syncthreads();  // the total has been read
        return total;
    };
    auto in_cut = [&](u32 id) { return keeps(cut, order_of(z[id]), id) ? units(p(id)) : u64(0); };
    double top_p = __uint_as_float(word[TOP_P]);
    if (top_p < 1.0) {
        u64 mass = u64(ceil(top_p * double(total_of(in_cut))));
        cut = heaviest(z, vocab, mass, room, in_cut);
    }
    float least = __uint_as_float(word[MIN_P]) * p(of.best);
    auto kept = [&](u32 id) { return p(id) >= least ? in_cut(id) : u64(0); };
    double uniform = uniform_draw(word[KEY_LOW], word[KEY_HIGH], word[INDEX_LOW], word[INDEX_HIGH]);
    return first_past(vocab, u64(uniform * double(total_of(kept))), room, kept);
}

KERNEL void sample_f32(const float* logits, const u32* draws, const u32* seen, float* scratch, u32* tokens, float* values,
                       u32 vocab) {
    SHARED(u64, sums, [CHUNKS]);
    SHARED(u64, bins, [BINS]);
    SHARED(u64, found, [2]);
    Room room = {sums, bins, found};
    const u32* word = draws + u64(blockIdx.x) * WORDS;
    const float* raw = logits + u64(word[ROW]) * vocab;
    float* z = scratch + u64(blockIdx.x) * vocab;
    scale_logits(raw, word, seen, z, vocab);
    Statistics of = statistics(vocab, room, [&](u32 id) { return z[id]; });
    bool plain = word[SEEN_BEGIN] == word[SEEN_END] && __uint_as_float(word[TEMPERATURE]) == 1.0f;
    float raw_lse = plain ? of.lse : statistics(vocab, room, [&](u32 id) { return raw[id]; }).lse;
    u32 token = 0;
    // Where this is not a number, no order of tokens means anything.
    if (of.lse - of.lse == 0.0f) token = word[GREEDY] ? of.best : drawn_token(z, word, vocab, of, room);
    if (threadIdx.x == 0) {
        tokens[blockIdx.x] = token;
        values[u64(blockIdx.x) * 3] = z[token] - of.lse;
        values[u64(blockIdx.x) * 3 + 1] = raw[token] - raw_lse;
        values[u64(blockIdx.x) * 3 + 2] = of.entropy;
    }
}
EXPORT(sample_f32)
