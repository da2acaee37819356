//! f32 as sums of three bf16.
//!
//! A value's 24 significant bits are cut into parts of 8: `x = high + middle + low` exactly, each part
//! the nearest bf16 to what the parts before it leave. (Below 2⁻¹⁰² the low bits fall under the smallest
//! normal number, where the products that this is for read zero. An infinity leaves NaN.) Of the nine
//! products of two such sums the three smallest are below 2⁻²⁴ of the whole, less than f32 keeps.

use std::ops::Range;

use super::tile::PANEL;
use crate::simd::simd;

/// Rows of the left factor in a tile.
pub(super) const LEFT_ROWS: usize = 16;
/// Columns of the right factor in a tile.
const RIGHT_COLS: usize = 16;
/// Steps of the inner axis in a tile.
pub(super) const DEPTH: usize = 32;

const TOP: u32 = 0xffff_0000;

/// The nearest bf16, as the upper bits of an f32; what is in the lower bits does not count.
#[inline(always)]
fn nearest(x: f32) -> u32 {
    x.to_bits().wrapping_add(0x8000)
}

/// What a part leaves of a value; exact.
#[inline(always)]
fn rest(x: f32, part: u32) -> f32 {
    x - f32::from_bits(part & TOP)
}

/// One part of 16 rows and 32 steps of the inner axis, row by row.
type LeftPart = [[u16; DEPTH]; LEFT_ROWS];

/// One part of 32 steps of the inner axis and a panel's columns, 16 columns after 16; an element is two
/// consecutive steps of a column, the first in its lower half.
type RightPart = [[[u32; RIGHT_COLS]; DEPTH / 2]; PANEL / RIGHT_COLS];

/// The parts high, middle and low of 16 rows and 32 steps of the inner axis.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Left([LeftPart; 3]);

impl Left {
    pub(super) const ZERO: Self = Self([[[0; DEPTH]; LEFT_ROWS]; 3]);

    /// Rows of `k` values as tiles: chunk after chunk of the first 16 rows, then of the next. What
    /// is beyond the rows and beyond `k` is left as it is.
    pub(super) fn split(x: &[f32], k: usize, to: &mut [Self]) {
        let chunks = k.div_ceil(DEPTH);
        simd(
            #[inline(always)]
            || {
                for (i, row) in x.chunks_exact(k).enumerate() {
                    let to = &mut to[i / LEFT_ROWS * chunks..][..chunks];
                    let (whole, tail) = row.as_chunks::<DEPTH>();
                    for (values, to) in whole.iter().zip(&mut *to) {
                        to.split_row(i % LEFT_ROWS, values);
                    }
                    if !tail.is_empty() {
                        let mut values = [0.0; DEPTH];
                        values[..tail.len()].copy_from_slice(tail);
                        to[chunks - 1].split_row(i % LEFT_ROWS, &values);
                    }
                }
            },
        );
    }

    #[inline(always)]
    fn split_row(&mut self, row: usize, values: &[f32; DEPTH]) {
        let mut values = *values;
        let [high, middle, low] = &mut self.0;
        for part in [high, middle] {
            for (value, to) in values.iter_mut().zip(&mut part[row]) {
                let part = nearest(*value);
                *to = (part >> 16) as u16;
                *value = rest(*value, part);
            }
        }
        // What is left is a bf16.
        for (value, to) in values.iter().zip(&mut low[row]) {
            *to = (value.to_bits() >> 16) as u16;
        }
    }
}

/// The parts high, middle and low of 32 steps of the inner axis and a panel's columns.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Right([RightPart; 3]);

impl Right {
    pub(super) const ZERO: Self = Self([[[[0; RIGHT_COLS]; DEPTH / 2]; PANEL / RIGHT_COLS]; 3]);

    /// 32 rows of a panel.
    #[inline(always)]
    pub(super) fn split(&mut self, rows: &[[f32; PANEL]; DEPTH]) {
        self.split_steps(rows, 0..DEPTH / 2);
    }

    /// Some of the sixteen pairs of rows.
    #[inline(always)]
    pub(super) fn split_steps(&mut self, rows: &[[f32; PANEL]; DEPTH], steps: Range<usize>) {
        for step in steps {
            for half in 0..PANEL / RIGHT_COLS {
                let at = half * RIGHT_COLS;
                let columns = |row: usize| -> [f32; RIGHT_COLS] {
                    *rows[row][at..].first_chunk().expect("half a panel")
                };
                let (mut first, mut second) = (columns(2 * step), columns(2 * step + 1));
                let [high, middle, low] = &mut self.0;
                for part in [high, middle] {
                    let to = &mut part[half][step];
                    for column in 0..RIGHT_COLS {
                        let (a, b) = (nearest(first[column]), nearest(second[column]));
                        to[column] = (b & TOP) | (a >> 16);
                        first[column] = rest(first[column], a);
                        second[column] = rest(second[column], b);
                    }
                }
                // What is left is a bf16: its lower half is zero, or it is no number at all.
                let to = &mut low[half][step];
                for column in 0..RIGHT_COLS {
                    to[column] = second[column].to_bits() | (first[column].to_bits() >> 16);
                }
            }
        }
    }
}
