//! Sets of real numbers as sorted pieces, and matrices as their entries.

use super::{
    expr::{Constant, Expr, Interval, Sign},
    scalar::{Outcome, scalars, sign},
};

/// An interval, or a point as one from itself to itself.
type Piece = Interval;

/// Whether it can only be a set.
pub(super) fn is_set(expr: &Expr) -> bool {
    match expr {
        Expr::Interval(_) | Expr::Union(_) | Expr::Intersection(_) | Expr::Difference(..) => true,
        Expr::Constant(Constant::Reals | Constant::EmptySet) => true,
        Expr::Set(_) => true,
        // (a, b) is an open interval where a set is expected.
        Expr::Tuple(parts) => parts.len() == 2,
        _ => false,
    }
}

/// Compares two sets piece by piece.
pub(super) fn compare(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    let (Some(a), Some(b)) = (pieces(gold), pieces(pred)) else { return Outcome::Unknown };
    if a.len() != b.len() {
        return Outcome::Different;
    }
    a.iter().zip(&b).fold(Outcome::Same, |all, (a, b)| {
        all.and(|| Outcome::from(a.closed == b.closed))
            .and(|| ends(&a.low, &b.low, digits))
            .and(|| ends(&a.high, &b.high, digits))
    })
}

fn ends(a: &Expr, b: &Expr, digits: u32) -> Outcome {
    match (infinite(a), infinite(b)) {
        (None, None) => scalars(a, b, digits),
        (a, b) => Outcome::from(a == b),
    }
}

/// The sign of an infinite end.
fn infinite(expr: &Expr) -> Option<i8> {
    match expr {
        Expr::Constant(Constant::Infinity) => Some(1),
        Expr::Negative(inner) => infinite(inner).map(|sign| -sign),
        _ => None,
    }
}

/// The order of two ends; `None` if it cannot be seen.
fn order(a: &Expr, b: &Expr) -> Option<i8> {
    match (infinite(a), infinite(b)) {
        (None, None) if a == b => Some(0),
        (None, None) => sign(&Expr::Sum(vec![a.clone(), b.clone().negative()])),
        (a, b) => Some((a.unwrap_or(0) - b.unwrap_or(0)).signum()),
    }
}

fn whole_line() -> Piece {
    let high = Expr::Constant(Constant::Infinity);
    Interval { low: high.clone().negative(), high, closed: [false, false] }
}

fn point(expr: &Expr) -> Piece {
    Interval { low: expr.clone(), high: expr.clone(), closed: [true, true] }
}

/// The pieces of a set from left to right, none touching the next.
fn pieces(expr: &Expr) -> Option<Vec<Piece>> {
    match expr {
        Expr::Constant(Constant::EmptySet) => Some(Vec::new()),
        Expr::Constant(Constant::Reals) => Some(vec![whole_line()]),
        Expr::Interval(interval) => Some(vec![(**interval).clone()]),
        Expr::Tuple(parts) if parts.len() == 2 => {
            let (low, high) = (parts[0].clone(), parts[1].clone());
            Some(vec![Interval { low, high, closed: [false, false] }])
        }
        Expr::Set(parts) | Expr::List(parts) if parts.iter().all(Expr::is_scalar) => {
            joined(parts.iter().map(point).collect())
        }
        Expr::List(parts) | Expr::Union(parts) => {
            let all: Option<Vec<Vec<Piece>>> = parts.iter().map(pieces).collect();
            joined(all?.concat())
        }
        Expr::Intersection(parts) => {
            let mut all = parts.iter().map(pieces);
            let first = all.next()??;
            all.try_fold(first, |left, right| common(&left, &right?))
        }
        Expr::Difference(from, taken) => {
            let taken = complement(&pieces(taken)?)?;
            common(&pieces(from)?, &taken)
        }
        Expr::Relation(sides, signs) => condition(sides, signs),
        _ => None,
    }
}

/// Sorted, with neighbours that touch made one.
fn joined(mut parts: Vec<Piece>) -> Option<Vec<Piece>> {
    if parts.len() > 64 {
        return None;
    }
    // Insertion, since an order may be undecided.
    let mut sorted: Vec<Piece> = Vec::new();
    for part in parts.drain(..) {
        let mut at = sorted.len();
        while at > 0 && order(&part.low, &sorted[at - 1].low)? < 0 {
            at -= 1;
        }
        sorted.insert(at, part);
    }
    let mut merged: Vec<Piece> = Vec::new();
    for part in sorted {
        if let Some(last) = merged.last_mut() {
            let gap = order(&last.high, &part.low)?;
            if gap > 0 || gap == 0 && (last.closed[1] || part.closed[0]) {
                if order(&last.low, &part.low)? == 0 {
                    last.closed[0] |= part.closed[0];
                }
                match order(&part.high, &last.high)? {
                    1 => (last.high, last.closed[1]) = (part.high, part.closed[1]),
                    0 => last.closed[1] |= part.closed[1],
                    _ => {}
                }
                continue;
            }
        }
        merged.push(part);
    }
    Some(merged)
}

