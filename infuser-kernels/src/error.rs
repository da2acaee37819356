//! What can go wrong in an op. Every variant names the op, so that a message from deep inside a
//! model still says where to look.

use crate::{Dims, Dtype, cuda::MemoryUse};

/// The result of every fallible function of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An op was given something it cannot work with. Nothing has been written when it is returned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tensor has another shape than the op's contract asks for.
    #[error("{op}: `{tensor}` has shape {got}, expected {expected}")]
    Shape {
        /// The op, as `folder::function`.
        op: &'static str,
        /// The parameter name in the op's signature.
        tensor: &'static str,
        /// The shape that would have been right, given the other arguments.
        expected: Dims,
        /// The shape that was passed.
        got: Dims,
    },
    /// A tensor has another number of axes than the op's contract asks for.
    #[error("{op}: `{tensor}` has shape {got}, expected {expected} axes")]
    Rank {
        /// The op, as `folder::function`.
        op: &'static str,
        /// The parameter name in the op's signature.
        tensor: &'static str,
        /// How many axes the contract names.
        expected: usize,
        /// The shape that was passed.
        got: Dims,
    },
    /// A tensor holds another element type than the op reads or writes.
    #[error("{op}: `{tensor}` holds {got}, expected {expected}")]
    Dtype {
        /// The op, as `folder::function`.
        op: &'static str,
        /// The parameter name in the op's signature.
        tensor: &'static str,
        /// The element type of the contract.
        expected: Dtype,
        /// The element type that was passed.
        got: Dtype,
    },
    /// A tensor lies on another device than the op works on.
    #[error("{op}: `{tensor}` is on {got}, expected {expected}")]
    Device {
        /// The op, as `folder::function`.
        op: &'static str,
        /// The parameter name in the op's signature.
        tensor: &'static str,
        /// The device of the op's other tensors.
        expected: &'static str,
        /// Where it lies.
        got: &'static str,
    },
    /// A value is outside the range in which the op is defined.
    #[error("{op}: {problem}")]
    Argument {
        /// The op, as `folder::function`.
        op: &'static str,
        /// Which argument, which value, and what would be accepted.
        problem: String,
    },
    /// A shape whose element count does not fit in memory addressing, or with too many axes.
    #[error("a tensor of shape {axes:?} cannot exist: {problem}")]
    Size {
        /// The axes as given.
        axes: Vec<usize>,
        /// Why not.
        problem: &'static str,
    },
    /// The device has no room for a buffer.
    #[error("out of memory: {want_bytes} bytes for a tensor of shape {dims} on {device}{}", shown(.held.as_deref()))]
    Memory {
        /// Which device was asked.
        device: &'static str,
        /// The shape that was asked for.
        dims: Dims,
        /// Its size in bytes.
        want_bytes: usize,
        /// What was allocated there, where that is counted.
        held: Option<Box<MemoryUse>>,
    },
    /// A kernel did not start, or did not end well.
    #[error("kernel `{kernel}`, grid {grid:?} of {block} threads: {problem}")]
    Launch {
        /// The entry symbol.
        kernel: &'static str,
        /// Blocks along each axis.
        grid: [u32; 3],
        /// Threads a block.
        block: u32,
        /// What the driver said, and the arguments.
        problem: String,
    },
    /// The driver refused something that is not a launch.
    #[error("{action}: {problem}")]
    Driver {
        /// What was tried.
        action: &'static str,
        /// What the driver said, and what to do.
        problem: String,
    },
}

fn shown(held: Option<&MemoryUse>) -> String {
    held.map_or_else(String::new, |held| format!(", where there are {held}"))
}

impl Error {
    /// Shorthand for [`Error::Argument`].
    pub(crate) fn argument(op: &'static str, problem: impl Into<String>) -> Self {
        Self::Argument { op, problem: problem.into() }
    }

    /// Shorthand for [`Error::Driver`].
    pub(crate) fn driver(action: &'static str, problem: impl Into<String>) -> Self {
        Self::Driver { action, problem: problem.into() }
    }
}
