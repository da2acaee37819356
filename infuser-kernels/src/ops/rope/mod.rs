//! Rotary position embedding (Su et al., 2021), in the half-rotation layout of Hugging Face
//! checkpoints: lane i of a head turns with lane i + E/2.
//!
//! ```text
//! x'_i       = x_i cos − x_{i+E/2} sin
//! x'_{i+E/2} = x_{i+E/2} cos + x_i sin        angle = position · f_i,  i < E/2
//! ```
//!
//! Tables hold cosine and sine of every position, times an attention factor (1 but for yarn).

mod cpu;
mod frequency;
#[cfg(any(test, feature = "testing"))]
pub mod reference;
#[cfg(test)]
mod tests;

pub use frequency::{Scaling, inverse_frequencies};

use crate::{
    Buffer, Device, View, ViewMut, check,
    error::{Error, Result},
};

/// Cosines and sines by position.
#[derive(Debug, Clone)]
pub struct Tables {
    /// `[P, E/2]`.
    pub cos: Buffer,
    /// `[P, E/2]`.
    pub sin: Buffer,
}

/// Which way to turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// As the formula above.
    Forward,
    /// By the transposed matrix, which takes the gradient of the output to that of the input.
    Backward,
}

/// The tables of the first `positions` positions.
///
/// Angles are products in f32, as in the code that models were trained with; their cosine and sine
/// are then exact to f32.
///
/// # Errors
/// [`Error::Memory`] if there is no room.
pub fn tables(
    device: Device,
    frequencies: &[f32],
    attention_factor: f32,
    positions: usize,
) -> Result<Tables> {
    let table = |f: fn(f64) -> f64| {
        let values = (0..positions).flat_map(|position| {
            let angle = move |frequency: &f32| f64::from(position as f32 * frequency);
            frequencies.iter().map(move |w| (f(angle(w)) * f64::from(attention_factor)) as f32)
        });
        device.upload_f32(values.collect(), &[positions, frequencies.len()])
    };
    Ok(Tables { cos: table(f64::cos)?, sin: table(f64::sin)? })
}

/// Turns every head of every row in place.
///
/// # Shapes
/// `x`: `[T, H, E]` with E even; `positions`: `[T]`; tables for E lanes.
///
/// # Errors
/// [`Error::Shape`] or [`Error::Rank`] naming the tensor that does not fit; [`Error::Argument`] for a
/// position past the tables.
pub fn apply(
    x: ViewMut<'_>,
    positions: View<'_>,
    tables: &Tables,
    direction: Direction,
) -> Result<()> {
    const OP: &str = "rope::apply";
    let [rows, heads, width] = check::cube(OP, "x", x.dims())?;
    check::shape(OP, "positions", positions.dims(), &[rows])?;
    let known = tables.cos.dims().rows();
    if width % 2 != 0 {
        return Err(Error::argument(OP, format!("head width {width} is odd")));
    }
    check::shape(OP, "tables.cos", tables.cos.dims(), &[known, width / 2])?;
    check::shape(OP, "tables.sin", tables.sin.dims(), &[known, width / 2])?;
    match positions.device() {
        Device::Cpu => {
            let positions = positions.u32(OP, "positions")?;
            if let Some(row) = positions.iter().position(|&p| p as usize >= known) {
                let position = positions[row];
                let problem = format!("row {row} has position {position}, tables cover {known}");
                return Err(Error::argument(OP, problem));
            }
            let cos = tables.cos.view().f32(OP, "tables.cos")?;
            let sin = tables.sin.view().f32(OP, "tables.sin")?;
            let x = x.into_f32(OP, "x")?;
            cpu::apply(x, positions, [cos, sin], [heads, width], direction);
        }
    }
    Ok(())
}
