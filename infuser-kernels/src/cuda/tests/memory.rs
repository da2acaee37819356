//! Memory and its owner.

use super::*;
use crate::{
    Error,
    cuda::{Slice, SliceMut, swiglu},
};

#[test]
fn memory_of_another_driver_is_refused() {
    let (here, there) = (driver(Order::Forward), driver(Order::Forward));
    let [gate, up_] = [1.0, 2.0].map(|value| up(&here, &[bf16::from_f32(value); 9]));
    let foreign = up(&there, &[bf16::ONE; 9]);
    let mut out = up(&here, &[bf16::ZERO; 9]);
    let refused = |inputs: [Slice<'_, bf16>; 2], out: SliceMut<'_, bf16>| {
        let error = swiglu::forward(&here, inputs, out).unwrap_err();
        assert!(matches!(error, Error::Launch { .. }), "{error}");
        error.to_string()
    };
    let error = refused([gate.slice(), foreign.slice()], out.slice_mut());
    assert!(error.contains("argument 1 is the memory of another driver"), "{error}");
    // An output as well, and nothing was written anywhere.
    let mut foreign = foreign;
    let error = refused([gate.slice(), up_.slice()], foreign.slice_mut());
    assert!(error.contains("argument 2 is"), "{error}");
    assert_eq!(foreign.download().unwrap(), [bf16::ONE; 9]);
    assert_eq!(out.download().unwrap(), [bf16::ZERO; 9]);
    // A clone is the same driver.
    let clone = here.clone();
    swiglu::forward(&clone, [gate.slice(), up_.slice()], out.slice_mut()).unwrap();
    assert!(out.download().unwrap()[8] > bf16::ONE);
}

#[test]
fn a_length_that_overflows_is_refused() {
    let error = Memory::<f32>::unset(&driver(Order::Forward), usize::MAX / 2).unwrap_err();
    assert!(matches!(error, Error::Size { .. }), "{error}");
}
