//! What an equation states the value of: `m + n = 10` answers "what is m + n?" with 10.

use super::{
    compare::constant,
    expr::{Expr, Sign},
    scalar::{Outcome, rounds_to, scalars},
};

/// The value that an equation gives to what stands on its other side.
///
/// That side is made of names only, or of several names and numerals where the value is a constant;
/// `x + 2 = 5` gives no value but an `x`. An identity has the value of both sides.
pub(super) fn value(expr: &Expr, digits: u32) -> Option<&Expr> {
    let Expr::Relation(sides, signs) = expr else { return None };
    if !signs.iter().all(|sign| *sign == Sign::Equal) {
        return None;
    }
    let (first, last) = (sides.first()?, sides.last()?);
    if states(first, last) || first.is_scalar() && scalars(first, last, digits) == Outcome::Same {
        return Some(last);
    }
    (constant(first) && states(last, first)).then_some(first)
}

fn states(side: &Expr, value: &Expr) -> bool {
    let mut names = Names::default();
    // `2x + 3y = 0` is an equation that was brought to this form.
    let normal = *value == Expr::int(0) && !side.is_name();
    names.visit(side).is_some()
        && !(normal && matches!(side, Expr::Sum(_) | Expr::Product(_)))
        && match names.found.len() {
            0 => false,
            1 => !names.numerals,
            _ => !names.numerals || constant(value),
        }
}

/// The names in an expression, and whether numerals stand beside them as terms or factors.
#[derive(Default)]
struct Names<'a> {
    found: Vec<&'a str>,
    numerals: bool,
}

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a str) {
        if !self.found.contains(&name) {
            self.found.push(name);
        }
    }

    /// `None` for what has no value.
    fn visit(&mut self, expr: &'a Expr) -> Option<()> {
        match expr {
            Expr::Symbol(name) | Expr::Word(name) | Expr::Opaque(name, _) => self.add(name),
            Expr::Bound { kind, .. } => self.add(kind),
            Expr::Constant(_) => {}
            Expr::Number(_) | Expr::Based(..) => self.numerals = true,
            Expr::Sum(parts) | Expr::Product(parts) => {
                parts.iter().try_for_each(|part| self.visit(part))?;
            }
            Expr::Negative(inner)
            | Expr::Inverse(inner)
            | Expr::Factorial(inner)
            | Expr::Degrees(inner)
            | Expr::Percent(inner)
            | Expr::Root(inner, _) => self.visit(inner)?,
            // `x^2`, `sin 2x`, `P(X > 3)`: numerals inside are part of what is named.
            Expr::Power(base, exponent) => {
                self.visit(base)?;
                self.inside([&**exponent])?;
            }
            Expr::Function(_, inner) => self.inside([&**inner])?,
            Expr::Binomial(n, k) => self.inside([&**n, &**k])?,
            Expr::Relation(parts, _) | Expr::Tuple(parts) | Expr::List(parts) => {
                self.inside(parts)?
            }
            _ => return None,
        }
        Some(())
    }

    fn inside(&mut self, parts: impl IntoIterator<Item = &'a Expr>) -> Option<()> {
        let around = self.numerals;
        parts.into_iter().try_for_each(|part| self.visit(part))?;
        self.numerals = around;
        Some(())
    }
}

/// The expression with all that stands before `≈` left out, where that is what the rest rounds.
pub(super) fn rounded(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Relation(sides, signs) => {
            let at = signs.iter().rposition(|sign| *sign == Sign::Approximately)?;
            let (exact, last) = (&sides[at], sides.last()?);
            (constant(exact) && rounds_to(exact, last)).then(|| match &sides[0] {
                name if at > 0 && name.is_name() => {
                    Expr::Relation(vec![name.clone(), last.clone()], vec![Sign::Equal])
                }
                _ => last.clone(),
            })
        }
        Expr::List(parts) => {
            let changed: Vec<Option<Expr>> = parts.iter().map(rounded).collect();
            changed.iter().any(Option::is_some).then(|| {
                let kept = changed.into_iter().zip(parts);
                Expr::List(kept.map(|(new, old)| new.unwrap_or_else(|| old.clone())).collect())
            })
        }
        _ => None,
    }
}
