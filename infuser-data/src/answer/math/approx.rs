//! Complex numbers with a bound on their rounding error, so that "equal" and "different" are only
//! said when the digits that are left allow it.

/// A complex number, and how far off it may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Approx {
    pub(super) re: f64,
    pub(super) im: f64,
    /// A bound on the absolute error.
    pub(super) err: f64,
}

/// One rounding of a result, generously.
const EPS: f64 = 4.0 * f64::EPSILON;

impl Approx {
    pub(super) const fn exact(re: f64) -> Self {
        Self { re, im: 0.0, err: 0.0 }
    }

    /// A real number that was rounded once.
    pub(super) fn rounded(re: f64) -> Self {
        Self { re, im: 0.0, err: EPS * re.abs() }
    }

    pub(super) const I: Self = Self { re: 0.0, im: 1.0, err: 0.0 };

    pub(super) fn abs(self) -> f64 {
        self.re.hypot(self.im)
    }

    pub(super) fn is_finite(self) -> bool {
        self.re.is_finite() && self.im.is_finite() && self.err.is_finite()
    }

    /// On the real line, as far as the error lets one see.
    pub(super) fn is_real(self) -> bool {
        self.im.abs() <= self.err.max(EPS * self.re.abs())
    }

    fn with(re: f64, im: f64, err: f64) -> Self {
        Self { re, im, err: err + EPS * re.hypot(im) }
    }

    pub(super) fn add(self, other: Self) -> Self {
        // Rounding is relative to the result, which is never larger than the terms.
        Self::with(self.re + other.re, self.im + other.im, self.err + other.err)
    }

    pub(super) fn mul(self, other: Self) -> Self {
        let (re, im) =
            (self.re * other.re - self.im * other.im, self.re * other.im + self.im * other.re);
        let err = self.abs() * other.err + other.abs() * self.err + self.err * other.err;
        Self::with(re, im, err + EPS * self.abs() * other.abs())
    }

    pub(super) fn inverse(self) -> Option<Self> {
        let size = self.abs();
        if size <= 2.0 * self.err || size == 0.0 {
            return None;
        }
        let (re, im) = (self.re / size / size, -self.im / size / size);
        Some(Self::with(re, im, self.err / (size * (size - self.err))))
    }

    pub(super) fn powi(self, exponent: i64) -> Option<Self> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        let (mut result, mut square) = (Self::exact(1.0), base);
        let mut left = exponent.unsigned_abs();
        while left > 0 {
            if left & 1 == 1 {
                result = result.mul(square);
            }
            left >>= 1;
            if left > 0 {
                square = square.mul(square);
            }
        }
        Some(result)
    }

    /// The principal logarithm.
    pub(super) fn ln(self) -> Option<Self> {
        let size = self.abs();
        if size <= 2.0 * self.err || size == 0.0 {
            return None;
        }
        // An error across the negative axis would turn the angle by a whole round.
        let im = if self.is_real() {
            if self.re < 0.0 { std::f64::consts::PI } else { 0.0 }
        } else {
            self.im.atan2(self.re)
        };
        Some(Self::with(size.ln(), im, self.err / (size - self.err) + EPS))
    }

    pub(super) fn exp(self) -> Self {
        let size = self.re.exp();
        Self::with(size * self.im.cos(), size * self.im.sin(), size * (self.err + EPS * self.abs()))
    }

    /// The principal power.
    pub(super) fn pow(self, exponent: Self) -> Option<Self> {
        if self.abs() == 0.0 {
            return (exponent.is_real() && exponent.re > exponent.err).then(|| Self::exact(0.0));
        }
        Some(self.ln()?.mul(exponent).exp())
    }

    /// The real root of a real number where there is one, else the principal root.
    pub(super) fn root(self, degree: i64) -> Option<Self> {
        if degree == 0 {
            return None;
        }
        if self.is_real() && (self.re >= 0.0 || degree % 2 != 0) {
            let size = self.re.abs();
            let root = if degree == 2 { size.sqrt() } else { size.powf(1.0 / degree as f64) };
            if size <= self.err {
                return (degree > 0).then(|| Self {
                    re: 0.0,
                    im: 0.0,
                    err: self.err.powf(1.0 / degree as f64),
                });
            }
            let err = root * self.err / (size - self.err);
            return Some(Self::with(root.copysign(self.re), 0.0, err + EPS * root));
        }
        self.ln()?.mul(Self::rounded(1.0 / degree as f64)).exp().into()
    }

    pub(super) fn sin_cos(self) -> (Self, Self) {
        let (sin, cos) = self.re.sin_cos();
        let (sinh, cosh) = (self.im.sinh(), self.im.cosh());
        let err = cosh * (self.err + EPS * self.abs());
        (Self::with(sin * cosh, cos * sinh, err), Self::with(cos * cosh, -sin * sinh, err))
    }

    /// A real function of a real argument whose slope is at most `slope` around here.
    pub(super) fn real(self, slope: f64, f: impl Fn(f64) -> f64) -> Option<Self> {
        let value = f(self.re);
        (self.is_real() && value.is_finite())
            .then(|| Self::with(value, 0.0, self.err * slope + EPS * value.abs()))
    }

    /// Whether two values are the same, if their errors let one say.
    pub(super) fn agrees(self, other: Self) -> Option<bool> {
        if !self.is_finite() || !other.is_finite() {
            return None;
        }
        let gap = (self.re - other.re).hypot(self.im - other.im);
        let size = self.abs().max(other.abs());
        let err = 2.0 * (self.err + other.err);
        if gap > err + 1e-12 * size {
            return Some(false);
        }
        // Few digits are left: that they agree says little.
        (err <= 1e-7 * size || (size <= 1e-9 && err <= 1e-9)).then_some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_cover_what_was_lost() {
        // (1e15 + 0.3) - 1e15 keeps one digit of 0.3.
        let lost = Approx::exact(1e15).add(Approx::rounded(0.3)).add(Approx::exact(-1e15));
        assert!((lost.re - 0.3).abs() <= lost.err, "{lost:?}");
        assert_eq!(lost.agrees(Approx::rounded(0.3)), None);
        assert_eq!(Approx::rounded(0.1).agrees(Approx::rounded(0.1 + 1e-17)), Some(true));
        assert_eq!(Approx::rounded(0.1).agrees(Approx::rounded(0.100_000_01)), Some(false));
    }

    #[test]
    fn roots_are_real_where_they_can_be() {
        let root = Approx::exact(-8.0).root(3).unwrap();
        assert_eq!(root.agrees(Approx::exact(-2.0)), Some(true));
        let root = Approx::exact(-4.0).root(2).unwrap();
        assert_eq!(root.agrees(Approx { re: 0.0, im: 2.0, err: 0.0 }), Some(true));
        assert_eq!(Approx::exact(0.0).root(2), Some(Approx::exact(0.0)));
    }

    #[test]
    fn powers_and_logarithms_undo_each_other() {
        let z = Approx { re: 0.3, im: -1.2, err: 0.0 };
        assert_eq!(z.ln().unwrap().exp().agrees(z), Some(true));
        assert_eq!(z.pow(Approx::exact(3.0)).unwrap().agrees(z.powi(3).unwrap()), Some(true));
        assert_eq!(z.inverse().unwrap().agrees(z.powi(-1).unwrap()), Some(true));
        let (sin, cos) = z.sin_cos();
        assert_eq!(sin.mul(sin).add(cos.mul(cos)).agrees(Approx::exact(1.0)), Some(true));
    }
}
