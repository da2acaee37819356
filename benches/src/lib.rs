//! What the benchmarks share: the machine's own rates, the model that is timed, answers to grade.

pub mod answers;
pub mod arithmetic;
pub mod gpu;
pub mod machine;
pub mod model;
