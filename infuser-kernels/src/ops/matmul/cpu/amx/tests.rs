use super::*;
use crate::testing::{hard_values, on_threads};

/// The nearest bf16, and what it leaves.
fn part(x: f32) -> (f32, f32) {
    let part = f32::from_bits(x.to_bits().wrapping_add(0x8000) & 0xffff_0000);
    (part, x - part)
}

/// High, middle and low.
fn parts(x: f32) -> [f32; 3] {
    let (high, rest) = part(x);
    let (middle, rest) = part(rest);
    [high, middle, part(rest).0]
}

/// Tiles read and write numbers below the smallest normal one as zero.
fn normal(x: f32) -> f32 {
    if x.is_subnormal() { 0.0 * x } else { x }
}

/// One element as the processor's manual says that it comes about: for every 32 steps of the inner axis and
/// every product of parts, one sum over even steps and one over odd ones, and both onto the element.
fn emulated(mut sum: f32, x: &[f32], w: &[f32]) -> f32 {
    const ORDER: [[usize; 2]; 6] = [[2, 0], [1, 0], [1, 1], [0, 1], [0, 2], [0, 0]];
    for (x, w) in x.chunks(32).zip(w.chunks(32)) {
        for [left, right] in ORDER {
            let mut halves = [0.0f32; 2];
            for (at, (x, w)) in x.iter().zip(w).enumerate() {
                let [a, b] = [parts(*x)[left], parts(*w)[right]].map(normal);
                halves[at % 2] = normal(a.mul_add(b, halves[at % 2]));
            }
            sum = normal(normal(sum) + normal(halves[0] + halves[1]));
        }
    }
    sum
}

/// `None`, with a word, on processors without tiles.
fn tiles() -> Option<()> {
    if !available() {
        eprintln!("skipped: this processor has no tiles (AMX)");
        return None;
    }
    Some(())
}

/// Both sides of every block, strip and tile, and sizes that nothing divides.
const SHAPES: [[usize; 3]; 12] = [
    [1, 1, 1],
    [1, 33, 32],
    [2, 31, 65],
    [16, 32, 64],
    [17, 64, 31],
    [32, 70, 96],
    [33, 8, 40],
    [48, 100, 33],
    [64, 32, 257],
    [127, 40, 70],
    [129, 65, 32],
    [300, 33, 129],
];

fn run([m, n, k]: [usize; 3], x: &[f32], w: &[f32], y: &mut [f32], write: Write) {
    let panels = Panels::new(w, [n, k]).unwrap();
    products([m, k], x, &mut [Product { w: &panels, n, y }], write);
}

#[test]
fn every_element_is_the_twins_to_the_bit() {
    let Some(()) = tiles() else { return };
    for [m, n, k] in SHAPES {
        let (x, w) = (hard_values(1, m * k), hard_values(2, n * k));
        let mut y = vec![f32::NAN; m * n];
        run([m, n, k], &x, &w, &mut y, Write::Overwrite);
        let twin = |start: f32, at: usize| {
            let (i, j) = (at / n, at % n);
            emulated(start, &x[i * k..(i + 1) * k], &w[j * k..(j + 1) * k])
        };
        let once: Vec<f32> = (0..m * n).map(|at| twin(0.0, at)).collect();
        assert_eq!(y, once, "{m} x {n} x {k}");
        run([m, n, k], &x, &w, &mut y, Write::Add);
        let twice: Vec<f32> = (0..m * n).map(|at| twin(once[at], at)).collect();
        assert_eq!(y, twice, "{m} x {n} x {k}, added");
    }
}

