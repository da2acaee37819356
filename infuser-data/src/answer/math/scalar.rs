//! Whether two scalars are equal.

use super::{
    approx::Approx,
    expr::Expr,
    number::{Decimals, Number, Ratio},
    value::{Evaluated, POINTS, evaluate},
};

/// What a comparison found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Same,
    Different,
    /// Not to be found out within the bounds.
    Unknown,
}

impl Outcome {
    pub(super) fn from(same: bool) -> Self {
        if same { Self::Same } else { Self::Different }
    }

    /// Both must hold.
    pub(super) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Same => other(),
            Self::Different => Self::Different,
            Self::Unknown => match other() {
                Self::Different => Self::Different,
                _ => Self::Unknown,
            },
        }
    }

    /// One must hold.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Same => Self::Same,
            _ => match (self, other()) {
                (_, Self::Same) => Self::Same,
                (Self::Different, Self::Different) => Self::Different,
                _ => Self::Unknown,
            },
        }
    }
}

/// Compares two scalars; a percentage, or an angle, is taken in either of its meanings.
pub(super) fn scalars(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    let plain = |gold: &Expr, pred: &Expr| plain(gold, pred, digits);
    match (gold, pred) {
        (Expr::Negative(a), Expr::Negative(b)) => scalars(a, b, digits),
        (Expr::Percent(a), Expr::Percent(b)) | (Expr::Degrees(a), Expr::Degrees(b)) => {
            scalars(a, b, digits)
        }
        (Expr::Percent(a), b) => plain(a, b).or(|| plain(gold, b)),
        (a, Expr::Percent(b)) => plain(a, b).or(|| plain(a, pred)),
        (Expr::Degrees(a), b) => plain(a, b).or(|| plain(&radians(a), b)),
        (a, Expr::Degrees(b)) => plain(a, b).or(|| plain(a, &radians(b))),
        (Expr::Based(a, m), Expr::Based(b, n)) if m == n => {
            let digits = |text: &str| text.trim_start_matches('0').to_lowercase();
            Outcome::from(digits(a) == digits(b))
        }
        (Expr::Based(..), Expr::Based(..)) => plain(gold, pred),
        // The base of the answer stands in the question: its digits are enough, its value is not.
        (Expr::Based(a, _), b) | (b, Expr::Based(a, _)) => match Number::new(a, 0) {
            Some(digits) => plain(&Expr::Number(digits), b),
            None => Outcome::Unknown,
        },
        _ => plain(gold, pred),
    }
}

fn radians(degrees: &Expr) -> Expr {
    use super::expr::Constant;
    let half_turn = Expr::Inverse(Expr::int(180).into());
    Expr::Product(vec![degrees.clone(), Expr::Constant(Constant::Pi), half_turn])
}

fn plain(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    let mut seen = Seen::default();
    for point in 0..POINTS {
        let (Some(a), Some(b)) = (evaluate(gold, point), evaluate(pred, point)) else {
            return Outcome::Unknown;
        };
        seen.add(a, b);
        // Without symbols all points are one.
        if seen.exact_difference || !(a.symbols || b.symbols) {
            break;
        }
    }
    match seen.outcome() {
        Outcome::Same => Outcome::Same,
        _ if within_digits(gold, pred, digits) => Outcome::Same,
        other => other,
    }
}

/// The evidence so far.
#[derive(Debug, Default)]
struct Seen {
    exact_difference: bool,
    /// Points at which both have a residue, and these are equal.
    exact: usize,
    agree: usize,
    disagree: usize,
    points: usize,
    opaque: bool,
}

impl Seen {
    fn add(&mut self, a: Evaluated, b: Evaluated) {
        self.points += 1;
        self.opaque |= a.opaque || b.opaque;
        if let (Some(x), Some(y)) = (a.value.ratio, b.value.ratio) {
            self.exact_difference |= x != y;
            self.exact += usize::from(x == y);
            return;
        }
        if let (Some(x), Some(y)) = (a.value.residue(), b.value.residue()) {
            self.exact_difference |= x != y;
            self.exact += usize::from(x == y);
        }
        // Off the positive reals, branches of roots differ without meaning to.
        if self.points == POINTS && (a.complex || b.complex) {
            return;
        }
        let agree = a.value.approx().zip(b.value.approx()).and_then(|(x, y)| Approx::agrees(x, y));
        match agree {
            Some(true) => self.agree += 1,
            Some(false) => self.disagree += 1,
            None => {}
        }
    }

    fn outcome(&self) -> Outcome {
        if self.exact_difference || self.disagree > 0 {
            // Two unknown functions may be one and the same.
            return if self.opaque { Outcome::Unknown } else { Outcome::Different };
        }
        let enough = if self.points == 1 { 1 } else { POINTS - 1 };
        if self.exact == self.points || self.agree >= enough {
            Outcome::Same
        } else {
            Outcome::Unknown
        }
    }
}

