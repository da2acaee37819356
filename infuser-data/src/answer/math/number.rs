//! A number as it was written.

use super::{approx::Approx, field::Residue};

/// A decimal numeral without sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Number {
    /// Exact, whatever its length.
    pub(super) residue: Residue,
    /// As a fraction of small numbers, where it is one.
    pub(super) ratio: Option<Ratio>,
    pub(super) approx: Approx,
    /// `Some` if it was written with a decimal point or an exponent.
    pub(super) decimals: Option<Decimals>,
}

/// How exactly a decimal was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decimals {
    /// Digits after the point.
    pub(super) places: i32,
    /// Digits without leading zeros.
    pub(super) significant: i32,
}

/// A fraction in lowest terms; `den` is above 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ratio {
    pub(super) num: i64,
    pub(super) den: i64,
}

impl Ratio {
    pub(super) fn new(num: i128, den: i128) -> Option<Self> {
        if den == 0 {
            return None;
        }
        let common = gcd(num.unsigned_abs(), den.unsigned_abs()) as i128 * den.signum();
        let (num, den) = (i64::try_from(num / common).ok()?, i64::try_from(den / common).ok()?);
        Some(Self { num, den })
    }

    pub(super) fn int(value: i64) -> Self {
        Self { num: value, den: 1 }
    }

    pub(super) fn as_int(self) -> Option<i64> {
        (self.den == 1).then_some(self.num)
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (a, b) = (i128::from(self.num), i128::from(self.den));
        let (c, d) = (i128::from(other.num), i128::from(other.den));
        Self::new(a * d + c * b, b * d)
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        let num = i128::from(self.num) * i128::from(other.num);
        Self::new(num, i128::from(self.den) * i128::from(other.den))
    }

    pub(super) fn inverse(self) -> Option<Self> {
        Self::new(self.den.into(), self.num.into())
    }

    pub(super) fn pow(self, exponent: i64) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        let exponent = u32::try_from(exponent.unsigned_abs()).ok()?;
        let num = base.num.checked_pow(exponent)?;
        Some(Self { num, den: base.den.checked_pow(exponent)? })
    }

    /// The root that is a fraction itself, if there is one.
    pub(super) fn root(self, degree: i64) -> Option<Self> {
        let degree = u32::try_from(degree).ok().filter(|degree| (2..64).contains(degree))?;
        Some(Self { num: whole_root(self.num, degree)?, den: whole_root(self.den, degree)? })
    }

    /// How many significant digits its decimal form has; `None` if that has no end.
    pub(super) fn decimal_digits(self) -> Option<i32> {
        let (mut rest, mut places) = (self.den, [0_u32; 2]);
        for (prime, count) in [2, 5].into_iter().zip(&mut places) {
            while rest % prime == 0 {
                (rest, *count) = (rest / prime, *count + 1);
            }
        }
        let scale = 10_i128.checked_pow(places[0].max(places[1]))? / i128::from(self.den);
        let mut digits = i128::from(self.num).checked_mul(scale).filter(|_| rest == 1)?.abs();
        while digits > 0 && digits % 10 == 0 {
            digits /= 10;
        }
        Some(digits.checked_ilog10().map_or(1, |log| log as i32 + 1))
    }

    pub(super) fn approx(self) -> Approx {
        let value = self.num as f64 / self.den as f64;
        if self.den == 1 && self.num.unsigned_abs() < 1 << 53 {
            Approx::exact(value)
        } else {
            Approx::rounded(value)
        }
    }

    pub(super) fn residue(self) -> Option<Residue> {
        let num = Residue::from_i128(self.num.into());
        if self.den == 1 {
            return Some(num);
        }
        Some(num.mul(Residue::from_i128(self.den.into()).inverse()?))
    }
}

fn whole_root(value: i64, degree: u32) -> Option<i64> {
    if value < 0 && degree.is_multiple_of(2) {
        return None;
    }
    let guess = (value.unsigned_abs() as f64).powf(1.0 / f64::from(degree)).round() as i64;
    let root = guess * value.signum();
    (root.checked_pow(degree) == Some(value)).then_some(root)
}

