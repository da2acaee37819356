// Computes  r = 1 / sqrt(mean_j x_j^2 + epsilon), y_j = x_j r w_j; with a residual, x = x + residual
//           first. Backward: dx = r (dy w) - x r^3 mean_j(dy_j w_j x_j); dw_j += sum_t dy_tj x_tj r_t.
// Tensors   x, residual, sum, y, dy, dx: [rows, width] bf16; w: [width] bf16; rstd: [rows] f32;
//           partial: [chunks, width] f32 scratch; dw: [width] f32. All contiguous, all the caller's.
// Grid      Rows: a warp owns a row, a block eight rows: no barrier, and heads of 128 fill the card as
//           well as rows of 4096. Weight gradient: a block owns 32 columns of a chunk of rows.
// Numerics  f32 sums: a lane adds its columns in order, the warp in a butterfly; rows of a chunk and
//           chunks are added in a fixed order. No atomics: repeatable to the bit. A zero row gives 0. A
//           row with |x| above 1.8e19 overflows its sum, as in the twin. `sum` is rounded to bf16
//           before its norm is taken, so that backward sees what forward saw.
// Writes    y, rstd, sum, partial: '='. dx: '=' or, with `add`, '+='. dw: '+='. dx may be dy; sum may
//           be x or residual.
// Twin      infuser-kernels/src/ops/rmsnorm/cpu.rs; Zhang & Sennrich, 2019.
#include "device/reduce.cuh"
#include "device/vec.cuh"

#define ROWS_PER_BLOCK 8u
#define STRIPES 8u

// Sums the squares of a row of x, or of the x + residual that it leaves in `sum`.
template <int N> DEV float sum_of_squares(const bf16* x, const bf16* residual, bf16* sum, u32 width) {
    u32 lane = threadIdx.x % WARP_LANES;
    float total = 0.0f;
    for (u32 col = lane * N; col < width; col += WARP_LANES * N) {
        Values<N> v = load<N>(x + col);
        if (residual) {
            Values<N> r = load<N>(residual + col);
#pragma unroll
            for (int i = 0; i < N; i++) v.at[i] = widen(narrow(v.at[i] + r.at[i]));
            store<N>(sum + col, v);
        }
#pragma unroll
        for (int i = 0; i < N; i++) total += v.at[i] * v.at[i];
    }
    return total;
}

template <int N>
DEV void forward_row(const bf16* x, const bf16* residual, const bf16* w, bf16* sum, bf16* y, float* rstd,
                     u32 width, float epsilon) {
    u32 lane = threadIdx.x % WARP_LANES;
    float total = warp_sum(sum_of_squares<N>(x, residual, sum, width));
    float r = 1.0f / sqrtf(total / float(width) + epsilon);
    const bf16* input = residual ? sum : x;
    // A lane reads the columns it wrote itself: nothing to wait for.
    for (u32 col = lane * N; col < width; col += WARP_LANES * N) {
        Values<N> v = load<N>(input + col), weight = load<N>(w + col);
#pragma unroll
        for (int i = 0; i < N; i++) v.at[i] *= r * weight.at[i];
        store<N>(y + col, v);
    }
    if (lane == 0) *rstd = r;
}

template <int N>
DEV void backward_row(const bf16* dy, const bf16* x, const bf16* w, float r, bf16* dx, u32 width, u32 add) {
    u32 lane = threadIdx.x % WARP_LANES;
    float dot = 0.0f;
    for (u32 col = lane * N; col < width; col += WARP_LANES * N) {
        Values<N> g = load<N>(dy + col), v = load<N>(x + col), weight = load<N>(w + col);
#pragma unroll
        for (int i = 0; i < N; i++) dot += g.at[i] * weight.at[i] * v.at[i];
    }
    float pull = warp_sum(dot) / float(width) * r * r * r;
    for (u32 col = lane * N; col < width; col += WARP_LANES * N) {
        Values<N> g = load<N>(dy + col), v = load<N>(x + col), weight = load<N>(w + col);
#pragma unroll
        for (int i = 0; i < N; i++) g.at[i] = r * g.at[i] * weight.at[i] - pull * v.at[i];
        if (add) {
            Values<N> before = load<N>(dx + col);
#pragma unroll
            for (int i = 0; i < N; i++) g.at[i] += before.at[i];
        }
        store<N>(dx + col, g);
    }
}

// Row of this warp; rows * width may pass 2^32, so offsets are 64-bit.
DEV u32 own_row() { return blockIdx.x * ROWS_PER_BLOCK + threadIdx.x / WARP_LANES; }

KERNEL void rmsnorm_fwd_bf16(const bf16* x, const bf16* w, bf16* y, float* rstd, u32 rows, u32 width, float epsilon) {
    u32 row = own_row();
    if (row >= rows) return;
    u64 at = u64(row) * width;
    if (width % 8 == 0) forward_row<8>(x + at, nullptr, w, nullptr, y + at, rstd + row, width, epsilon);
    else forward_row<1>(x + at, nullptr, w, nullptr, y + at, rstd + row, width, epsilon);
}
EXPORT(rmsnorm_fwd_bf16)

KERNEL void rmsnorm_fwd_add_bf16(const bf16* x, const bf16* residual, const bf16* w, bf16* sum, bf16* y, float* rstd,
                                 u32 rows, u32 width, float epsilon) {
    u32 row = own_row();
    if (row >= rows) return;
    u64 at = u64(row) * width;
    if (width % 8 == 0) forward_row<8>(x + at, residual + at, w, sum + at, y + at, rstd + row, width, epsilon);
    else forward_row<1>(x + at, residual + at, w, sum + at, y + at, rstd + row, width, epsilon);
}
EXPORT(rmsnorm_fwd_add_bf16)

KERNEL void rmsnorm_bwd_bf16(const bf16* dy, const bf16* x, const bf16* w, const float* rstd, bf16* dx, u32 rows,
                             u32 width, u32 add) {
    u32 row = own_row();
    if (row >= rows) return;
    u64 at = u64(row) * width;
    if (width % 8 == 0) backward_row<8>(dy + at, x + at, w, rstd[row], dx + at, width, add);
    else backward_row<1>(dy + at, x + at, w, rstd[row], dx + at, width, add);
}
EXPORT(rmsnorm_bwd_bf16)

// Block (column tile, chunk): thread (col, stripe) sums every eighth row of the chunk.
KERNEL void rmsnorm_bwd_weight_bf16(const bf16* dy, const bf16* x, const float* rstd, float* partial, u32 rows,
                                    u32 width, u32 rows_per_chunk) {
    SHARED(float, stripes, [STRIPES][WARP_LANES]);
    u32 lane = threadIdx.x % WARP_LANES, stripe = threadIdx.x / WARP_LANES;
    u32 col = blockIdx.x * WARP_LANES + lane;
    u32 first = blockIdx.y * rows_per_chunk, end = min(rows, first + rows_per_chunk);
    float total = 0.0f;
    if (col < width)
        for (u32 row = first + stripe; row < end; row += STRIPES) {
            u64 at = u64(row) * width + col;
            total += widen(dy[at]) * widen(x[at]) * rstd[row];
        }
    stripes[stripe][lane] = total;
    __syncthreads();  // all stripes are written; the first warp reads them
    if (stripe == 0 && col < width) {
#pragma unroll
        for (u32 other = 1; other < STRIPES; other++) total += stripes[other][lane];
        partial[u64(blockIdx.y) * width + col] = total;
    }
}
EXPORT(rmsnorm_bwd_weight_bf16)
