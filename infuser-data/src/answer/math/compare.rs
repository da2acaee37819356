//! Whether two answers are equal: equations, collections and all.

use super::{
    collect::conditions,
    expr::{Constant, Expr, Sign, Time},
    scalar::{Outcome, proportional, scalars},
    sets, statement,
};

/// Longer collections are not compared: the work grows with the square.
const MAX_PARTS: usize = 64;
/// In longer ones, other forms of a part are parts.
const MAX_FORMS: usize = 8;

/// An answer with what it is called set aside.
struct Named<'a> {
    name: Option<&'a Expr>,
    value: &'a Expr,
}

/// Compares a reference with an answer; a decimal of at least `digits` significant digits may stand
/// for a value that has no such form.
pub(super) fn answers(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    let exact = compare(&simplified(gold), &simplified(pred), digits);
    // 3√2 ≈ 4.24 says both.
    let (short_gold, short_pred) = (statement::rounded(gold), statement::rounded(pred));
    if exact == Outcome::Same || short_gold.is_none() && short_pred.is_none() {
        return exact;
    }
    let gold = short_gold.as_ref().unwrap_or(gold);
    let pred = short_pred.as_ref().unwrap_or(pred);
    exact.or(|| compare(&simplified(gold), &simplified(pred), digits))
}

fn compare(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    if gold == pred {
        return Outcome::Same;
    }
    let (a, mut b) = (named(gold), named(pred));
    if b.name.is_none() && gold.is_scalar() {
        b.value = statement::value(pred, digits).unwrap_or(b.value);
    }
    match (a.name, b.name) {
        (Some(x), Some(y)) => {
            let same = values(a.value, b.value, digits);
            // `x = 5` is not `y = 5`; what a function's argument is called says nothing.
            let differ = matches!((x, y), (Expr::Symbol(x), Expr::Symbol(y)) if x != y);
            if same == Outcome::Same && !differ {
                return Outcome::Same;
            }
            let whole =
                if is_equation(gold) && is_equation(pred) { relations(gold, pred) } else { same };
            // f(x) = x² and f(t) = t² are one, and this does not see it.
            let renamed = x != y && !differ && !constant(a.value);
            if whole == Outcome::Different && renamed { Outcome::Unknown } else { whole }
        }
        (None, None) => values(a.value, b.value, digits),
        // `y = -x/2` and `x + 2y = 0` are one equation.
        _ if is_equation(a.value) || is_equation(b.value) => relations(gold, pred),
        _ => values(a.value, b.value, digits),
    }
}

fn is_equation(expr: &Expr) -> bool {
    matches!(expr, Expr::Relation(_, signs) if signs.contains(&Sign::Equal))
}

/// The set that conditions parted by commas describe: where all hold, if they can.
fn joint(conditions: &[Expr]) -> Expr {
    let all = Expr::Intersection(conditions.to_vec());
    let empty = Expr::Constant(Constant::EmptySet);
    if sets::compare(&all, &empty, 0) == Outcome::Same {
        Expr::Union(conditions.to_vec())
    } else {
        all
    }
}

fn members(set: &Expr) -> &[Expr] {
    if let Expr::Set(parts) = set { parts } else { &[] }
}

/// `1 < x < 3`
fn is_condition(expr: &Expr) -> bool {
    conditions(&[expr.clone(), expr.clone()])
}

/// The name and the value of `x = 1`, `x = … = 1`, `f(x) = 1`, `1 = x`, `x ∈ S`.
fn named(expr: &Expr) -> Named<'_> {
    let whole = Named { name: None, value: expr };
    let Expr::Relation(sides, signs) = expr else { return whole };
    let (Some(first), Some(last)) = (sides.first(), sides.last()) else { return whole };
    let equal = signs.iter().all(|sign| matches!(sign, Sign::Equal | Sign::Approximately));
    if signs.as_slice() == [Sign::In] && first.is_name() || equal && first.is_name() {
        return Named { name: Some(first), value: last };
    }
    if equal && last.is_name() {
        return Named { name: Some(last), value: first };
    }
    // 28 + 32 = 60: a sum and its result.
    if equal && constant(first) {
        return Named { name: None, value: last };
    }
    whole
}

pub(super) fn constant(expr: &Expr) -> bool {
    super::value::evaluate(expr, 0).is_some_and(|evaluated| !evaluated.symbols)
}

