// Computes  for each question q: <g,m>, |g|^2, <G,m>, |G|^2, summed over the tile of 4096 elements of a
//           block, with G = g / (sqrt(v_hat) + epsilon), v_hat = keep v + square g^2; v = 0 if `stepped`
//           is 0. columns.cu adds the tiles up. Rows: the same four sums for single rows of a table.
// Tensors   gradient: [questions, count] f32; exp_avg_sq (v), target (m): [count] f32; partial:
//           [count / 4096, rounded up; questions, 4] f64. Rows: rows: [R, width] f32; ids: [R] u32, the row
//           of v and m, [table rows, width], that each is compared with; out: [R, 4] f64. Contiguous, the
//           caller's.
// Grid      A block owns a tile and, along y, `per_block` questions; a thread sixteen elements, whose m and
//           v it keeps for all of them: each gradient, m and v are read once. Rows: a block owns a row.
// Numerics  G in f32 from roots, not squares, scaled up where it is small: no g is too small or too
//           large for its square. Products and sums in f64, which holds every product of two f32. A
//           thread adds its elements in order, then warps in a butterfly, then the block, then the tiles:
//           repeatable to the bit, whatever shares the launch. Where the divisor is 0, so is G.
// Writes    partial, out: '='.
// Twin      infuser-kernels/src/ops/influence/cpu.rs
#include "device/reduce.cuh"
#include "device/vec.cuh"

#define RUNS 2
#define TILE_WARPS 8u
#define TILE 4096u

struct Kinds { double at[4]; };

// Eight neighbours, zeros past the end; `whole` if all tensors take wide accesses here.
DEV Values<8> run_of(const float* x, u64 at, u32 count, bool whole) {
    if (whole) return load<8>(x + at);
    Values<8> out;
#pragma unroll
    for (int i = 0; i < 8; i++) out.at[i] = at + i < count ? x[at + i] : 0.0f;
    return out;
}

// G of one element: `past` is sqrt(keep v), `root_square` sqrt(square).
DEV float preconditioned(float g, float past, float root_square, float epsilon) {
    float size = fabsf(g);
    // The same factor above and below: keeps denormals out of the root.
    float up = size < 1e-20f && past < 1e-20f ? 0x1p80f : 1.0f;
    g *= up;
    float a = past * up, b = size * up * root_square;
    float high = a > b ? a : b, low = a > b ? b : a, share = low / high;
    float divisor = (high == 0.0f ? 0.0f : high * sqrtf(1.0f + share * share)) + epsilon * up;
    return divisor == 0.0f ? 0.0f : g / divisor;
}

DEV void add_run(Kinds& sums, const Values<8>& g, const Values<8>& past, const Values<8>& m, float root_square,
                 float epsilon) {
#pragma unroll
    for (int i = 0; i < 8; i++) {
        double gamma = preconditioned(g.at[i], past.at[i], root_square, epsilon);
        double gradient = g.at[i], target = m.at[i];
        sums.at[0] += gradient * target;
        sums.at[1] += gradient * gradient;
        sums.at[2] += gamma * target;
        sums.at[3] += gamma * gamma;
    }
}

KERNEL void influence_sums_f32(const float* gradient, const float* exp_avg_sq, const float* target, double* partial,
                               u32 questions, u32 count, u32 per_block, u32 stepped, float root_keep,
                               float root_square, float epsilon) {
    SHARED(double, warps, [2][TILE_WARPS][4]);
    u32 lane = threadIdx.x % WARP_LANES, warp = threadIdx.x / WARP_LANES;
    u64 first = u64(blockIdx.x) * TILE + threadIdx.x * 8;
    Values<8> past[RUNS], m[RUNS];
    bool whole[RUNS];
#pragma unroll
    for (int run = 0; run < RUNS; run++) {
        u64 at = first + run * (TILE / RUNS);
        whole[run] = count % 8 == 0 && at + 8 <= count;
        m[run] = run_of(target, at, count, whole[run]);
#pragma unroll
        for (int i = 0; i < 8; i++) past[run].at[i] = 0.0f;
        if (stepped) past[run] = run_of(exp_avg_sq, at, count, whole[run]);
#pragma unroll
        for (int i = 0; i < 8; i++) past[run].at[i] = root_keep * sqrtf(past[run].at[i]);
    }
    u32 end = min(questions, (blockIdx.y + 1) * per_block);
    for (u32 q = blockIdx.y * per_block; q < end; q++) {
        Kinds sums = {{0.0, 0.0, 0.0, 0.0}};
#pragma unroll
        for (int run = 0; run < RUNS; run++) {
            Values<8> g = run_of(gradient + u64(q) * count, first + run * (TILE / RUNS), count, whole[run]);
            add_run(sums, g, past[run], m[run], root_square, epsilon);
        }
#pragma unroll
        for (int kind = 0; kind < 4; kind++) {
            double total = warp_sum(sums.at[kind]);
            if (lane == 0) warps[q % 2][warp][kind] = total;
        }
        // All warps' sums are there. The next question has the other half: it cannot write over them.
        __syncthreads();
        if (threadIdx.x < 4) {
            double total = 0.0;
            for (u32 other = 0; other < TILE_WARPS; other++) total += warps[q % 2][other][threadIdx.x];
            partial[(u64(blockIdx.x) * questions + q) * 4 + threadIdx.x] = total;
        }
    }
}
EXPORT(influence_sums_f32)

KERNEL void influence_rows_f32(const float* rows, const float* exp_avg_sq, const float* target, const u32* ids,
                               double* out, u32 width, u32 stepped, float root_keep, float root_square,
                               float epsilon) {
    const float* gradient = rows + u64(blockIdx.x) * width;
    u64 row = u64(ids[blockIdx.x]) * width;
    bool whole = width % 8 == 0;
    Kinds sums = {{0.0, 0.0, 0.0, 0.0}};
    for (u32 col = threadIdx.x * 8; col < width; col += blockDim.x * 8) {
        Values<8> past, g = run_of(gradient, col, width, whole), m = run_of(target + row, col, width, whole);
#pragma unroll
        for (int i = 0; i < 8; i++) past.at[i] = 0.0f;
        if (stepped) past = run_of(exp_avg_sq + row, col, width, whole);
#pragma unroll
        for (int i = 0; i < 8; i++) past.at[i] = root_keep * sqrtf(past.at[i]);
        add_run(sums, g, past, m, root_square, epsilon);
    }
#pragma unroll
    for (int kind = 0; kind < 4; kind++) {
        double total = block_sum(sums.at[kind]);
        if (threadIdx.x == 0) out[u64(blockIdx.x) * 4 + kind] = total;
    }
}
EXPORT(influence_rows_f32)
