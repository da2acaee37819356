// Computes  for rows of logits that come a tile of the vocabulary at a time, with z_j = logit_j / tau:
//           lse = ln sum_j e^z_j, logp = z_target - lse, entropy = lse - sum_j p_j z_j; and backward
//           dlogit_j = (dlogp (1[j = target] - p_j) - dentropy p_j (z_j - lse + entropy)) / tau.
// Tensors   logits: [rows, columns] f32, columns first.. of the vocabulary; targets: [rows] u32; state:
//           [rows, 4] f32, kept between tiles: top, total, moment, target; logp, entropy, lse, dlogp,
//           dentropy: [rows] f32; dlogits: [rows, columns] bf16. All contiguous, all the caller's.
// Grid      A block of 256 owns a row of a tile; backward, 2048 columns of it. Finish: a thread a row.
// Numerics  f32. Sums in powers of two under a running maximum: threads, warps and tiles are merged in a
//           fixed order. 1 - p of a target is -expm1(logp).
//           Exponents end at -150, so that 0 times -inf does not come up. A NaN shows in every output.
// Writes    state: '=' at first = 0, else merged into; logp, entropy, lse, dlogits: '='.
// Twin      infuser-kernels/src/ops/head/cpu.rs.
#include "device/moment.cuh"

#define THREADS 256u
#define COLUMNS_PER_BLOCK 2048u

// A row's sums so far, as it lies in memory.
struct State {
    Moments sums;
    float target;
};

// The sums of a row, by all threads; thread 0 has the result.
DEV Moments row_moments(const float* row, u32 columns, float scale) {
    SHARED(Moments, warps, [THREADS / WARP_LANES]);
    Moments own = no_moments();
    for (u32 col = threadIdx.x; col < columns; col += THREADS) add(own, row[col] * scale);
    merge_warp(own);
    if (threadIdx.x % WARP_LANES == 0) warps[threadIdx.x / WARP_LANES] = own;
    __syncthreads();  // every warp's sums are there; thread 0 reads them
    if (threadIdx.x == 0)
        for (u32 warp = 1; warp < THREADS / WARP_LANES; warp++) merge(own, warps[warp]);
    return own;
}

KERNEL void head_fwd_tile_f32(const float* logits, const u32* targets, float* state, u32 columns, u32 first,
                              float inverse_temperature) {
    u32 row = blockIdx.x, target = targets[row];
    const float* values = logits + u64(row) * columns;
    Moments own = row_moments(values, columns, inverse_temperature * LOG2_E);
    if (threadIdx.x != 0) return;
    State& kept = reinterpret_cast<State*>(state)[row];
    // A target that no tile holds shows. The first tile finds nothing to read.
    State before = {no_moments(), NAN};
    if (first != 0) before = kept;
    merge(before.sums, own);
    if (target >= first && target - first < columns) before.target = values[target - first] * inverse_temperature;
    kept = before;
}
EXPORT(head_fwd_tile_f32)

KERNEL void head_fwd_finish_f32(const float* state, float* logp, float* entropy, float* lse, u32 rows) {
    u32 row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    State kept = reinterpret_cast<const State*>(state)[row];
    float log_sum = (kept.sums.sum.top + log2f(kept.sums.sum.total)) * LN_2;
    float spread = (log2f(kept.sums.sum.total) - kept.sums.moment / kept.sums.sum.total) * LN_2;
    logp[row] = kept.target - log_sum;
    // Rounding may take it below, and a NaN is no number below.
    entropy[row] = spread < 0.0f ? 0.0f : spread;
    lse[row] = log_sum;
}
EXPORT(head_fwd_finish_f32)

// What a row of the backward pass is computed from.
struct RowGradient { float inverse, lse, entropy, dlogp, dentropy; };

DEV float gradient_at(const RowGradient& row, float logit, bool target) {
    if (row.dlogp == 0.0f && row.dentropy == 0.0f) return 0.0f;
    float log_p = logit * row.inverse - row.lse;
    if (log_p < -104.0f) log_p = target ? log_p : -104.0f;
    float p = expf(log_p), through = row.dentropy * p * (log_p + row.entropy);
    float direct = target ? -row.dlogp * expm1f(log_p) : -row.dlogp * p;
    return row.inverse * (direct - through);
}

KERNEL void head_bwd_tile_bf16(const float* logits, const u32* targets, const float* lse, const float* entropy,
                               const float* dlogp, const float* dentropy, bf16* dlogits, u32 columns, u32 first,
                               u32 with_entropy, float inverse_temperature) {
    u32 row = blockIdx.x, target = targets[row], begin = blockIdx.y * COLUMNS_PER_BLOCK;
    RowGradient gradient = {inverse_temperature, lse[row], entropy[row], dlogp[row], with_entropy ? dentropy[row] : 0.0f};
    const float* from = logits + u64(row) * columns;
    bf16* to = dlogits + u64(row) * columns;
    for (u32 col = begin + threadIdx.x; col < min(columns, begin + COLUMNS_PER_BLOCK); col += THREADS)
        to[col] = narrow(gradient_at(gradient, from[col], first + col == target));
}
EXPORT(head_bwd_tile_bf16)