/// Without approximations beside exact values, with matrices computed.
fn simplified(expr: &Expr) -> Expr {
    match expr {
        Expr::Relation(sides, signs) => {
            let cut = signs.iter().position(|sign| *sign == Sign::Approximately);
            let keep = match cut {
                // x ≈ 3 has nothing else to say.
                Some(0) if sides[0].is_name() => sides.len(),
                Some(at) => at + 1,
                None => sides.len(),
            };
            let sides: Vec<Expr> = sides[..keep].iter().map(simplified).collect();
            match sides.len() {
                1 => sides.into_iter().next().unwrap_or(Expr::Tuple(Vec::new())),
                len => Expr::Relation(sides, signs[..len - 1].to_vec()),
            }
        }
        Expr::Tuple(parts) => Expr::Tuple(parts.iter().map(simplified).collect()),
        Expr::List(parts) => Expr::List(parts.iter().map(simplified).collect()),
        Expr::Set(parts) => Expr::Set(parts.iter().map(simplified).collect()),
        Expr::Sum(terms)
            if let [from @ Expr::Constant(Constant::Reals), taken] = terms.as_slice() =>
        {
            match taken {
                Expr::Negative(taken) if matches!(**taken, Expr::Set(_)) => {
                    Expr::Difference(from.clone().into(), taken.clone())
                }
                _ => expr.clone(),
            }
        }
        Expr::Sum(_) | Expr::Product(_) | Expr::Negative(_) => {
            sets::matrix(expr).map_or_else(|| expr.clone(), Expr::Matrix)
        }
        other => other.clone(),
    }
}

fn values(gold: &Expr, pred: &Expr, digits: u32) -> Outcome {
    use Expr::{Interval, List, Matrix, Relation, Set, Tuple};
    match (gold, pred) {
        _ if gold == pred => Outcome::Same,
        (List(a), List(b)) | (List(a), Set(b)) | (Set(a), List(b)) | (Set(a), Set(b)) => {
            unordered(a, b, digits)
        }
        (Expr::Ratio(a), Expr::Ratio(b)) => ratios(a, b, digits),
        (Expr::Time(time), other) | (other, Expr::Time(time)) => times(*time, other, digits),
        // One value in two forms.
        (List(parts), other) | (other, List(parts))
            if other.is_scalar() && distinct(parts, digits).len() == 1 =>
        {
            compare(&parts[0], other, digits)
        }
        // Between conditions a comma says "and" or "or".
        (other, List(parts)) | (List(parts), other)
            if conditions(parts) && (sets::is_set(other) || is_condition(other)) =>
        {
            sets::compare(&joint(parts), other, digits)
        }
        (Tuple(a), Tuple(b)) | (Tuple(a), List(b)) | (List(a), Tuple(b)) => ordered(a, b, digits),
        (Tuple(a), Set(b)) | (Set(a), Tuple(b)) => ordered(a, b, digits),
        (Matrix(a), Matrix(b)) => {
            let same = a.len() == b.len();
            Outcome::from(same).and(|| {
                let rows = a.iter().zip(b);
                rows.fold(Outcome::Same, |all, (a, b)| all.and(|| ordered(a, b, digits)))
            })
        }
        (Matrix(rows), other) | (other, Matrix(rows)) if bracketed(other).is_some() => {
            match (vector(rows), nested(other), bracketed(other)) {
                (_, Some(other), _) => values(&Matrix(rows.clone()), &Matrix(other), digits),
                (Some(column), _, Some(parts)) => ordered(&column, &parts, digits),
                _ => Outcome::Different,
            }
        }
        // A list of two in square brackets looks like an interval.
        (List(parts), Interval(_)) if bracketed(pred).is_some_and(|ends| ends.len() == 2) => {
            ordered(parts, &bracketed(pred).unwrap_or_default(), digits)
        }
        // The reference may mean the interval, of which the answer has the ends only.
        (Interval(_), List(parts)) if bracketed(gold).is_some() => {
            match ordered(&bracketed(gold).unwrap_or_default(), parts, digits) {
                Outcome::Same => Outcome::Unknown,
                other => other,
            }
        }
        (Relation(..), Relation(..)) => relations(gold, pred),
        // {2} ∪ {3} are the values 2 and 3.
        (Expr::Union(sets), List(parts)) | (List(parts), Expr::Union(sets))
            if sets.iter().all(|set| matches!(set, Set(_))) =>
        {
            let points: Vec<Expr> = sets.iter().flat_map(members).cloned().collect();
            unordered(&points, parts, digits)
        }
        (Expr::Union(parts) | Expr::Intersection(parts), Relation(..)) if conditions(parts) => {
            sets::compare(gold, pred, digits)
        }
        // An inequality may only repeat the question; the set is what was asked for.
        (other, Relation(..)) if sets::is_set(other) => match sets::compare(gold, pred, digits) {
            Outcome::Same => Outcome::Unknown,
            outcome => outcome,
        },
        (Relation(..), other) if sets::is_set(other) => sets::compare(gold, pred, digits),
        (Interval(a), Tuple(b)) | (Tuple(b), Interval(a)) if a.closed == [false, false] => {
            ordered(&[a.low.clone(), a.high.clone()], b, digits)
        }
        (Set(parts), other) | (other, Set(parts)) if parts.len() == 1 && other.is_scalar() => {
            compare(&parts[0], other, digits)
        }
        _ if sets::is_set(gold) && sets::is_set(pred) => sets::compare(gold, pred, digits),
        (Expr::Constant(Constant::Infinity), _) | (_, Expr::Constant(Constant::Infinity)) => {
            Outcome::Different
        }
        (Expr::Negative(a), Expr::Negative(b)) if !a.is_scalar() || !b.is_scalar() => {
            values(a, b, digits)
        }
        _ => match (text(gold), text(pred)) {
            (Some(a), Some(b)) => Outcome::from(a == b),
            _ if gold.is_scalar() && pred.is_scalar() => scalars(gold, pred, digits),
            _ => Outcome::Different,
        },
    }
}