/// A finite decimal of more digits is as unwieldy as one without end, and mostly was cut from one.
const SHORT: i32 = 9;

/// Whether one side is a decimal with at least so many significant digits, all of them right, where
/// the other has no short decimal form.
fn within_digits(gold: &Expr, pred: &Expr, digits: u32) -> bool {
    let decimals = [gold, pred].map(written);
    let values = [gold, pred].map(|expr| {
        let evaluated = evaluate(expr, 0)?;
        let approx = evaluated.value.approx().filter(|approx| approx.is_real())?;
        let short = evaluated.value.ratio.and_then(Ratio::decimal_digits);
        (!evaluated.symbols).then_some((approx.re, short.is_some_and(|digits| digits <= SHORT)))
    });
    let ([a, b], [Some(x), Some(y)]) = (decimals, values) else { return false };
    // The coarser of two decimals says how much is claimed.
    let (coarser, (x, _), (y, short)) = match (a, b) {
        (Some(a), Some(b)) if a.places <= b.places => (a, x, y),
        (_, Some(b)) => (b, y, x),
        (Some(a), None) => (a, x, y),
        (None, None) => return false,
    };
    let claimed = coarser.places > 0 && i64::from(coarser.significant) >= i64::from(digits);
    if short || !claimed {
        return false;
    }
    let last = 10_f64.powi(-coarser.places);
    let rounded = (x - y).abs() <= 0.500_001 * last;
    let cut = x * y > 0.0 && (0.0..0.999_999 * last).contains(&(y.abs() - x.abs()));
    rounded || cut
}

/// Whether the second constant is the first one rounded, or cut, as it is written.
pub(super) fn rounds_to(exact: &Expr, short: &Expr) -> bool {
    let value = |expr| {
        let approx = evaluate(expr, 0)?.value.approx()?;
        approx.is_real().then_some(approx.re)
    };
    // How far the last digit reaches; zeros at the end of a whole number are no digits.
    let last = match (written(short), value(short)) {
        (Some(decimals), _) => 10_f64.powi(-decimals.places),
        (None, Some(y)) if y != 0.0 && y.fract() == 0.0 => {
            let mut size = 0.5;
            while size < 1e18 && (y / (20.0 * size)).fract() == 0.0 {
                size *= 10.0;
            }
            size
        }
        (None, y) => y.map_or(0.0, |y| 0.005 * y.abs()),
    };
    value(exact).zip(value(short)).is_some_and(|(x, y)| (x - y).abs() <= 1.000_001 * last)
}

fn written(expr: &Expr) -> Option<Decimals> {
    match expr {
        Expr::Number(number) => number.decimals,
        Expr::Negative(inner) | Expr::Percent(inner) | Expr::Degrees(inner) => written(inner),
        _ => None,
    }
}

/// The sign of a constant, if it is plain.
pub(super) fn sign(expr: &Expr) -> Option<i8> {
    let evaluated = evaluate(expr, 0).filter(|evaluated| !evaluated.symbols)?;
    let approx = evaluated.value.approx().filter(|approx| approx.is_real())?;
    if evaluated.value.ratio.is_some_and(|ratio| ratio.num == 0) {
        return Some(0);
    }
    (approx.re.abs() > 2.0 * approx.err).then_some(if approx.re > 0.0 { 1 } else { -1 })
}

/// Whether `a = k b` with a constant `k` other than 0, and the sign of `k`.
pub(super) fn proportional(a: &Expr, b: &Expr) -> Option<(bool, i8)> {
    let mut exact = None;
    let mut rough: Option<Approx> = None;
    let (mut same, mut checked, mut signs) = (true, 0, 0);
    for point in 0..POINTS {
        let (x, y) = (evaluate(a, point)?, evaluate(b, point)?);
        if x.complex || y.complex {
            continue;
        }
        if let (Some(p), Some(q)) =
            (x.value.residue(), y.value.residue().and_then(super::field::Residue::inverse))
        {
            let ratio = p.mul(q);
            same &= *exact.get_or_insert(ratio) == ratio;
            checked += 1;
        }
        let inverse = y.value.approx().and_then(Approx::inverse);
        if let (Some(p), Some(q)) = (x.value.approx(), inverse) {
            let ratio = p.mul(q);
            match rough.get_or_insert(ratio).agrees(ratio) {
                Some(agrees) => same &= agrees,
                None => continue,
            }
            signs += if ratio.re > 0.0 { 1 } else { -1 };
            checked += 1;
        }
    }
    (checked >= 2).then_some((same, if signs > 0 { 1 } else { -1 }))
}