fn common(a: &[Piece], b: &[Piece]) -> Option<Vec<Piece>> {
    let mut found = Vec::new();
    for (x, y) in a.iter().flat_map(|x| b.iter().map(move |y| (x, y))).take(4096) {
        let (low, low_closed) = match order(&x.low, &y.low)? {
            1 => (&x.low, x.closed[0]),
            0 => (&x.low, x.closed[0] && y.closed[0]),
            _ => (&y.low, y.closed[0]),
        };
        let (high, high_closed) = match order(&x.high, &y.high)? {
            -1 => (&x.high, x.closed[1]),
            0 => (&x.high, x.closed[1] && y.closed[1]),
            _ => (&y.high, y.closed[1]),
        };
        let width = order(low, high)?;
        if width < 0 || width == 0 && low_closed && high_closed {
            let (low, high) = (low.clone(), high.clone());
            found.push(Interval { low, high, closed: [low_closed, high_closed] });
        }
    }
    joined(found)
}

fn complement(parts: &[Piece]) -> Option<Vec<Piece>> {
    let mut rest = vec![whole_line()];
    for part in parts {
        let Interval { low: start, high: end, .. } = whole_line();
        let left =
            Interval { low: start, high: part.low.clone(), closed: [false, !part.closed[0]] };
        let right =
            Interval { low: part.high.clone(), high: end, closed: [!part.closed[1], false] };
        let outside: Vec<Piece> = [left, right]
            .into_iter()
            .filter(|piece| order(&piece.low, &piece.high) == Some(-1))
            .collect();
        rest = common(&rest, &outside)?;
    }
    Some(rest)
}

/// `x < 2`, `-1 ≤ x < 3`, `x ≠ 0`, `x ∈ S`.
fn condition(sides: &[Expr], signs: &[Sign]) -> Option<Vec<Piece>> {
    let is_name = |expr: &Expr| matches!(expr, Expr::Symbol(_));
    match (sides, signs) {
        ([name, set], [Sign::In]) if is_name(name) => pieces(set),
        ([name, bound], [sign]) if is_name(name) => half(bound, *sign),
        ([bound, name], [sign]) if is_name(name) => half(bound, flipped(*sign)),
        ([low, name, high], [first, second]) if is_name(name) => {
            common(&half(low, flipped(*first))?, &half(high, *second)?)
        }
        _ => None,
    }
}

fn flipped(sign: Sign) -> Sign {
    match sign {
        Sign::Less => Sign::Greater,
        Sign::LessOrEqual => Sign::GreaterOrEqual,
        Sign::Greater => Sign::Less,
        Sign::GreaterOrEqual => Sign::LessOrEqual,
        other => other,
    }
}

/// All `x` that stand so to a bound.
fn half(bound: &Expr, sign: Sign) -> Option<Vec<Piece>> {
    let Interval { low, high, .. } = whole_line();
    let bound = bound.clone();
    Some(match sign {
        Sign::Less => vec![Interval { low, high: bound, closed: [false, false] }],
        Sign::LessOrEqual => vec![Interval { low, high: bound, closed: [false, true] }],
        Sign::Greater => vec![Interval { low: bound, high, closed: [false, false] }],
        Sign::GreaterOrEqual => vec![Interval { low: bound, high, closed: [true, false] }],
        Sign::Equal | Sign::Approximately => vec![point(&bound)],
        Sign::NotEqual => complement(&[point(&bound)])?,
        Sign::In => return None,
    })
}

/// The entries of a matrix, or of a sum or multiple of some.
pub(super) fn matrix(expr: &Expr) -> Option<Vec<Vec<Expr>>> {
    match expr {
        Expr::Matrix(rows) => Some(rows.clone()),
        Expr::Negative(inner) => Some(map(&matrix(inner)?, |entry| entry.clone().negative())),
        Expr::Sum(terms) => {
            let mut all = terms.iter().map(matrix);
            let first = all.next()??;
            all.try_fold(first, |sum, term| {
                let term = term?;
                let fits = sum.len() == term.len()
                    && sum.iter().zip(&term).all(|(a, b)| a.len() == b.len());
                fits.then(|| {
                    let rows = sum.into_iter().zip(term);
                    let add = |(a, b)| Expr::Sum(vec![a, b]);
                    rows.map(|(a, b)| a.into_iter().zip(b).map(add).collect()).collect()
                })
            })
        }
        Expr::Product(factors) => {
            // Each factor is looked at once: nested products would double the work at each level.
            let mut only = None;
            let mut scalars = Vec::new();
            for factor in factors {
                match matrix(factor) {
                    Some(rows) if only.is_none() => only = Some(rows),
                    Some(_) => return None,
                    None => scalars.push(factor),
                }
            }
            let only = only?;
            let scale: Vec<Expr> = scalars.into_iter().cloned().collect();
            scale.iter().all(Expr::is_scalar).then_some(())?;
            Some(map(&only, |entry| {
                Expr::Product(scale.iter().cloned().chain([entry.clone()]).collect())
            }))
        }
        _ => None,
    }
}

fn map(rows: &[Vec<Expr>], f: impl Fn(&Expr) -> Expr) -> Vec<Vec<Expr>> {
    rows.iter().map(|row| row.iter().map(&f).collect()).collect()
}
