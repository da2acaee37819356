//! Exact arithmetic of bounded size: a value as its residues modulo two primes of 62 bits.
//!
//! Two expressions in `+ - * /` and whole powers are equal as functions exactly when they agree at
//! random points of a large field, but for a chance of about `degree / 2^123` (Schwartz and
//! Zippel). Nothing grows: `2^2025` is two machine words, as is every other number.

/// Both primes leave 1 modulo 4, so that -1 has a square root.
const PRIMES: [u64; 2] = [3_918_221_106_604_603_961, 4_386_775_576_322_377_169];
/// A square root of -1 modulo each prime.
const ROOTS: [u64; 2] = [438_432_192_192_632_641, 1_048_984_740_693_232_271];

/// A value modulo each prime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Residue([u64; 2]);

impl Residue {
    pub(super) const ZERO: Self = Self([0, 0]);
    /// The imaginary unit.
    pub(super) const I: Self = Self(ROOTS);

    pub(super) fn from_i128(value: i128) -> Self {
        Self(PRIMES.map(|p| value.rem_euclid(i128::from(p)) as u64))
    }

    /// The point of the field that a hash names.
    pub(super) fn from_hash(hash: u64) -> Self {
        Self([mix(hash ^ 0x9e37) % PRIMES[0], mix(hash ^ 0x79b9) % PRIMES[1]])
    }

    /// A number written in decimal digits, of any length.
    pub(super) fn from_digits(digits: &str, base: u32) -> Self {
        let digits = digits.chars().filter_map(|digit| digit.to_digit(base));
        digits.fold(Self::ZERO, |value, digit| {
            value.mul(Self::from_i128(base.into())).add(Self::from_i128(digit.into()))
        })
    }

    pub(super) fn add(self, other: Self) -> Self {
        self.zip(other, |a, b, p| ((u128::from(a) + u128::from(b)) % u128::from(p)) as u64)
    }

    pub(super) fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b, p| (u128::from(a) * u128::from(b) % u128::from(p)) as u64)
    }

    /// `None` for a value without inverse.
    pub(super) fn inverse(self) -> Option<Self> {
        let [a, b] = self.0;
        // Fermat: a^(p-2) is the inverse of a.
        (a != 0 && b != 0).then(|| self.zip(self, |a, _, p| power(a, p - 2, p)))
    }

    pub(super) fn pow(self, exponent: i64) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        let exponent = exponent.unsigned_abs();
        Some(base.zip(base, |a, _, p| power(a, exponent, p)))
    }

    /// A short name of the value, for points that stand for it.
    pub(super) fn hash(self) -> u64 {
        mix(self.0[0] ^ mix(self.0[1]))
    }

    fn zip(self, other: Self, f: impl Fn(u64, u64, u64) -> u64) -> Self {
        Self([f(self.0[0], other.0[0], PRIMES[0]), f(self.0[1], other.0[1], PRIMES[1])])
    }
}

fn power(mut base: u64, mut exponent: u64, p: u64) -> u64 {
    let times = |a: u64, b: u64| (u128::from(a) * u128::from(b) % u128::from(p)) as u64;
    let mut result = 1;
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = times(result, base);
        }
        base = times(base, base);
        exponent >>= 1;
    }
    result
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_field_with_a_root_of_minus_one() {
        let seven = Residue::from_i128(7);
        assert_eq!(seven.mul(seven.inverse().unwrap()), Residue::from_i128(1));
        assert_eq!(Residue::I.mul(Residue::I), Residue::from_i128(-1));
        assert_eq!(Residue::ZERO.inverse(), None);
        assert_eq!(seven.pow(-2).unwrap().mul(Residue::from_i128(49)), Residue::from_i128(1));
        assert_eq!(seven.add(Residue::from_i128(-7)), Residue::ZERO);
        assert_eq!(Residue::from_digits("120", 10), Residue::from_i128(120));
        assert_eq!(Residue::from_digits("204", 5), Residue::from_i128(54));
    }

    #[test]
    fn large_powers_are_told_apart() {
        let power = |base| Residue::from_i128(base).pow(2025).unwrap();
        assert_ne!(power(2), power(3));
        assert_eq!(power(2).mul(power(3)), power(6));
    }
}
