//! `cast.cu`, `fill.cu` and `add.cu` against the same on the host, to the bit.

use super::*;
use crate::{
    Error,
    cuda::{Kernel, add, cast, fill},
    ops::add as cpu,
    testing::buffer,
};

/// Nothing, one element, what no access is wide enough for, an access, one more, a block and a bit.
const COUNTS: [usize; 7] = [0, 1, 7, 8, 9, 2048, 4099];

/// Where rounding to bf16 goes wrong if it does: ties both ways, carries into the exponent, the ends
/// of the range, denormals, NaNs whose bits are all below the ones that are kept.
const EDGES: [u32; 22] = [
    0x0000_0000,
    0x8000_0000,
    0x3f80_8000, // a tie, down to even
    0x3f81_8000, // a tie, up to even
    0x3f80_8001,
    0x3f80_7fff,
    0x3fff_8000, // a tie that carries into the exponent
    0xbfff_ffff,
    0x7f7f_7fff, // the largest that stays finite
    0x7f7f_8000, // the smallest that becomes infinite
    0x7f7f_ffff, // f32::MAX
    0xff7f_ffff,
    0x7f80_0000, // infinity
    0xff80_0000,
    0x7f80_0001, // NaN by its lowest bit alone
    0xff80_7fff,
    0x7fff_ffff,
    0x0000_0001, // the smallest denormal
    0x0000_8000, // a tie to zero
    0x0000_8001,
    0x007f_ffff, // a denormal that rounds to a normal number
    0x8080_0000,
];

/// Hard values with the edges in front.
fn values(count: usize) -> Vec<f32> {
    let mut values = hard_values(5, count);
    values.iter_mut().zip(EDGES).for_each(|(value, bits)| *value = f32::from_bits(bits));
    values
}

fn bits(values: &[bf16]) -> Vec<u16> {
    // Any NaN is as good as another.
    let one = |value: &bf16| if value.is_nan() { 0x7fff } else { value.to_bits() };
    values.iter().map(one).collect()
}

fn f32_bits(values: &[f32]) -> Vec<u32> {
    let one = |value: &f32| if value.is_nan() { 0x7fff_ffff } else { value.to_bits() };
    values.iter().map(one).collect()
}

pub(super) fn check_cast(driver: &Driver) {
    for count in COUNTS {
        let values = values(count);
        let mut narrow = Memory::<bf16>::unset(driver, count).unwrap();
        cast::narrow(driver, up(driver, &values).slice(), narrow.slice_mut()).unwrap();
        let want: Vec<bf16> = values.iter().map(|&x| bf16::from_f32(x)).collect();
        assert_eq!(bits(&narrow.download().unwrap()), bits(&want));
        tolerance::check(Kernel::CastNarrow, "y", &wide(&narrow.download().unwrap()), &wide(&want));
    }
    // Every bf16 there is.
    let all: Vec<bf16> = (0..=u16::MAX).map(bf16::from_bits).collect();
    let mut y = Memory::<f32>::unset(driver, all.len()).unwrap();
    cast::widen(driver, up(driver, &all).slice(), y.slice_mut()).unwrap();
    let y = y.download().unwrap();
    assert_eq!(f32_bits(&y), f32_bits(&wide(&all)));
    tolerance::check(Kernel::CastWiden, "y", &y, &wide(&all));
}

pub(super) fn check_fill(driver: &Driver) {
    for count in COUNTS {
        for value in [0.0, -0.0, 1.003_906_3, f32::NEG_INFINITY, 3e38] {
            let mut x = Memory::<f32>::unset(driver, count).unwrap();
            fill::fill_f32(driver, value, x.slice_mut()).unwrap();
            let x = x.download().unwrap();
            assert_eq!(f32_bits(&x), f32_bits(&vec![value; count]));
            tolerance::check(Kernel::FillF32, "x", &x, &vec![value; count]);
            let mut x = Memory::<bf16>::unset(driver, count).unwrap();
            fill::fill_bf16(driver, value, x.slice_mut()).unwrap();
            let (x, want) = (x.download().unwrap(), vec![bf16::from_f32(value); count]);
            assert_eq!(bits(&x), bits(&want));
            tolerance::check(Kernel::FillBf16, "x", &wide(&x), &wide(&want));
        }
    }
}

pub(super) fn check_add(driver: &Driver) {
    for count in COUNTS {
        let (x, out) = (values(count), hard_values(6, count));
        let mut want = buffer(&out, &[count]);
        cpu::add(buffer(&x, &[count]).view(), want.view_mut()).unwrap();
        let mut got = up(driver, &out);
        add::add_f32(driver, up(driver, &x).slice(), got.slice_mut()).unwrap();
        let sum = got.download().unwrap();
        tolerance::check(Kernel::AddF32, "out", &sum, &want.to_f32().unwrap());
        cpu::scale(-0.3, want.view_mut()).unwrap();
        add::scale(driver, -0.3, got.slice_mut()).unwrap();
        let scaled = got.download().unwrap();
        tolerance::check(Kernel::Scale, "x", &scaled, &want.to_f32().unwrap());

        let [x, out] = [x, out].map(|v| v.into_iter().map(bf16::from_f32).collect::<Vec<_>>());
        let mut want = buffer(&wide(&out), &[count]);
        cpu::add(buffer(&wide(&x), &[count]).view(), want.view_mut()).unwrap();
        let want = want.to_f32().unwrap().into_iter().map(bf16::from_f32).collect::<Vec<_>>();
        let mut got = up(driver, &out);
        add::add_bf16(driver, up(driver, &x).slice(), got.slice_mut()).unwrap();
        tolerance::check(Kernel::AddBf16, "out", &wide(&got.download().unwrap()), &wide(&want));
    }
}

#[test]
fn casts_round_to_nearest_even_and_keep_what_is_not_a_number() {
    ORDERS.into_iter().for_each(|order| check_cast(&driver(order)));
}

#[test]
fn a_fill_reaches_every_element() {
    ORDERS.into_iter().for_each(|order| check_fill(&driver(order)));
}

#[test]
fn sums_and_multiples_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check_add(&driver(order)));
}

#[test]
fn a_wrong_length_names_the_tensor() {
    let driver = driver(Order::Forward);
    let (x, mut y) = (up(&driver, &[0.0f32; 6]), up(&driver, &[bf16::ONE; 5]));
    let error = cast::narrow(&driver, x.slice(), y.slice_mut()).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "y", .. }), "{error}");
}
