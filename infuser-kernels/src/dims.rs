//! Shapes: up to four axes, row-major, with an element count that is known to fit.

use std::fmt;

use crate::error::{Error, Result};

/// The most axes a tensor of this project has (token, head, lane, and one to spare).
const MAX_RANK: usize = 4;

/// The shape of a contiguous row-major tensor.
///
/// Construction checks that the element count times eight bytes fits in `isize`, so byte offsets
/// computed from a `Dims` never overflow.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    axes: [usize; MAX_RANK],
    rank: usize,
}

impl Dims {
    /// The shape with these axes, outermost first.
    ///
    /// # Errors
    /// [`Error::Size`] for more than four axes or an element count past the address space.
    pub fn new(axes: &[usize]) -> Result<Self> {
        let refuse = |problem| Error::Size { axes: axes.to_vec(), problem };
        if axes.len() > MAX_RANK {
            return Err(refuse("at most four axes are supported"));
        }
        let elements = axes.iter().try_fold(1usize, |product, &axis| product.checked_mul(axis));
        match elements.and_then(|n| n.checked_mul(8)) {
            Some(bytes) if bytes <= isize::MAX as usize => {}
            _ => return Err(refuse("its size does not fit in memory")),
        }
        let mut held = [1; MAX_RANK];
        held[..axes.len()].copy_from_slice(axes);
        Ok(Self { axes: held, rank: axes.len() })
    }

    /// The axes, outermost first.
    pub fn axes(&self) -> &[usize] {
        &self.axes[..self.rank]
    }

    /// How many axes there are.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many elements a tensor of this shape has.
    pub fn len(&self) -> usize {
        self.axes.iter().product()
    }

    /// Whether a tensor of this shape has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The length of the first axis; 1 for a scalar.
    pub fn rows(&self) -> usize {
        self.axes[0]
    }

    /// Elements per step of the first axis; 1 for vectors and scalars.
    pub fn row_len(&self) -> usize {
        self.axes[1..].iter().product()
    }

    /// The same shape with another first axis.
    pub(crate) fn with_rows(mut self, rows: usize) -> Self {
        debug_assert!(self.rank > 0 && rows <= self.axes[0]);
        self.axes[0] = rows;
        self
    }
}

impl fmt::Display for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.axes(), f)
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_rows_and_elements() {
        let dims = Dims::new(&[5, 3, 2]).unwrap();
        assert_eq!((dims.len(), dims.rows(), dims.row_len(), dims.rank()), (30, 5, 6, 3));
        assert_eq!(dims.to_string(), "[5, 3, 2]");
        let scalar = Dims::new(&[]).unwrap();
        assert_eq!((scalar.len(), scalar.rows(), scalar.row_len()), (1, 1, 1));
        assert!(Dims::new(&[4, 0]).unwrap().is_empty());
    }

    #[test]
    fn refuses_what_cannot_be_addressed() {
        assert!(matches!(Dims::new(&[usize::MAX, 2]), Err(Error::Size { .. })));
        assert!(matches!(Dims::new(&[isize::MAX as usize]), Err(Error::Size { .. })));
        assert!(matches!(Dims::new(&[1; 5]), Err(Error::Size { .. })));
    }
}
