//! What an expression is worth: exactly where it is a fraction, as residues where it is rational in
//! its symbols, and approximately everywhere else.

use super::{
    approx::Approx,
    expr::{Constant, Expr, Function},
    field::{Residue, mix},
    number::Ratio,
};

/// Where symbols are given values. The first ones are positive, since roots and logarithms are
/// mostly meant there; at the last one all symbols are negative.
pub(super) const POINTS: usize = 4;

/// Steps of one evaluation, at most. A name whose arguments are looked at twice doubles the work with
/// every level of nesting.
const STEPS: usize = 4000;

/// A value at one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Value {
    /// The value itself, if it is a fraction of small numbers; the rest is then left out.
    pub(super) ratio: Option<Ratio>,
    residue: Option<Residue>,
    approx: Option<Approx>,
}

/// The value at one point, and what it rests on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Evaluated {
    pub(super) value: Value,
    /// A symbol occurs.
    pub(super) symbols: bool,
    /// Something occurs of which only the arguments are known.
    pub(super) opaque: bool,
    /// A root or logarithm left the real line.
    pub(super) complex: bool,
}

impl Value {
    const UNKNOWN: Self = Self { ratio: None, residue: None, approx: None };

    fn of(ratio: Ratio) -> Self {
        Self { ratio: Some(ratio), residue: None, approx: None }
    }

    pub(super) fn residue(self) -> Option<Residue> {
        match self.ratio {
            Some(ratio) => ratio.residue(),
            None => self.residue,
        }
    }

    pub(super) fn approx(self) -> Option<Approx> {
        let approx = match self.ratio {
            Some(ratio) => Some(ratio.approx()),
            None => self.approx,
        };
        approx.filter(|approx| approx.is_finite())
    }

    fn int(self) -> Option<i64> {
        self.ratio.and_then(Ratio::as_int)
    }

    fn approximate(approx: Option<Approx>) -> Self {
        Self { ratio: None, residue: None, approx }
    }

    fn both(
        self,
        other: Self,
        exact: impl Fn(Ratio, Ratio) -> Option<Ratio>,
        residue: impl Fn(Residue, Residue) -> Residue,
        approx: impl Fn(Approx, Approx) -> Approx,
    ) -> Self {
        if let Some(ratio) = self.ratio.zip(other.ratio).and_then(|(a, b)| exact(a, b)) {
            return Self::of(ratio);
        }
        Self {
            ratio: None,
            residue: self.residue().zip(other.residue()).map(|(a, b)| residue(a, b)),
            approx: self.approx().zip(other.approx()).map(|(a, b)| approx(a, b)),
        }
    }

    fn add(self, other: Self) -> Self {
        self.both(other, Ratio::add, Residue::add, Approx::add)
    }

    fn mul(self, other: Self) -> Self {
        self.both(other, Ratio::mul, Residue::mul, Approx::mul)
    }

    fn neg(self) -> Self {
        self.mul(Self::of(Ratio::int(-1)))
    }

    fn inverse(self) -> Self {
        match self.ratio {
            Some(ratio) => ratio.inverse().map_or(Self::UNKNOWN, Self::of),
            None => Self {
                ratio: None,
                residue: self.residue.and_then(Residue::inverse),
                approx: self.approx().and_then(Approx::inverse),
            },
        }
    }

    fn powi(self, exponent: i64) -> Self {
        if let Some(ratio) = self.ratio.and_then(|ratio| ratio.pow(exponent)) {
            return Self::of(ratio);
        }
        Self {
            ratio: None,
            residue: self.residue().and_then(|residue| residue.pow(exponent)),
            approx: self.approx().and_then(|approx| approx.powi(exponent)),
        }
    }

    fn pow(self, exponent: Self) -> Self {
        if let Some(exponent) = exponent.int() {
            return self.powi(exponent);
        }
        let fractions = self.ratio.zip(exponent.ratio).filter(|(base, _)| base.num >= 0);
        let exact = fractions.and_then(|(base, power)| base.root(power.den)?.pow(power.num));
        if let Some(exact) = exact {
            return Self::of(exact);
        }
        // An exponent that is no small number leaves nothing to compute with.
        let pair = self.approx().zip(exponent.approx());
        Self::approximate(pair.and_then(|(base, exponent)| base.pow(exponent)))
    }

