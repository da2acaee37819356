//! Vector arithmetic that the compiler vectorises for the processor that is there.
//!
//! [`simd`] runs a closure compiled for the best instruction set found at run time (AVX-512, AVX2
//! or NEON). The helpers below are always inlined into it, and the closure must be too: write
//! `simd(#[inline(always)] || …)`, or a large one is compiled for the oldest processor and calls a
//! library function for every fused multiply-add. Reductions keep [`LANES`] partial sums
//! in a fixed order, so the result is the same whichever vector width the processor has.

/// Partial sums of every reduction; two AVX-512 registers, four AVX2 ones.
pub(crate) const LANES: usize = 32;

struct Call<F>(F);

impl<R, F: FnOnce() -> R> pulp::WithSimd for Call<F> {
    type Output = R;

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) -> R {
        simd.vectorize(struct_closure(self.0))
    }
}

struct Nullary<F>(F);

#[inline(always)]
fn struct_closure<F>(f: F) -> Nullary<F> {
    Nullary(f)
}

impl<R, F: FnOnce() -> R> pulp::NullaryFnOnce for Nullary<F> {
    type Output = R;

    #[inline(always)]
    fn call(self) -> R {
        (self.0)()
    }
}

/// Runs `f` compiled for the best instruction set of this processor.
#[inline(always)]
pub(crate) fn simd<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(Call(f))
}

/// Where [`prefetch`] puts a line. What it pushes out of the first-level cache goes to the second.
#[cfg(target_arch = "x86_64")]
pub(crate) use std::arch::x86_64::_MM_HINT_T0 as FIRST_LEVEL;
/// For lines that are asked for in quick succession: loads of what the first-level cache holds do not wait
/// for them.
#[cfg(target_arch = "x86_64")]
pub(crate) use std::arch::x86_64::_MM_HINT_T1 as SECOND_LEVEL;

#[cfg(not(target_arch = "x86_64"))]
pub(crate) const FIRST_LEVEL: i32 = 0;
#[cfg(not(target_arch = "x86_64"))]
pub(crate) const SECOND_LEVEL: i32 = 1;

/// Asks for the cache line of `values[at]`, if there is one, ahead of its use.
#[inline(always)]
pub(crate) fn prefetch<const LEVEL: i32>(values: &[f32], at: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(at) {
        // SAFETY: a prefetch never faults, and the address is that of a value that is there.
        unsafe { std::arch::x86_64::_mm_prefetch::<LEVEL>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, at);
}

/// Sums the lanes pairwise: the same order on every machine.
#[inline(always)]
fn fold(mut lanes: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// `Σ a_i b_i`.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let (a_chunks, a_tail) = a.as_chunks::<LANES>();
    let (b_chunks, b_tail) = b.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for i in 0..LANES {
            lanes[i] = x[i].mul_add(y[i], lanes[i]);
        }
    }
    let mut tail = 0.0f32;
    for (x, y) in a_tail.iter().zip(b_tail) {
        tail = x.mul_add(*y, tail);
    }
    fold(lanes) + tail
}

/// `Σ a_i b_i c_i`.
#[inline(always)]
pub(crate) fn dot3(a: &[f32], b: &[f32], c: &[f32]) -> f32 {
    let n = a.len().min(b.len()).min(c.len());
    let (a_chunks, a_tail) = a[..n].as_chunks::<LANES>();
    let (b_chunks, b_tail) = b[..n].as_chunks::<LANES>();
    let (c_chunks, c_tail) = c[..n].as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for ((x, y), z) in a_chunks.iter().zip(b_chunks).zip(c_chunks) {
        for i in 0..LANES {
            lanes[i] = (x[i] * y[i]).mul_add(z[i], lanes[i]);
        }
    }
    let mut tail = 0.0f32;
    for ((x, y), z) in a_tail.iter().zip(b_tail).zip(c_tail) {
        tail = (x * y).mul_add(*z, tail);
    }
    fold(lanes) + tail
}

