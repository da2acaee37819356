//! f32 values that begin on a cache line: a vector register that lies on two of them takes twice as long to
//! fill.

use std::ops::{Deref, DerefMut};

use bytemuck::{Pod, Zeroable};

use crate::{Dims, buffer::reserve, error::Result};

/// Values of one cache line.
pub(crate) const LINE: usize = 16;

#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
struct Line([f32; LINE]);

/// A vector of f32 whose first value begins a cache line.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    lines: Vec<Line>,
    len: usize,
}

impl Lines {
    /// As many zeros as `dims` has elements.
    ///
    /// # Errors
    /// [`crate::Error::Memory`] if there is no room.
    pub(crate) fn zeros(dims: Dims) -> Result<Self> {
        let mut lines = Self::default();
        lines.resize(dims)?;
        Ok(lines)
    }

    /// These values.
    ///
    /// # Errors
    /// As [`Lines::zeros`].
    pub(crate) fn of(values: &[f32], dims: Dims) -> Result<Self> {
        let mut lines = Self::zeros(dims)?;
        lines.copy_from_slice(values);
        Ok(lines)
    }

    /// As many values as `dims` has elements, in the old memory if it is large enough. The values are zeros
    /// or old ones.
    ///
    /// # Errors
    /// As [`Lines::zeros`].
    pub(crate) fn resize(&mut self, dims: Dims) -> Result<()> {
        let count = dims.len().div_ceil(LINE);
        reserve(&mut self.lines, count, dims)?;
        self.lines.resize(count, Line::zeroed());
        self.len = dims.len();
        Ok(())
    }
}

impl Deref for Lines {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_on_a_line_and_survive_shrinking() {
        let values: Vec<f32> = (0..35).map(|i| i as f32).collect();
        let mut lines = Lines::of(&values, Dims::new(&[5, 7]).unwrap()).unwrap();
        assert_eq!((&lines[..], lines.as_ptr().addr() % 64), (&values[..], 0));
        lines.resize(Dims::new(&[2, 7]).unwrap()).unwrap();
        assert_eq!(&lines[..], &values[..14]);
        lines.resize(Dims::new(&[1000]).unwrap()).unwrap();
        assert_eq!((lines.len(), lines.as_ptr().addr() % 64), (1000, 0));
        assert!(Lines::zeros(Dims::new(&[0]).unwrap()).unwrap().is_empty());
    }
}
