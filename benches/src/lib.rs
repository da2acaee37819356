//! What the benchmarks share: the machine's own rates, and the model that is timed.

pub mod machine;
pub mod model;