    fn root(self, degree: Self) -> Self {
        let Some(degree) = degree.int() else { return self.pow(degree.inverse()) };
        if let Some(exact) = self.ratio.and_then(|ratio| ratio.root(degree)) {
            return Self::of(exact);
        }
        Self::approximate(self.approx().and_then(|approx| approx.root(degree)))
    }
}

/// Evaluates at points under a bound on the work.
pub(super) struct Evaluator<'a> {
    point: usize,
    symbols: bool,
    opaque: bool,
    complex: bool,
    /// Work that may still be done, in steps of about one multiplication.
    steps: usize,
    /// Names that a sum or an integral binds: what they are called does not matter.
    bound: Vec<&'a str>,
}

/// The value of a scalar at a point below [`POINTS`]; `None` for anything else.
pub(super) fn evaluate(expr: &Expr, point: usize) -> Option<Evaluated> {
    let mut evaluator = Evaluator {
        point,
        symbols: false,
        opaque: false,
        complex: false,
        steps: STEPS,
        bound: Vec::new(),
    };
    let value = evaluator.value(expr, false);
    let Evaluator { symbols, opaque, complex, steps, .. } = evaluator;
    let value = if steps == 0 { Value::UNKNOWN } else { value? };
    Some(Evaluated { value, symbols, opaque, complex })
}

impl<'a> Evaluator<'a> {
    /// `angle`: whether a degree is a part of a circle here, rather than a unit.
    fn value(&mut self, expr: &'a Expr, angle: bool) -> Option<Value> {
        self.spend(1)?;
        Some(match expr {
            Expr::Number(number) => Value {
                ratio: number.ratio,
                residue: Some(number.residue),
                approx: Some(number.approx),
            },
            Expr::Symbol(name) => self.symbol(name),
            // `\sum_{i=1}^n i` counts with the imaginary unit's letter.
            Expr::Constant(Constant::I) if self.bound.contains(&"i") => self.symbol("i"),
            Expr::Constant(constant) => constant_value(*constant)?,
            Expr::Sum(terms) => {
                let mut sum = Value::of(Ratio::int(0));
                for term in terms {
                    sum = sum.add(self.value(term, angle)?);
                }
                sum
            }
            Expr::Product(factors) => {
                let mut product = Value::of(Ratio::int(1));
                for factor in factors {
                    product = product.mul(self.value(factor, angle)?);
                }
                product
            }
            Expr::Negative(inner) => self.value(inner, angle)?.neg(),
            Expr::Inverse(inner) => self.value(inner, angle)?.inverse(),
            Expr::Power(base, exponent) => {
                let (base, exponent) = (self.value(base, angle)?, self.value(exponent, false)?);
                let value = base.pow(exponent);
                self.watch(base, value)
            }
            Expr::Root(inner, degree) => {
                let (inner, degree) = (self.value(inner, false)?, self.value(degree, false)?);
                let value = inner.root(degree);
                self.watch(inner, value)
            }
            Expr::Function(function, argument) => self.function(*function, argument)?,
            Expr::Factorial(inner) => self.factorial(inner)?,
            Expr::Binomial(n, k) => self.binomial(n, k)?,
            Expr::Degrees(inner) => {
                let inner = self.value(inner, angle)?;
                let turn = Value::of(Ratio { num: 1, den: 180 }).mul(constant_value(Constant::Pi)?);
                if angle { inner.mul(turn) } else { inner }
            }
            Expr::Percent(inner) => {
                self.value(inner, angle)?.mul(Value::of(Ratio { num: 1, den: 100 }))
            }
            Expr::Opaque(name, arguments) => self.unknown(name, arguments)?,
            Expr::Bound { kind, variable, parts } => {
                let depth = self.bound.len();
                self.bound.extend(variable.as_deref());
                let value = self.unknown(kind, parts);
                self.bound.truncate(depth);
                value?
            }
            Expr::Based(digits, base) => {
                let whole = i64::from_str_radix(digits, *base).ok()?;
                Value::of(Ratio::int(whole))
            }
            _ => return None,
        })
    }

    /// `None` once all steps are spent.
    fn spend(&mut self, steps: usize) -> Option<()> {
        self.steps = self.steps.saturating_sub(steps);
        (self.steps > 0).then_some(())
    }

    /// Notes where a real number became a complex one.
    fn watch(&mut self, from: Value, to: Value) -> Value {
        let real = |value: Value| value.approx().is_some_and(Approx::is_real);
        self.complex |= real(from) && to.approx().is_some() && !real(to);
        to
    }

