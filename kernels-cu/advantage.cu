// Computes  mean m_g and unbiased deviation s_g of each group g; one number for the batch: the mean of the
//           s_g above zero, or the deviation of all r_i - m_g; and A_i = (r_i - m_g) / divisor.
// Tensors   rewards, out: [rows] f32; members: [rows] u32, rows by group, those of a group ascending;
//           starts: [groups + 1] u32, where each group begins in members; moments: [groups, 2] f64, mean
//           and deviation; shared: [1] f64. Contiguous, the caller's.
// Grid      Moments and apply: a warp, which is a block, owns a group. Shared: one block.
// Numerics  f64, one rounding to f32 at the end. A lane adds its rows in order, then a butterfly, then, in
//           the batch, the warps: repeatable to the bit. Equal rewards have exactly their value and a
//           deviation of zero: they are compared, not subtracted. Beyond f32 an advantage is its largest.
// Writes    moments, shared, out: '='.
// Twin      infuser-kernels/src/ops/advantage/cpu.rs
#include "device/reduce.cuh"

#define GROUP_STD 0u
#define DUAL_STD 1u
#define BATCH_STD 2u
#define EPSILON 1e-6
#define FLOAT_MAX 3.4028234663852886e38

// `raw`: a group of one row keeps its reward, with mean 0 and deviation 1.
KERNEL void advantage_moments_f32(const float* rewards, const u32* members, const u32* starts, double* moments, u32 raw) {
    u32 begin = starts[blockIdx.x], end = starts[blockIdx.x + 1];
    float first = rewards[members[begin]];
    double total = 0.0, squares = 0.0, others = 0.0;
    for (u32 i = begin + threadIdx.x; i < end; i += WARP_LANES) {
        float reward = rewards[members[i]];
        total += double(reward);
        if (reward != first) others += 1.0;
    }
    bool varies = warp_sum(others) > 0.0;
    double mean = varies ? warp_sum(total) / double(end - begin) : double(first);
    for (u32 i = begin + threadIdx.x; i < end; i += WARP_LANES) {
        double away = double(rewards[members[i]]) - mean;
        squares += away * away;
    }
    squares = warp_sum(squares);
    double deviation = varies ? sqrt(squares / double(end - begin - 1)) : 0.0;
    if (raw && end - begin == 1) {
        mean = 0.0;
        deviation = 1.0;
    }
    if (threadIdx.x == 0) {
        moments[2 * blockIdx.x] = mean;
        moments[2 * blockIdx.x + 1] = deviation;
    }
}
EXPORT(advantage_moments_f32)

// Calls visit(r_i - m_g) for every row of every group that this thread owns.
template <class Visit>
DEV void for_centred(const float* rewards, const u32* members, const u32* starts, const double* moments, u32 groups,
                     Visit visit) {
    for (u32 group = threadIdx.x; group < groups; group += blockDim.x)
        for (u32 i = starts[group]; i < starts[group + 1]; i++)
            visit(double(rewards[members[i]]) - moments[2 * group]);
}

KERNEL void advantage_shared_f32(const float* rewards, const u32* members, const u32* starts, const double* moments,
                                 double* shared, u32 groups, u32 mode) {
    double total = 0.0, count = 0.0;
    if (mode == DUAL_STD) {
        for (u32 group = threadIdx.x; group < groups; group += blockDim.x)
            if (moments[2 * group + 1] > 0.0) {
                total += moments[2 * group + 1];
                count += 1.0;
            }
        total = block_sum(total);
        count = block_sum(count);
        if (threadIdx.x == 0) shared[0] = count > 0.0 ? total / count : 0.0;
        return;
    }
    double first = double(rewards[members[0]]) - moments[0], others = 0.0, squares = 0.0;
    for_centred(rewards, members, starts, moments, groups, [&](double x) {
        total += x;
        count += 1.0;
        if (x != first) others += 1.0;
    });
    count = block_sum(count);
    double mean = block_sum(total) / count;
    for_centred(rewards, members, starts, moments, groups, [&](double x) { squares += (x - mean) * (x - mean); });
    squares = block_sum(squares);
    others = block_sum(others);
    if (threadIdx.x == 0) shared[0] = others > 0.0 ? sqrt(squares / (count - 1.0)) : 0.0;
}
EXPORT(advantage_shared_f32)

KERNEL void advantage_apply_f32(const float* rewards, const u32* members, const u32* starts, const double* moments,
                                const double* shared, float* out, u32 mode) {
    double mean = moments[2 * blockIdx.x], divisor = 1.0;
    if (mode == GROUP_STD) divisor = moments[2 * blockIdx.x + 1] + EPSILON;
    if (mode == DUAL_STD) divisor = moments[2 * blockIdx.x + 1] + shared[0] + EPSILON;
    if (mode == BATCH_STD) divisor = shared[0] + EPSILON;
    u32 end = starts[blockIdx.x + 1];
    for (u32 i = starts[blockIdx.x] + threadIdx.x; i < end; i += WARP_LANES) {
        double advantage = (double(rewards[members[i]]) - mean) / divisor;
        // Compared, since min and max would make a number of what is none.
        if (advantage > FLOAT_MAX) advantage = FLOAT_MAX;
        if (advantage < -FLOAT_MAX) advantage = -FLOAT_MAX;
        out[members[i]] = float(advantage);
    }
}
EXPORT(advantage_apply_f32)
