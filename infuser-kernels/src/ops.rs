//! The ops, one module each: formula, shapes and errors at the door, `cpu.rs` behind it.
//!
//! Every module that has its own arithmetic also has a `reference`: the same function in plain f64
//! loops, which tests compare with and whose derivatives they check by central differences.

pub mod adamw;
pub mod add;
pub mod advantage;
pub mod attention;
pub mod bias;
pub mod embedding;
pub mod grad_norm;
pub mod head;
pub mod influence;
pub mod matmul;
pub mod paged;
pub mod question_sums;
pub mod rmsnorm;
pub mod rope;
pub mod sample;
pub mod swiglu;