    fn symbol(&mut self, name: &str) -> Value {
        self.symbols = true;
        let name = match self.bound.iter().rposition(|bound| *bound == name) {
            Some(depth) => hash_text(&format!("bound {depth}")),
            None => hash_text(name),
        };
        self.at(name)
    }

    /// The value that a name stands for at this point.
    fn at(&self, name: u64) -> Value {
        let hash = mix(name ^ mix(self.point as u64 + 1));
        let part = (hash >> 11) as f64 / (1_u64 << 53) as f64;
        let size = 0.4 + 2.2 * part;
        let negative = self.point + 1 == POINTS;
        let approx = Approx::exact(if negative { -size } else { size });
        Value { ratio: None, residue: Some(Residue::from_hash(hash)), approx: Some(approx) }
    }

    /// A value that depends on the name and the values of the arguments, in a way nobody knows.
    fn unknown(&mut self, name: &str, arguments: &'a [Expr]) -> Option<Value> {
        let mut hash = hash_text(name);
        for argument in arguments {
            hash = mix(hash ^ self.fingerprint(argument)?);
        }
        self.opaque = true;
        self.symbols = true;
        Some(self.at(hash))
    }

    fn fingerprint(&mut self, expr: &'a Expr) -> Option<u64> {
        match expr {
            Expr::Word(word) => Some(hash_text(word)),
            Expr::Constant(Constant::Infinity) => Some(hash_text("infinity")),
            Expr::Tuple(parts) | Expr::List(parts) | Expr::Set(parts) => {
                let mut hash = hash_text("parts");
                for part in parts {
                    hash = mix(hash ^ self.fingerprint(part)?);
                }
                Some(hash)
            }
            Expr::Relation(sides, signs) => {
                let mut hash = hash_text(&format!("{signs:?}"));
                for side in sides {
                    hash = mix(hash ^ self.fingerprint(side)?);
                }
                Some(hash)
            }
            Expr::Negative(inner) if !inner.is_scalar() => Some(!self.fingerprint(inner)?),
            _ => {
                let value = self.value(expr, false)?;
                value.residue().map(Residue::hash).or_else(|| {
                    // Nine digits name the value; a difference beyond them is not seen.
                    let Approx { re, im, .. } = value.approx()?;
                    Some(hash_text(&format!("{re:.9e} {im:.9e}")))
                })
            }
        }
    }

    fn function(&mut self, function: Function, argument: &'a Expr) -> Option<Value> {
        if let Expr::Tuple(parts) | Expr::Set(parts) | Expr::List(parts) = argument {
            return self.of_many(function, parts);
        }
        let value = self.value(argument, function.takes_angles())?;
        let result = apply(function, value);
        if matches!(function, Function::Max | Function::Min | Function::Gcd | Function::Lcm) {
            return Some(value);
        }
        Some(self.watch(value, result))
    }

    /// `max(1, 2)`, `gcd(12, 18)`.
    fn of_many(&mut self, function: Function, parts: &'a [Expr]) -> Option<Value> {
        let mut ratios = Vec::new();
        for part in parts {
            ratios.push(self.value(part, false)?.ratio);
        }
        let known: Option<Vec<Ratio>> = ratios.into_iter().collect();
        let order = |a: &Ratio, b: &Ratio| {
            (i128::from(a.num) * i128::from(b.den)).cmp(&(i128::from(b.num) * i128::from(a.den)))
        };
        let found = known.and_then(|known| match function {
            Function::Max => known.into_iter().max_by(order),
            Function::Min => known.into_iter().min_by(order),
            Function::Gcd | Function::Lcm => {
                let ints: Option<Vec<i64>> = known.into_iter().map(Ratio::as_int).collect();
                ints?
                    .into_iter()
                    .try_fold(None, |all, int| {
                        let int = int.checked_abs()?;
                        Some(Some(match all {
                            None => int,
                            Some(all) if function == Function::Gcd => gcd(all, int),
                            Some(all) => (all / gcd(all, int).max(1)).checked_mul(int)?,
                        }))
                    })?
                    .map(Ratio::int)
            }
            _ => None,
        });
        match found {
            Some(ratio) => Some(Value::of(ratio)),
            None => self.unknown(&format!("{function:?}"), parts),
        }
    }

