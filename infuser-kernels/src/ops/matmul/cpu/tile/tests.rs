use pulp::WithSimd;

use super::*;
use crate::{simd::FIRST_LEVEL, testing::hard_values};

/// A tile of so many rows over an inner axis of `depth`, from factors that end with their last value.
struct OneTile {
    sizes: [usize; 2],
}

impl WithSimd for OneTile {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [rows, depth] = self.sizes;
        let [apart, w_apart] = [depth + 3, PANEL + 1];
        let length = |rows: usize, apart, width| rows.saturating_sub(1) * apart + width;
        let x = hard_values(1, length(rows, apart, depth));
        let w = hard_values(2, length(depth, w_apart, PANEL.min(depth * PANEL)));
        let start = hard_values(3, PANEL);
        let start: &[f32; PANEL] = start.first_chunk().unwrap();
        let mut sums = [*start; MAX_ROWS];
        let ahead = Ahead::<FIRST_LEVEL>([&w, &x[..x.len() / 2]]);
        let (left, right) = (Rows { data: &x, stride: apart }, Rows { data: &w, stride: w_apart });
        accumulate(simd, self.sizes, left, right, &mut sums, ahead);
        for (i, sums) in sums.iter().enumerate() {
            let depth = if i < rows { depth } else { 0 };
            let term = |k: usize, j: usize| (x[i * apart + k], w[k * w_apart + j]);
            let chain = |sum: f32, (x, w): (f32, f32)| x.mul_add(w, sum);
            let expected: Vec<f32> =
                (0..PANEL).map(|j| (0..depth).map(|k| term(k, j)).fold(start[j], chain)).collect();
            let lanes = S::F32_LANES;
            assert_eq!(sums[..], expected, "row {i} of {rows}, depth {depth}, {lanes} lanes");
        }
    }
}

#[test]
fn tiles_of_every_size_and_vector_width_are_chains_of_multiply_adds() {
    for rows in 0..=MAX_ROWS {
        for depth in [0, 1, 2, 3, 4, 5, 7, 8, 33] {
            let sizes = [rows, depth];
            Simd::vectorize(pulp::Scalar::new(), OneTile { sizes });
            #[cfg(target_arch = "x86_64")]
            if let Some(simd) = pulp::x86::V3::try_new() {
                Simd::vectorize(simd, OneTile { sizes });
            }
            pulp::Arch::new().dispatch(OneTile { sizes });
        }
    }
}

#[test]
#[should_panic(expected = "sizes")]
fn a_tile_does_not_read_past_a_factor() {
    let (x, w) = (vec![1.0; 8], vec![1.0; 8 * PANEL - 1]);
    let right = Rows { data: &w, stride: PANEL };
    let left = Rows { data: &x, stride: 8 };
    let mut sums = [[0.0; PANEL]; MAX_ROWS];
    let ahead = Ahead::<FIRST_LEVEL>::default();
    accumulate(pulp::Scalar::new(), [1, 8], left, right, &mut sums, ahead);
}
