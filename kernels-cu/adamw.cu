// Computes  with g = gradient_scale * gradient: m += lerp (g - m); v = beta2 v + square g^2;
//           w = keep w + step_size m / (sqrt(v) / correction + epsilon); rounded = w as bf16.
// Tensors   gradient, w, m, v: [count] f32; rounded: [count] bf16. Contiguous, the caller's.
// Grid      A thread owns eight neighbours, the last one what is left: one pass over memory.
// Numerics  f32, elementwise: repeatable to the bit. Factors of the step come rounded from f64; lerp runs
//           from the nearer end, with unlerp = 1 - lerp. A |g| above 1.8e19 has an infinite square, and
//           its element stays where it is from then on, as in the twin.
// Writes    w, m, v in place; rounded: '='. None may be another.
// Twin      infuser-kernels/src/ops/adamw/cpu.rs; Loshchilov & Hutter, 2019.
#include "device/vec.cuh"

struct Factors { float gradient_scale, keep, lerp, unlerp, beta2, square, correction, epsilon, step_size; };

template <int N>
DEV Values<N> step_at(const Factors& f, const float* gradient, float* weight, float* exp_avg, float* exp_avg_sq) {
    Values<N> g = load<N>(gradient), w = load<N>(weight), m = load<N>(exp_avg), v = load<N>(exp_avg_sq);
#pragma unroll
    for (int i = 0; i < N; i++) {
        float x = f.gradient_scale * g.at[i], towards = x - m.at[i];
        m.at[i] = f.lerp < 0.5f ? m.at[i] + f.lerp * towards : x - towards * f.unlerp;
        v.at[i] = v.at[i] * f.beta2 + f.square * x * x;
        float denominator = sqrtf(v.at[i]) / f.correction + f.epsilon;
        w.at[i] = w.at[i] * f.keep + f.step_size * m.at[i] / denominator;
    }
    store(weight, w);
    store(exp_avg, m);
    store(exp_avg_sq, v);
    return w;
}

KERNEL void adamw_f32(const float* gradient, float* weight, float* exp_avg, float* exp_avg_sq, u32 count,
                      float gradient_scale, float keep, float lerp, float unlerp, float beta2, float square,
                      float correction, float epsilon, float step_size) {
    Factors f = {gradient_scale, keep, lerp, unlerp, beta2, square, correction, epsilon, step_size};
    for_own_eight(count, [&](auto n, u64 at) {
        step_at<decltype(n)::value>(f, gradient + at, weight + at, exp_avg + at, exp_avg_sq + at);
    });
}
EXPORT(adamw_f32)

KERNEL void adamw_bf16(const float* gradient, float* weight, float* exp_avg, float* exp_avg_sq, bf16* rounded, u32 count,
                       float gradient_scale, float keep, float lerp, float unlerp, float beta2, float square,
                       float correction, float epsilon, float step_size) {
    Factors f = {gradient_scale, keep, lerp, unlerp, beta2, square, correction, epsilon, step_size};
    for_own_eight(count, [&](auto n, u64 at) {
        store(rounded + at,
              step_at<decltype(n)::value>(f, gradient + at, weight + at, exp_avg + at, exp_avg_sq + at));
    });
}
EXPORT(adamw_bf16)