    fn factorial(&mut self, inner: &'a Expr) -> Option<Value> {
        let value = self.value(inner, false)?;
        match value.int() {
            Some(n @ 0..=1000) => {
                self.spend(n as usize)?;
                let one = Value::of(Ratio::int(1));
                Some((1..=n).fold(one, |all, k| all.mul(Value::of(Ratio::int(k)))))
            }
            Some(_) => Some(Value::UNKNOWN),
            None => self.unknown("!", std::slice::from_ref(inner)),
        }
    }

    /// `n (n-1) … (n-k+1) / k!`, for any `n`.
    fn binomial(&mut self, n: &'a Expr, k: &'a Expr) -> Option<Value> {
        let (top, below) = (self.value(n, false)?, self.value(k, false)?);
        let below = match (top.int(), below.int()) {
            (Some(n), Some(k)) if k >= 0 && n >= k => Some(k.min(n - k)),
            (_, below) => below,
        };
        match below {
            Some(k @ 0..=400) => {
                self.spend(2 * k as usize)?;
                let mut value = Value::of(Ratio::int(1));
                for j in 0..k {
                    let factor = top.add(Value::of(Ratio::int(-j)));
                    value = value.mul(factor).mul(Value::of(Ratio { num: 1, den: j + 1 }));
                }
                Some(value)
            }
            Some(_) => Some(Value::UNKNOWN),
            None => {
                let hash = mix(self.fingerprint(n)? ^ mix(self.fingerprint(k)?));
                (self.opaque, self.symbols) = (true, true);
                Some(self.at(hash))
            }
        }
    }
}

fn gcd(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

fn constant_value(constant: Constant) -> Option<Value> {
    // The field has no π: a point of its own stands for it, since no polynomial has it as a root.
    let transcendental = |name, approx| Value {
        ratio: None,
        residue: Some(Residue::from_hash(hash_text(name))),
        approx: Some(Approx::rounded(approx)),
    };
    match constant {
        Constant::Pi => Some(transcendental("constant pi", std::f64::consts::PI)),
        Constant::E => Some(transcendental("constant e", std::f64::consts::E)),
        Constant::I => {
            Some(Value { ratio: None, residue: Some(Residue::I), approx: Some(Approx::I) })
        }
        Constant::Infinity | Constant::EmptySet | Constant::Reals => None,
    }
}

fn apply(function: Function, value: Value) -> Value {
    if let Some(ratio) = value.ratio {
        let whole = ratio.num.div_euclid(ratio.den);
        match function {
            Function::Abs if ratio.num != i64::MIN => {
                return Value::of(Ratio { num: ratio.num.abs(), den: ratio.den });
            }
            Function::Floor => return Value::of(Ratio::int(whole)),
            Function::Ceil => {
                return Value::of(Ratio::int(whole + i64::from(ratio.den != 1)));
            }
            _ => {}
        }
    }
    let Some(x) = value.approx() else { return Value::UNKNOWN };
    let quotient = |a: Approx, b: Approx| Some(a.mul(b.inverse()?));
    let (sin, cos) = x.sin_cos();
    let arc = 1.0 / (1.0 - x.re * x.re).abs().sqrt().max(1e-6);
    Value::approximate(match function {
        Function::Sin => Some(sin),
        Function::Cos => Some(cos),
        Function::Tan => quotient(sin, cos),
        Function::Cot => quotient(cos, sin),
        Function::Sec => cos.inverse(),
        Function::Csc => sin.inverse(),
        Function::Asin => x.real(arc, f64::asin),
        Function::Acos => x.real(arc, f64::acos),
        Function::Atan => x.real(1.0, f64::atan),
        Function::Sinh => x.real(x.re.cosh(), f64::sinh),
        Function::Cosh => x.real(x.re.cosh(), f64::cosh),
        Function::Tanh => x.real(1.0, f64::tanh),
        Function::Ln | Function::Log => x.ln(),
        Function::Exp => Some(x.exp()),
        Function::Abs => Some(Approx { re: x.abs(), im: 0.0, err: x.err }),
        // A value that may lie on either side of a whole number has no floor to speak of.
        Function::Floor => x.real(0.0, f64::floor).filter(|_| (x.re - x.re.round()).abs() > x.err),
        Function::Ceil => x.real(0.0, f64::ceil).filter(|_| (x.re - x.re.round()).abs() > x.err),
        Function::Max | Function::Min | Function::Gcd | Function::Lcm => Some(x),
    })
}

fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0x1f3d_5b79, |hash, byte| mix(hash ^ u64::from(byte)))
}