/// Relative to the sum of absolute products, where a chain of multiply-adds may be off by k/2 units.
#[test]
fn products_are_at_least_as_exact_as_chains_of_multiply_adds() {
    let Some(()) = tiles() else { return };
    for (k, scale) in [(64, 1.0f32), (1000, 1e-12), (4096, 1e12)] {
        let [m, n] = [40, 40];
        let (x, w) = (hard_values(3, m * k), hard_values(4, n * k));
        let x: Vec<f32> = x.iter().map(|x| x * scale).collect();
        let (mut tiled, mut chained) = (vec![0.0; m * n], vec![0.0; m * n]);
        run([m, n, k], &x, &w, &mut tiled, Write::Overwrite);
        let panels = Panels::new(&w, [n, k]).unwrap();
        super::super::rows::product([m, n, k], &x, &panels, &mut chained, Write::Overwrite);
        let worst = |y: &[f32]| {
            let errors = (0..m * n).map(|at| {
                let (x, w) = (&x[at / n * k..][..k], &w[at % n * k..][..k]);
                let terms = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
                let (sum, size) =
                    terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
                (f64::from(y[at]) - sum).abs() / size.max(f64::MIN_POSITIVE)
            });
            errors.fold(0.0, f64::max)
        };
        let (tiled, chained) = (worst(&tiled), worst(&chained));
        println!("inner axis {k}: tiles {tiled:.2e}, chains {chained:.2e}");
        assert!(tiled <= chained.max(f64::from(f32::EPSILON)), "{k}: {tiled:e}, {chained:e}");
    }
}

#[test]
fn what_is_not_finite_stays_so_and_nothing_else_is_touched() {
    let Some(()) = tiles() else { return };
    let [m, n, k] = [20, 40, 50];
    let (mut x, w) = (vec![0.5; m * k], vec![0.25; n * k]);
    (x[3 * k + 7], x[4 * k], x[5 * k + 1]) = (f32::NAN, f32::INFINITY, f32::MAX);
    let mut y = vec![0.0; m * n];
    run([m, n, k], &x, &w, &mut y, Write::Overwrite);
    for (row, y) in y.chunks(n).enumerate() {
        let finite = !(3..=5).contains(&row);
        assert!(y.iter().all(|y| y.is_finite() == finite), "row {row}");
    }
    let mut y = vec![1.0; 6];
    run([2, 3, 0], &[], &[], &mut y, Write::Add);
    assert_eq!(y, [1.0; 6]);
    run([2, 3, 0], &[], &[], &mut y, Write::Overwrite);
    assert_eq!(y, [0.0; 6]);
}

#[test]
fn threads_and_strips_do_not_change_a_bit() {
    let Some(()) = tiles() else { return };
    let [m, n, k] = [150, 300, 100];
    let (x, w) = (hard_values(1, m * k), hard_values(2, n * k));
    let all = |threads| {
        on_threads(threads, || {
            let mut y = vec![0.0; m * n];
            run([m, n, k], &x, &w, &mut y, Write::Overwrite);
            y
        })
    };
    let one = all(1);
    assert_eq!(all(2), one);
    assert_eq!(all(7), one);
    for rows in [0..1, 5..38, 40..149] {
        let mut some = vec![0.0; rows.len() * n];
        let x = &x[rows.start * k..rows.end * k];
        run([rows.len(), n, k], x, &w, &mut some, Write::Overwrite);
        assert_eq!(some, one[rows.start * n..rows.end * n]);
    }
}

#[test]
fn what_is_combined_is_what_would_be_combined_later() {
    let Some(()) = tiles() else { return };
    let combine = |[a, b]: [&[f32]; 2], out: &mut [f32]| {
        out.iter_mut().zip(a).zip(b).for_each(|((out, a), b)| *out = a * b + 1.0);
    };
    for [m, n, k] in SHAPES {
        let x = hard_values(1, m * k);
        let weights = [2, 3].map(|seed| Panels::new(&hard_values(seed, n * k), [n, k]).unwrap());
        let mut out = vec![f32::NAN; m * n];
        combined([m, n, k], &x, weights.each_ref(), &mut out, combine);
        let [a, b] = weights.each_ref().map(|w| {
            let mut y = vec![0.0; m * n];
            products([m, k], &x, &mut [Product { w, n, y: &mut y }], Write::Overwrite);
            y
        });
        let mut later = vec![0.0; m * n];
        combine([&a, &b], &mut later);
        assert_eq!(out, later, "{m} x {n} x {k}");
    }
}
