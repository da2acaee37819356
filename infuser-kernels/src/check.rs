//! The shape checks that every op opens with.

use crate::{
    Dims,
    error::{Error, Result},
};

/// `got` has exactly these axes.
pub(crate) fn shape(
    op: &'static str,
    tensor: &'static str,
    got: Dims,
    axes: &[usize],
) -> Result<()> {
    if got.axes() == axes {
        return Ok(());
    }
    Err(Error::Shape { op, tensor, expected: Dims::new(axes)?, got })
}

/// `got` has two axes; returns them.
pub(crate) fn matrix(op: &'static str, tensor: &'static str, got: Dims) -> Result<[usize; 2]> {
    <[usize; 2]>::try_from(got.axes()).map_err(|_| Error::Rank { op, tensor, expected: 2, got })
}

/// `got` has three axes; returns them.
pub(crate) fn cube(op: &'static str, tensor: &'static str, got: Dims) -> Result<[usize; 3]> {
    <[usize; 3]>::try_from(got.axes()).map_err(|_| Error::Rank { op, tensor, expected: 3, got })
}

/// `got` has one axis; returns its length.
pub(crate) fn vector(op: &'static str, tensor: &'static str, got: Dims) -> Result<usize> {
    match got.axes() {
        &[len] => Ok(len),
        _ => Err(Error::Rank { op, tensor, expected: 1, got }),
    }
}
