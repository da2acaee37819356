// Computes  s = 1 / (1 + e^-g), out = g s u. Backward: dgate = dout u s (1 + g (1 - s)),
//           dup = dout g s.
// Tensors   gate, up, out, dout, dgate, dup: [count] bf16, contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left: one pass over memory.
// Numerics  f32, one rounding to bf16 an element; no sum, so repeatable to the bit. e^-g is infinite
//           below g = -88.7, where s is 0 and so is what it multiplies.
// Writes    out, dgate, dup: '='. An output may be an input of the same call.
// Twin      infuser-kernels/src/ops/swiglu/cpu.rs; Shazeer, 2020.
#include "device/vec.cuh"

DEV float sigmoid(float g) { return 1.0f / (1.0f + expf(-g)); }

template <int N> DEV void forward_at(const bf16* gate, const bf16* up, bf16* out, u64 at) {
    Values<N> g = load<N>(gate + at), u = load<N>(up + at);
#pragma unroll
    for (int i = 0; i < N; i++) g.at[i] *= sigmoid(g.at[i]) * u.at[i];
    store<N>(out + at, g);
}

template <int N>
DEV void backward_at(const bf16* dout, const bf16* gate, const bf16* up, bf16* dgate, bf16* dup, u64 at) {
    Values<N> d = load<N>(dout + at), g = load<N>(gate + at), u = load<N>(up + at);
#pragma unroll
    for (int i = 0; i < N; i++) {
        float s = sigmoid(g.at[i]);
        u.at[i] *= d.at[i] * s * (1.0f + g.at[i] * (1.0f - s));
        g.at[i] *= d.at[i] * s;
    }
    store<N>(dgate + at, u);
    store<N>(dup + at, g);
}

KERNEL void swiglu_fwd_bf16(const bf16* gate, const bf16* up, bf16* out, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { forward_at<decltype(n)::value>(gate, up, out, at); });
}
EXPORT(swiglu_fwd_bf16)

KERNEL void swiglu_bwd_bf16(const bf16* dout, const bf16* gate, const bf16* up, bf16* dgate, bf16* dup, u32 count) {
    for_own_eight(count, [&](auto n, u64 at) { backward_at<decltype(n)::value>(dout, gate, up, dgate, dup, at); });
}
EXPORT(swiglu_bwd_bf16)
