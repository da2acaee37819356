//! The same checks on a GPU, where there is one.

use super::*;
use crate::{
    Error,
    cuda::{Folders, Gpu},
    ops::rope::Direction,
};

/// `None`, with a line, on a machine without a GPU; an error there if one is required.
fn gpu() -> Option<Driver> {
    let nvrtc = env::var_os("INFUSER_NVRTC").map(PathBuf::from);
    match Gpu::open(0, Folders { libraries: nvrtc.as_deref(), cubins: None }) {
        Ok(gpu) => Some(Driver::gpu(Arc::new(gpu))),
        // What is not a plain refusal is a fault of this crate.
        Err(Error::Driver { action, problem }) => {
            let required = env::var("INFUSER_REQUIRE_GPU").is_ok_and(|value| value == "1");
            assert!(!required, "a GPU is required here; {action}: {problem}");
            eprintln!("skipped: {action}: {problem}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn kernels_on_a_gpu_equal_the_cpu_ops() {
    let Some(driver) = gpu() else { return };
    advantage::check(&driver);
    bias::check_forward(&driver);
    bias::check_backward(&driver);
    elementwise::check_add(&driver);
    elementwise::check_cast(&driver);
    elementwise::check_fill(&driver);
    embedding::check(&driver);
    graph::check(&driver);
    influence::check(&driver);
    influence::check_scales(&driver);
    optimizer::check_norm(&driver);
    optimizer::check_steps(&driver);
    attention::check_forward(&driver);
    attention::check_backward(&driver);
    head::check(&driver);
    matmul::check(&driver);
    paged::check(&driver);
    question_rows::check(&driver);
    rmsnorm::check_forward(&driver);
    rmsnorm::check_add_forward(&driver);
    rmsnorm::check_backward(&driver);
    rmsnorm::check_backward_weight(&driver);
    rope::check(&driver, Direction::Forward);
    rope::check(&driver, Direction::Backward);
    sample::check(&driver);
    sample::check_penalty(&driver);
    swiglu::check(&driver);
}
