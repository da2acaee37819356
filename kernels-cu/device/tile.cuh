// A tile of bf16 in shared memory, rows of WIDTH elements, in sixteen-byte chunks; rows and columns
// past the end are zeros. Chunks change places within a row, so that a column of eight rows lies in
// all banks.
#pragma once
#include "device/matrix.cuh"

template <int WIDTH> DEV u32 chunk_at(u32 row, u32 chunk) { return row * (WIDTH / 8) + (chunk ^ (row & 7)); }

// Eight elements from `col` on of a row of any width, as they are; 0 past its end.
DEV uint4 chunk_of(const bf16* row, u32 col, u32 width) {
    u32 words[4];
#pragma unroll
    for (u32 i = 0; i < 4; i++) {
        u32 at = col + 2 * i;
        words[i] = (at < width ? u32(row[at].bits) : 0) | (at + 1 < width ? u32(row[at + 1].bits) << 16 : 0);
    }
    return make_uint4(words[0], words[1], words[2], words[3]);
}

// Begins to load rows 0..ROWS, those below `count` from `from + row_at(row)`, by all threads of the
// block. Complete after await_copies and a barrier.
template <int ROWS, int WIDTH, class RowAt>
DEV void begin_tile(uint4* tile, const bf16* from, u32 count, u32 width, RowAt row_at) {
    for (u32 i = threadIdx.x; i < ROWS * (WIDTH / 8); i += blockDim.x) {
        u32 row = i / (WIDTH / 8), chunk = i % (WIDTH / 8), col = chunk * 8;
        bool real = row < count && col < width;
        const bf16* source = from + (real ? row_at(row) : 0);
        uint4* to = tile + chunk_at<WIDTH>(row, chunk);
        if (width % 8 == 0) begin_copy(to, source + (real ? col : 0), real);
        else *to = chunk_of(source, col, real ? width : 0);
    }
}

// Rows row..row + 16, columns 16 step.. + 16, as the left factor.
template <int WIDTH> DEV void load_left(u32 (&words)[4], const uint4* tile, u32 row, u32 step COLLECTIVE) {
    u32 lane = threadIdx.x % WARP_LANES;
    load_matrices(words, tile + chunk_at<WIDTH>(row + lane % 16, 2 * step + lane / 16) COLLECTIVE_LINE);
}

// Rows row..row + 16, columns 16 step.. + 16, as the transposed right factor: rows row.. + 8 are the
// first two words, rows row + 8.. the others.
template <int WIDTH> DEV void load_right_transposed(u32 (&words)[4], const uint4* tile, u32 row, u32 step COLLECTIVE) {
    u32 lane = threadIdx.x % WARP_LANES;
    u32 own = row + lane % 8 + lane / 16 * 8;
    load_matrices(words, tile + chunk_at<WIDTH>(own, 2 * step + lane / 8 % 2) COLLECTIVE_LINE);
}

// Rows row..row + 16, columns 16 pair.. + 16, as the right factor: columns 16 pair.. + 8 are the first
// two words, the next eight the others.
template <int WIDTH> DEV void load_right(u32 (&words)[4], const uint4* tile, u32 row, u32 pair COLLECTIVE) {
    u32 lane = threadIdx.x % WARP_LANES;
    load_matrices_transposed(words, tile + chunk_at<WIDTH>(row + lane % 16, 2 * pair + lane / 16) COLLECTIVE_LINE);
}

// sums[n] += A B^T for sixteen rows of `left`, held as factors, and rows 8n.. of a tile.
template <int WIDTH, int COLUMNS>
DEV void multiply_transposed(float (&sums)[COLUMNS / 8][4], const u32 (&left)[WIDTH / 16][4], const uint4* right COLLECTIVE) {
#pragma unroll
    for (u32 step = 0; step < WIDTH / 16; step++)
#pragma unroll
        for (u32 n = 0; n < COLUMNS / 16; n++) {
            u32 words[4];
            load_right_transposed<WIDTH>(words, right, 16 * n, step COLLECTIVE_LINE);
            multiply_add(sums[2 * n], left[step], words[0], words[1] COLLECTIVE_LINE);
            multiply_add(sums[2 * n + 1], left[step], words[2], words[3] COLLECTIVE_LINE);
        }
}

// The same with the left factor in a tile, from `row` on: it is loaded as it is needed. Two steps at
// once: all of them spill where many sums are held.
template <int WIDTH, int COLUMNS>
DEV void multiply_transposed(float (&sums)[COLUMNS / 8][4], const uint4* left, u32 row, const uint4* right COLLECTIVE) {
#pragma unroll 2
    for (u32 step = 0; step < WIDTH / 16; step++) {
        u32 factor[4];
        load_left<WIDTH>(factor, left, row, step COLLECTIVE_LINE);
#pragma unroll
        for (u32 n = 0; n < COLUMNS / 16; n++) {
            u32 words[4];
            load_right_transposed<WIDTH>(words, right, 16 * n, step COLLECTIVE_LINE);
            multiply_add(sums[2 * n], factor, words[0], words[1] COLLECTIVE_LINE);
            multiply_add(sums[2 * n + 1], factor, words[2], words[3] COLLECTIVE_LINE);
        }
    }
}

// sums += A B for sixteen rows of A, given as sums of a product before, rounded here, and a tile of
// DEPTH rows.
template <int WIDTH, int DEPTH>
DEV void multiply(float (&sums)[WIDTH / 8][4], const float (&left)[DEPTH / 8][4], const uint4* right COLLECTIVE) {
#pragma unroll
    for (u32 step = 0; step < DEPTH / 16; step++) {
        const float(&low)[4] = left[2 * step], (&high)[4] = left[2 * step + 1];
        u32 factor[4] = {pack(low[0], low[1]), pack(low[2], low[3]), pack(high[0], high[1]), pack(high[2], high[3])};
#pragma unroll
        for (u32 pair = 0; pair < WIDTH / 16; pair++) {
            u32 words[4];
            load_right<WIDTH>(words, right, 16 * step, pair COLLECTIVE_LINE);
            multiply_add(sums[2 * pair], factor, words[0], words[1] COLLECTIVE_LINE);
            multiply_add(sums[2 * pair + 1], factor, words[2], words[3] COLLECTIVE_LINE);
        }
    }
}

// Columns col and col + 1 of a row that has `width`.
DEV void store_pair(bf16* row, u32 col, u32 width, float first, float second) {
    if (width % 2 == 0) {
        if (col < width) *reinterpret_cast<u32*>(row + col) = pack(first, second);
        return;
    }
    if (col < width) row[col] = narrow(first);
    if (col + 1 < width) row[col + 1] = narrow(second);
}