/// The parts of a row: `(1, 2)`, `1, 2`, and `[1, 2]`, which is read as a closed interval.
fn bracketed(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(parts) | Expr::List(parts) => Some(parts.clone()),
        Expr::Interval(ends) if ends.closed == [true, true] => {
            Some(vec![ends.low.clone(), ends.high.clone()])
        }
        _ => None,
    }
}

/// The rows of a matrix in brackets: `[[1, 2], [3, 4]]`.
fn nested(expr: &Expr) -> Option<Vec<Vec<Expr>>> {
    bracketed(expr)?.iter().map(bracketed).collect()
}

/// The entries of a matrix of one row or column.
fn vector(rows: &[Vec<Expr>]) -> Option<Vec<Expr>> {
    let one = rows.len() == 1 || rows.iter().all(|row| row.len() == 1);
    one.then(|| rows.concat())
}

/// A word, or a letter that may be one.
fn text(expr: &Expr) -> Option<String> {
    let plain = |text: &str| {
        let kept = text.chars().filter(|next| next.is_alphanumeric());
        kept.flat_map(char::to_lowercase).collect()
    };
    match expr {
        Expr::Word(word) => Some(plain(word)),
        Expr::Symbol(name) if name.chars().count() == 1 => Some(name.clone()),
        _ => None,
    }
}

/// Parts of one size; `0:30:00` is a time, of which every part counts.
fn ratios(gold: &[Expr], pred: &[Expr], digits: u32) -> Outcome {
    let zero = |part: &Expr| *part == Expr::int(0);
    if gold.len() != pred.len() || gold.iter().chain(pred).any(zero) {
        return ordered(gold, pred, digits);
    }
    let product = |a: &Expr, b: &Expr| Expr::Product(vec![a.clone(), b.clone()]);
    gold.iter().zip(pred).skip(1).fold(Outcome::Same, |all, (a, b)| {
        all.and(|| scalars(&product(a, &pred[0]), &product(b, &gold[0]), digits))
    })
}

/// A time of day with another one, or with one that leaves the half of the day out.
fn times(time: Time, other: &Expr, digits: u32) -> Outcome {
    if let Expr::Time(other) = other {
        let seconds = |time: Time| time.rest.map(|part| part.unwrap_or(0));
        let same = (time.hour, time.afternoon) == (other.hour, other.afternoon);
        return Outcome::from(same && seconds(time) == seconds(*other));
    }
    let hours = [time.hour, time.hour % 12 + if time.afternoon { 12 } else { 0 }].map(Expr::int);
    let same = hours.into_iter().any(|hour| match time.rest.map(|part| part.map(Expr::int)) {
        [Some(minute), Some(second)] => *other == Expr::Ratio(vec![hour, minute, second]),
        [Some(minute), _] => *other == Expr::Product(vec![hour, Expr::Inverse(minute.into())]),
        _ => other.is_scalar() && scalars(&hour, other, digits) == Outcome::Same,
    });
    Outcome::from(same)
}

