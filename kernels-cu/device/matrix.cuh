// Tensor-core instructions of sm_80 and later, and copies to shared memory that run aside. Each
// stands beside its host twin. Precondition of the first three: all 32 lanes arrive.
#pragma once
#include "device/types.cuh"

#ifdef ON_GPU
DEV u32 shared_address(const void* at) { return u32(__cvta_generic_to_shared(at)); }
#endif

// Two bf16 in one word, the first one low.
DEV u32 pack(float low, float high) {
#ifdef ON_GPU
    u32 word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
#else
    return u32(narrow(low).bits) | u32(narrow(high).bits) << 16;
#endif
}

// d += a b on one 16 x 8 x 16 tile. With g = lane / 4, t = lane % 4, a holds rows g and g + 8 of columns
// 2t, 2t + 1, then of columns 2t + 8, 2t + 9; b column g of rows 2t, 2t + 1 and 2t + 8, 2t + 9; d
// columns 2t, 2t + 1 of row g, then of row g + 8. So two neighbouring d, packed, are an a.
DEV void multiply_add(float (&d)[4], const u32 (&a)[4], u32 b0, u32 b1 COLLECTIVE) {
#ifdef ON_GPU
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
    u32 b[2] = {b0, b1};
    simt::mma_m16n8k16_bf16(d, a, b, line_);
#endif
}

// Four 8 x 8 matrices from shared memory; lane l gives the address of row l % 8 of matrix l / 8.
DEV void load_matrices(u32 (&words)[4], const void* row COLLECTIVE) {
#ifdef ON_GPU
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
    simt::ldmatrix_x4(words, row, false, line_);
#endif
}

// The same, each matrix transposed.
DEV void load_matrices_transposed(u32 (&words)[4], const void* row COLLECTIVE) {
#ifdef ON_GPU
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
#else
    simt::ldmatrix_x4(words, row, true, line_);
#endif
}

// Begins to copy 16 bytes to shared memory, or zeros; they are there after await_copies.
DEV void begin_copy(uint4* to, const void* from, bool real) {
#ifdef ON_GPU
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(real ? 16 : 0)
                 : "memory");
#else
    simt::begin_copy(to, real ? from : nullptr);
#endif
}

// Waits for all copies that this thread began; other threads' need a barrier after it.
DEV void await_copies() {
#ifdef ON_GPU
    asm volatile("cp.async.wait_all;" ::: "memory");
#else
    simt::await_copies();
#endif
}
