//! The parts of a block. Each file: what is saved, forward, then backward in the reverse order.

pub(crate) mod attention;
pub(crate) mod linear;
pub(crate) mod mlp;
