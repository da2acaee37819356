//! Rotary position embedding (Su et al., 2021), in the half-rotation layout of Hugging Face.
//!
//! Lane `i` of a head pairs with lane `i + E/2`. At position `p`, with frequency `f_i`:
//!
//! ```text
//! x_i'       = a · (x_i cos(p f_i) − x_{i+E/2} sin(p f_i))
//! x_{i+E/2}' = a · (x_{i+E/2} cos(p f_i) + x_i sin(p f_i))
//! ```
//!
//! The factor `a` (1 but for YaRN) is part of the tables. Their angles are rounded to f32, because
//! the models were trained with such angles: at position 10⁵ that rounding is worth 4·10⁻³.

mod cpu;
mod cuda;
mod frequencies;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub use frequencies::{Scaling, inverse_frequencies};

use crate::{
    Buffer, Device, Dims, View, ViewMut,
    buffer::filled,
    check,
    error::{Error, Result},
};

/// What [`apply`] looks up: cosines and sines of every position, times the attention factor.
#[derive(Debug, PartialEq)]
pub struct Tables {
    /// `a · cos(p f_i)`, `[P, E/2]`.
    pub cos: Buffer,
    /// `a · sin(p f_i)`, `[P, E/2]`.
    pub sin: Buffer,
}

/// Which way [`apply`] rotates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From activations to rotated activations.
    Forward,
    /// From the gradient of the output to that of the input: the transpose, which rotates back
    /// (and multiplies by the attention factor once more).
    Backward,
}

/// The tables for positions below `positions`: the angle is `position · frequency` in f32, its
/// cosine and sine are computed in f64, multiplied by `attention_factor` and rounded to f32.
///
/// # Errors
/// [`crate::Error::Size`] or [`crate::Error::Memory`] if there is no room for the tables.
pub fn tables(
    device: &Device,
    frequencies: &[f32],
    attention_factor: f32,
    positions: usize,
) -> Result<Tables> {
    let axes = [positions, frequencies.len()];
    let dims = Dims::new(&axes)?;
    let (mut cos, mut sin) = (filled(dims, 0.0)?, filled(dims, 0.0)?);
    // On the host for every device: it is done once for many passes, in f64.
    cpu::tables(frequencies, attention_factor, &mut cos, &mut sin);
    Ok(Tables { cos: device.upload_f32(cos, &axes)?, sin: device.upload_f32(sin, &axes)? })
}

/// Every position has a row in tables of `rows` rows.
fn check_positions(op: &'static str, positions: &[u32], rows: usize) -> Result<()> {
    match positions.iter().position(|&p| p as usize >= rows) {
        None => Ok(()),
        Some(t) => {
            let position = positions[t];
            let problem = format!("`positions`[{t}] is {position}, but the tables end at {rows}");
            Err(Error::argument(op, problem))
        }
    }
}

/// Rotates every head of every token in place, token `t` by the angles of `positions[t]`.
///
/// # Shapes
/// `x`: `[T, H, E]` with even `E`; `positions`: `[T]` of u32, in any order; `tables`: `[P, E/2]`.
///
/// # Errors
/// [`crate::Error::Shape`], [`crate::Error::Rank`] or [`crate::Error::Dtype`] naming the tensor
/// that does not fit; [`crate::Error::Argument`] for an odd `E`, or naming the first position that
/// is not below `P`.
pub fn apply(
    x: ViewMut<'_>,
    positions: View<'_>,
    tables: &Tables,
    direction: Direction,
) -> Result<()> {
    const OP: &str = "rope::apply";
    let [tokens, heads, width] = check::cube(OP, "x", x.dims())?;
    if !width.is_multiple_of(2) {
        let problem = format!("`x` has heads of {width} lanes, which do not pair up");
        return Err(Error::argument(OP, problem));
    }
    check::shape(OP, "positions", positions.dims(), &[tokens])?;
    let [rows, _] = check::matrix(OP, "tables.cos", tables.cos.dims())?;
    check::shape(OP, "tables.cos", tables.cos.dims(), &[rows, width / 2])?;
    check::shape(OP, "tables.sin", tables.sin.dims(), &[rows, width / 2])?;
    match x.device() {
        Device::Cpu => {
            let cos = tables.cos.view().f32(OP, "tables.cos")?;
            let sin = tables.sin.view().f32(OP, "tables.sin")?;
            let (x, positions) = (x.into_f32(OP, "x")?, positions.u32(OP, "positions")?);
            check_positions(OP, positions, rows)?;
            cpu::apply(x, [heads, width], positions, (cos, sin), direction);
        }
        Device::Cuda(driver) => {
            cuda::apply(&driver, OP, x, [heads, width], positions, tables, direction)?;
        }
    }
    Ok(())
}
