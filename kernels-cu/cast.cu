// Computes  y_i = x_i in the other type: bf16 to f32, or f32 to bf16.
// Tensors   x, y: [count] bf16 and f32, or f32 and bf16. Contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left: one pass over memory.
// Numerics  To f32 exactly. To bf16 to nearest, ties to even: above the largest bf16 infinity, and a
//           NaN stays one, whatever bits it is made of.
// Writes    y: '='. y may not be x.
// Twin      half::bf16::from_f32 and to_f32.
#include "device/vec.cuh"

KERNEL void cast_bf16_f32(const bf16* x, float* y, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { store(y + at, load<decltype(n)::value>(x + at)); });
}
EXPORT(cast_bf16_f32)

KERNEL void cast_f32_bf16(const float* x, bf16* y, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { store(y + at, load<decltype(n)::value>(x + at)); });
}
EXPORT(cast_f32_bf16)
