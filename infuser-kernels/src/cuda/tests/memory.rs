//! Memory and its owner.

use super::*;
use crate::{
    Device, Dtype, Error,
    cuda::{Arena, Slice, SliceMut, swiglu},
    ops::{
        attention::{self, Attention, Segment, Segments},
        embedding,
    },
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

#[test]
fn an_allocation_without_room_names_what_is_held() {
    let driver = driver(Order::Forward);
    let weights = Memory::<f32>::unset(&driver.in_arena(Arena::Weights), 3).unwrap();
    let scratch = up(&driver, &[1u32; 2]);
    // More than any machine addresses.
    let error = Memory::<f32>::unset(&driver, 1 << 59).unwrap_err();
    assert!(matches!(error, Error::Memory { .. }), "{error}");
    let error = error.to_string();
    let want = "on cuda, where there are weights 12, gradients 0, optimizer 0, activations 8, \
                cache 0, 20 bytes in all";
    assert!(error.ends_with(want), "{error}");
    drop((weights, scratch));
    assert_eq!(driver.memory_use().total().live_bytes, 0);
}

#[test]
fn what_was_uploaded_once_is_not_taken_for_something_else() {
    let device = Device::Cuda(driver(Order::Forward));
    let table = |rows: usize| {
        let values = (0..8 * rows).map(|i| (i / 8) as f32).collect();
        device.upload_float(values, &[rows, 8]).unwrap()
    };
    let mut ids = device.upload_u32(vec![2, 0]).unwrap();
    let mut out = device.zeros_float(&[2, 8]).unwrap();
    for rows in [3, 5, 3] {
        out.clear().unwrap();
        embedding::gather(table(rows).view(), ids.view(), out.view_mut()).unwrap();
        assert_eq!(out.to_f32().unwrap()[..9], [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.0]);
    }
    let short = embedding::gather(table(2).view(), ids.view(), out.view_mut()).unwrap_err();
    assert!(short.to_string().contains("`ids`[0] is 2"), "{short}");
    // Other indices in the same place.
    let others = device.upload_u32(vec![1, 1]).unwrap();
    ids.view_mut().copy_from(others.view()).unwrap();
    embedding::gather(table(3).view(), ids.view(), out.view_mut()).unwrap();
    assert_eq!(out.to_f32().unwrap(), [1.0; 16]);
    assert!(ids.view().rows(0..1).unwrap_err().to_string().contains("taken as a whole"));

    // Segments laid out for two rows, then for three, one of which sees nothing, then on another device.
    let segments = Segments::from(vec![Segment::causal(0..2)]);
    let settings = Attention { scale: 1.0, window: None };
    let run = |device: &Device, rows: usize| {
        let x = device.upload_float(vec![1.0; 8 * rows], &[rows, 1, 8]).unwrap();
        let mut out = device.upload_float(vec![f32::NAN; 8 * rows], &[rows, 1, 8]).unwrap();
        let mut lse = device.zeros_f32(&[rows, 1]).unwrap();
        let (to, lse) = (out.view_mut(), lse.view_mut());
        attention::forward(&settings, &segments, [x.view(); 3], to, lse).unwrap();
        out.to_f32().unwrap()
    };
    let [two, three] = [vec![1.0; 16], [vec![1.0; 16], vec![0.0; 8]].concat()];
    assert_eq!(
        (run(&device, 2), run(&device, 3), run(&device, 2)),
        (two.clone(), three, two.clone())
    );
    assert_eq!(run(&Device::Cuda(driver(Order::Reverse)), 2), two);
    assert_eq!(run(&Device::Cpu, 2), two);
}

#[test]
fn a_buffer_on_cuda_behaves_as_one_on_the_cpu() {
    let device = Device::Cuda(driver(Order::Forward));
    let mut buffer =
        device.upload_float(vec![1.0, 2.0, 3.0, 4.0, 5.0, 1.0 + 1.0 / 256.0], &[3, 2]).unwrap();
    assert_eq!((buffer.dtype(), buffer.size_bytes()), (Dtype::Bf16, 12));
    // Rounded to nearest, ties to even: 1 + 2⁻⁸ lies between two bf16.
    assert_eq!(buffer.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 1.0]);
    let copy = buffer.copy().unwrap();
    assert_eq!(copy, buffer);
    let mut wide = device.zeros_f32(&[3, 2]).unwrap();
    wide.view_mut().copy_from(buffer.view()).unwrap();
    assert_eq!(wide.to_f32().unwrap(), buffer.to_f32().unwrap());
    assert_ne!(wide, buffer, "of another type");
    buffer.resize_rows(1).unwrap();
    buffer.copy_from_f32(&[7.0, 8.0]).unwrap();
    assert_eq!(buffer.to_f32().unwrap(), [7.0, 8.0]);
    // A row at an address that no wide access takes is copied all the same.
    let mut tail = copy.copy().unwrap();
    tail.rows_mut(2..3).unwrap().copy_from(buffer.view()).unwrap();
    assert_eq!(tail.to_f32().unwrap(), [1.0, 2.0, 3.0, 4.0, 7.0, 8.0]);
    buffer.resize_rows(9).unwrap();
    buffer.clear().unwrap();
    assert_eq!(buffer.to_f32().unwrap(), [0.0; 18]);
    assert!(
        copy.view().f32("test", "copy").unwrap_err().to_string().ends_with("on cuda, expected cpu")
    );
    assert!(buffer.copy_from_f32(&[1.0]).is_err() && copy.rows(2..4).is_err());
    let other = Device::Cuda(driver(Order::Forward)).zeros_f32(&[3, 2]).unwrap();
    let error = wide.view_mut().copy_from(other.view()).unwrap_err().to_string();
    assert_eq!(error, "buffer::copy_from: `source` is on another cuda device, expected cuda");
}