fn gcd(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

impl Number {
    /// Digits, at most one point among them, and a power of ten.
    pub(super) fn new(digits: &str, exponent: i32) -> Option<Self> {
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let text: String = [whole, fraction].concat();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let pointed = digits.contains('.') && !fraction.is_empty();
        let places = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?;
        // An exponent beyond this has no use, and its power of ten no place.
        if places.abs() > 5000 {
            return None;
        }
        let scale = Residue::from_i128(10).pow((-places).into())?;
        let residue = Residue::from_digits(&text, 10).mul(scale);
        let approx: f64 = format!("{text}e{}", -places).parse().ok()?;
        let small = text.trim_start_matches('0').len() <= 18 && places.abs() <= 18;
        let ratio = small.then(|| {
            let value: i128 = text.parse().ok()?;
            let scale = 10_i128.pow(places.unsigned_abs());
            if places >= 0 { Ratio::new(value, scale) } else { Ratio::new(value * scale, 1) }
        });
        let ratio = ratio.flatten();
        let significant = text.trim_start_matches('0').len() as i32;
        let decimals = (pointed || exponent != 0).then_some(Decimals { places, significant });
        let approx = match ratio {
            Some(ratio) => ratio.approx(),
            None => Approx::rounded(approx),
        };
        Some(Self { residue, ratio, approx, decimals })
    }

    /// `whole.start` with `cycle` repeated for ever, as in 0.1(6).
    pub(super) fn repeating(digits: &str, cycle: &str) -> Option<Self> {
        let (whole, start) = digits.split_once('.')?;
        if cycle.is_empty() || cycle.len() + start.len() + whole.len() > 17 {
            return None;
        }
        let parse = |text: &str| text.parse::<i128>().ok();
        let head = parse(&format!("0{whole}{start}"))?;
        let all = parse(&format!("0{whole}{start}{cycle}"))?;
        let nines = 10_i128.pow(cycle.len() as u32) - 1;
        let ratio = Ratio::new(all - head, nines * 10_i128.pow(start.len() as u32))?;
        Some(Self {
            residue: ratio.residue()?,
            ratio: Some(ratio),
            approx: ratio.approx(),
            decimals: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ratio(num: i64, den: i64) -> Option<Ratio> {
        Some(Ratio { num, den })
    }

    #[test]
    fn numerals_are_read_exactly() {
        assert_eq!(Number::new("12.50", 0).unwrap().ratio, ratio(25, 2));
        assert_eq!(Number::new(".5", 0).unwrap().ratio, ratio(1, 2));
        assert_eq!(Number::new("12.", 0).unwrap().decimals, None);
        assert_eq!(Number::new("1.5", 3).unwrap().ratio, ratio(1500, 1));
        let precise = Decimals { places: 3, significant: 2 };
        assert_eq!(Number::new("0.012", 0).unwrap().decimals, Some(precise));
        let long = "9".repeat(500);
        assert_eq!(Number::new(&long, 0).unwrap().ratio, None);
        assert!(Number::new("1", 1_000_000).is_none() && Number::new(".", 0).is_none());
    }

    #[test]
    fn repeating_decimals_are_fractions() {
        assert_eq!(Number::repeating("0.", "3").unwrap().ratio, ratio(1, 3));
        assert_eq!(Number::repeating("0.1", "6").unwrap().ratio, ratio(1, 6));
        assert_eq!(Number::repeating("2.", "142857").unwrap().ratio, ratio(15, 7));
    }

    #[test]
    fn decimal_forms_end_where_the_denominator_lets_them() {
        assert_eq!(ratio(1, 1024).unwrap().decimal_digits(), Some(7));
        assert_eq!(ratio(-1_000_040, 400).unwrap().decimal_digits(), Some(5));
        assert_eq!(Ratio::int(0).decimal_digits(), Some(1));
        assert_eq!(Ratio::int(5000).decimal_digits(), Some(1));
        assert_eq!(ratio(1, 3).unwrap().decimal_digits(), None);
        assert_eq!(ratio(i64::MAX, 1 << 62).unwrap().decimal_digits(), None);
    }

    #[test]
    fn fractions_stay_in_lowest_terms_or_give_up() {
        assert_eq!(Ratio::new(6, -4), ratio(-3, 2));
        assert_eq!(Ratio::new(1, 0), None);
        assert_eq!(Ratio::int(i64::MAX).mul(Ratio::int(2)), None);
        assert_eq!(Ratio { num: -27, den: 8 }.root(3), ratio(-3, 2));
        assert_eq!(Ratio::int(-4).root(2), None);
        assert_eq!(Ratio::int(8).root(2), None);
    }
}
