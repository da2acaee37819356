// Tensor-core and shared-memory instructions, worked out by the last lane that arrives.
#pragma once

namespace simt {
typedef float v8f __attribute__((vector_size(32)));
// mma.sync.m16n8k16 row.col f32.bf16.bf16.f32: the last lane to arrive does the product for all.
inline void mma_m16n8k16_bf16(float* d, const uint32_t* a, const uint32_t* b, int line) {
    Quiet quiet; Warp& w = warp(); int me = cur->lane; uint32_t* s = (uint32_t*)w.in[me];
    memcpy(s, a, 16); memcpy(s + 4, b, 8); memcpy(s + 6, d, 16);
    collective(~0u, MMA, line, [&] {
        float A[16][16]; v8f B[16], C[16];
        for (int l = 0; l < 32; l++) {
            uint32_t* q = (uint32_t*)w.in[l]; int g = l >> 2, t = (l & 3) * 2;
            for (int r = 0; r < 4; r++) {  // a0: (g, t..), a1: (g+8, t..), a2: (g, t+8..), a3: (g+8, t+8..)
                int row = g + (r & 1) * 8, col = t + (r >> 1) * 8;
                A[row][col] = __uint_as_float(q[r] << 16); A[row][col + 1] = __uint_as_float(q[r] & 0xffff0000);
            }
            for (int r = 0; r < 2; r++) {
                int k = t + r * 8; B[k][g] = __uint_as_float(q[4 + r] << 16); B[k + 1][g] = __uint_as_float(q[4 + r] & 0xffff0000);
            }
            float c[4]; memcpy(c, q + 6, 16);
            C[g][t] = c[0]; C[g][t + 1] = c[1]; C[g + 8][t] = c[2]; C[g + 8][t + 1] = c[3];
        }
        for (int i = 0; i < 16; i++) for (int k = 0; k < 16; k++) C[i] += A[i][k] * B[k];
        for (int l = 0; l < 32; l++) {
            int g = l >> 2, t = (l & 3) * 2; float c[4] = {C[g][t], C[g][t + 1], C[g + 8][t], C[g + 8][t + 1]};
            memcpy(w.out[l], c, 16);
        }
    });
    memcpy(d, w.out[me], 16);
}
// ldmatrix.x4[.trans]: lane l gives the address of row l%8 of matrix l/8; every row is 16 bytes.
inline void ldmatrix_x4(uint32_t* r, const void* row, bool trans, int line) {
    if ((uintptr_t)row & 15) fail(format("line %d: ldmatrix address is not 16-byte aligned", line));
    struct Row { uint16_t h[8]; } v; memcpy(&v, row, 16);  // read here, so that a bad address is this lane's
    Quiet quiet; Warp& w = warp(); int me = cur->lane;
    memcpy(w.in[me], &v, 16);
    collective(~0u, trans ? LDMATRIX_T : LDMATRIX, line, [&] {
        for (int l = 0; l < 32; l++) for (int m = 0; m < 4; m++) {
            int g = l >> 2, t = (l & 3) * 2;
            auto at = [&](int i, int j) { return uint32_t(((uint16_t*)w.in[m * 8 + i])[j]); };
            ((uint32_t*)w.out[l])[m] = trans ? at(t, g) | at(t + 1, g) << 16 : at(g, t) | at(g, t + 1) << 16;
        }
    });
    memcpy(r, w.out[me], 16);
}
// cp.async: 16 bytes, or zeros, that are not there before the wait, so that a use before it finds what
// was there before.
inline void begin_copy(void* to, const void* from) {
    if (((uintptr_t)to | (uintptr_t)from) & 15) fail("an asynchronous copy at an address that is no multiple of 16");
    Quiet quiet; cur->copies.push_back({to, from});
}
inline void await_copies() {
    for (const Copy& c : cur->copies) if (c.from) memcpy(c.to, c.from, 16); else memset(c.to, 0, 16);
    Quiet quiet; cur->copies.clear();
}
}  // namespace simt