fn ordered(gold: &[Expr], pred: &[Expr], digits: u32) -> Outcome {
    if gold.len() != pred.len() || gold.len() > MAX_PARTS {
        return Outcome::Different;
    }
    gold.iter().zip(pred).fold(Outcome::Same, |all, (a, b)| all.and(|| compare(a, b, digits)))
}

/// Every part of one has its own equal in the other.
fn unordered(gold: &[Expr], pred: &[Expr], digits: u32) -> Outcome {
    let (gold, pred) = (distinct(gold, digits), distinct(pred, digits));
    if gold.len().max(pred.len()) > MAX_PARTS {
        return Outcome::Unknown;
    }
    if gold.len() != pred.len() {
        return Outcome::Different;
    }
    let mut taken = vec![false; pred.len()];
    let mut result = Outcome::Same;
    for a in &gold {
        let mut best = Outcome::Different;
        for (i, b) in pred.iter().enumerate().filter(|(i, _)| !taken[*i]).collect::<Vec<_>>() {
            match compare(a, b, digits) {
                Outcome::Same => {
                    taken[i] = true;
                    best = Outcome::Same;
                    break;
                }
                Outcome::Unknown => best = Outcome::Unknown,
                Outcome::Different => {}
            }
        }
        result = result.and(|| best);
    }
    result
}

/// Without repetitions: `x = 2, 2` names one solution, and so does `1/2, 0.5`.
fn distinct(parts: &[Expr], digits: u32) -> Vec<&Expr> {
    let by_value = parts.len() <= MAX_FORMS;
    let same = |a: &Expr, b: &Expr| {
        a == b
            || by_value && a.is_scalar() && b.is_scalar() && scalars(a, b, digits) == Outcome::Same
    };
    let mut kept: Vec<&Expr> = Vec::new();
    for part in parts.iter().take(MAX_PARTS + 1) {
        if !kept.iter().any(|other| same(other, part)) {
            kept.push(part);
        }
    }
    kept
}

/// Equations and inequalities: equal up to a factor, and to the side they are read from.
fn relations(gold: &Expr, pred: &Expr) -> Outcome {
    let (Some(a), Some(b)) = (steps(gold), steps(pred)) else { return Outcome::Different };
    if a.len() != b.len() {
        return Outcome::Different;
    }
    let straight = a.iter().zip(&b).fold(Outcome::Same, |all, (a, b)| all.and(|| step(a, b)));
    straight.or(|| {
        a.iter().zip(b.iter().rev()).fold(Outcome::Same, |all, (a, b)| all.and(|| step(a, b)))
    })
}

/// `left - right` and how it stands to zero.
struct Step {
    difference: Expr,
    sign: Sign,
}

fn steps(expr: &Expr) -> Option<Vec<Step>> {
    let Expr::Relation(sides, signs) = expr else { return None };
    // In a chain of equations only its ends matter.
    if signs.iter().all(|sign| *sign == Sign::Equal) {
        let ends = [sides.first()?.clone(), sides.last()?.clone()];
        return Some(vec![difference(&ends[0], &ends[1], Sign::Equal)?]);
    }
    sides.windows(2).zip(signs).map(|(pair, sign)| difference(&pair[0], &pair[1], *sign)).collect()
}

fn difference(left: &Expr, right: &Expr, sign: Sign) -> Option<Step> {
    if !left.is_scalar() || !right.is_scalar() || sign == Sign::In {
        return None;
    }
    let difference = Expr::Sum(vec![left.clone(), right.clone().negative()]);
    // Everything is brought to "above zero".
    Some(match sign {
        Sign::Less => Step { difference: difference.negative(), sign: Sign::Greater },
        Sign::LessOrEqual => Step { difference: difference.negative(), sign: Sign::GreaterOrEqual },
        sign => Step { difference, sign },
    })
}

fn step(a: &Step, b: &Step) -> Outcome {
    if a.sign != b.sign {
        return Outcome::Different;
    }
    let directed = matches!(a.sign, Sign::Greater | Sign::GreaterOrEqual);
    match proportional(&a.difference, &b.difference) {
        Some((true, sign)) => Outcome::from(sign > 0 || !directed),
        // Other forms of one condition exist, but no factor joins them.
        Some((false, _)) => Outcome::Different,
        None => Outcome::Unknown,
    }
}