/// `Σ a_i`.
#[inline(always)]
pub(crate) fn sum(a: &[f32]) -> f32 {
    let (chunks, tail) = a.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for x in chunks {
        for i in 0..LANES {
            lanes[i] += x[i];
        }
    }
    fold(lanes) + tail.iter().sum::<f32>()
}

/// The largest element; -inf for none. A NaN anywhere is not guaranteed to show.
#[inline(always)]
pub(crate) fn max(a: &[f32]) -> f32 {
    let (chunks, tail) = a.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for x in chunks {
        for i in 0..LANES {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    let mut best = f32::NEG_INFINITY;
    for x in lanes.iter().chain(tail) {
        best = if *x > best { *x } else { best };
    }
    best
}

/// `e^x` to about one unit in the last place, branch-free so that loops over it vectorise.
///
/// Below -87.3 (where f32 turns denormal) the result is 0, above 88.7 it is +inf; NaN stays NaN.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOWEST: f32 = -87.336_54;
    const HIGHEST: f32 = 88.722_83;
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts; the first has few enough bits that n * LN2_HIGH is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding 1.5 * 2^23 rounds to the nearest integer, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let clamped = if x < LOWEST { LOWEST } else { x };
    let clamped = if clamped > HIGHEST { HIGHEST } else { clamped };
    let rounded = clamped.mul_add(LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN2_LOW, n.mul_add(-LN2_HIGH, clamped));
    // Taylor terms to r^7; |r| <= ln2 / 2 leaves a relative error of 6e-9.
    let mut p = 1.984_127e-4_f32;
    p = p.mul_add(r, 1.388_888_9e-3);
    p = p.mul_add(r, 8.333_334e-3);
    p = p.mul_add(r, 4.166_666_8e-2);
    p = p.mul_add(r, 1.666_666_7e-1);
    p = p.mul_add(r, 0.5);
    p = p.mul_add(r, 1.0);
    p = p.mul_add(r, 1.0);
    // 2^n in two factors, because n may reach 128. A conversion of n to an integer would have to look
    // at NaN, which compilers do one value at a time.
    let n = rounded.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let scale = |k: i32| f32::from_bits((k.wrapping_add(127) << 23) as u32);
    let value = p * scale(half) * scale(n.wrapping_sub(half));
    let value = if x < LOWEST { 0.0 } else { value };
    if x > HIGHEST { f32::INFINITY } else { value }
}

/// The logistic function `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_the_last_places() {
        let mut worst = 0.0f64;
        let mut x = -87.3f32;
        while x < 88.7 {
            let want = f64::from(x).exp();
            worst = worst.max(
                (f64::from(simd(
                    #[inline(always)]
                    || exp(x),
                )) - want)
                    .abs()
                    / want,
            );
            x += 0.0137;
        }
        assert!(worst < 2e-7, "relative error {worst:e}");
        assert_eq!((exp(0.0), exp(-200.0), exp(f32::NEG_INFINITY)), (1.0, 0.0, 0.0));
        assert_eq!((exp(89.0), exp(f32::INFINITY)), (f32::INFINITY, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_are_right_at_every_length() {
        for n in 0..=(2 * LANES + 1) {
            let a: Vec<f32> = (0..n).map(|i| (i as f32) - 20.0).collect();
            let b: Vec<f32> = (0..n).map(|i| 0.5 * i as f32).collect();
            let want: f32 = a.iter().zip(&b).map(|(x, y)| x * y).sum();
            assert_eq!(
                simd(
                    #[inline(always)]
                    || dot(&a, &b)
                ),
                want
            );
            assert_eq!(
                simd(
                    #[inline(always)]
                    || dot3(&a, &b, &vec![2.0; n])
                ),
                2.0 * want
            );
            assert_eq!(
                simd(
                    #[inline(always)]
                    || sum(&a)
                ),
                a.iter().sum::<f32>()
            );
            let best = a.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(
                simd(
                    #[inline(always)]
                    || max(&a)
                ),
                best
            );
        }
    }
}
