//! What an answer says, once it is read.

use super::number::Number;

/// An expression, or a collection of them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Number(Number),
    Symbol(String),
    Constant(Constant),
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Negative(Box<Expr>),
    Inverse(Box<Expr>),
    Power(Box<Expr>, Box<Expr>),
    /// A root, and its degree.
    Root(Box<Expr>, Box<Expr>),
    Function(Function, Box<Expr>),
    Factorial(Box<Expr>),
    Binomial(Box<Expr>, Box<Expr>),
    /// An angle in degrees.
    Degrees(Box<Expr>),
    Percent(Box<Expr>),
    /// Something that is only known to be a function of its arguments: `f(2)`, `F_{n-1}`.
    Opaque(String, Vec<Expr>),
    /// A sum, product, integral or limit: its kind, what it binds, its bounds and body.
    Bound {
        kind: &'static str,
        variable: Option<String>,
        parts: Vec<Expr>,
    },
    /// `1:2:3`; two parts are a quotient.
    Ratio(Vec<Expr>),
    Time(Time),
    /// Digits and their base.
    Based(String, u32),
    Word(String),
    Tuple(Vec<Expr>),
    /// Parts beside each other without brackets: their order says nothing.
    List(Vec<Expr>),
    Set(Vec<Expr>),
    Interval(Box<Interval>),
    Union(Vec<Expr>),
    Intersection(Vec<Expr>),
    Difference(Box<Expr>, Box<Expr>),
    Matrix(Vec<Vec<Expr>>),
    /// `n + 1` sides around `n` signs.
    Relation(Vec<Expr>, Vec<Sign>),
}

/// A time of day by the clock of twelve hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) hour: u32,
    /// Minutes and seconds.
    pub(super) rest: [Option<u32>; 2],
    pub(super) afternoon: bool,
}

/// From `low` to `high`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Interval {
    pub(super) low: Expr,
    pub(super) high: Expr,
    /// Whether the ends belong to it.
    pub(super) closed: [bool; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Constant {
    Pi,
    E,
    I,
    Infinity,
    EmptySet,
    Reals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Approximately,
    In,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Asin,
    Acos,
    Atan,
    Sinh,
    Cosh,
    Tanh,
    Ln,
    Log,
    Exp,
    Abs,
    Floor,
    Ceil,
    Max,
    Min,
    Gcd,
    Lcm,
}

impl Function {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" | "tg" => Self::Tan,
            "cot" | "ctg" => Self::Cot,
            "sec" => Self::Sec,
            "csc" | "cosec" => Self::Csc,
            "arcsin" | "asin" => Self::Asin,
            "arccos" | "acos" => Self::Acos,
            "arctan" | "atan" | "arctg" => Self::Atan,
            "sinh" => Self::Sinh,
            "cosh" => Self::Cosh,
            "tanh" => Self::Tanh,
            "ln" => Self::Ln,
            "log" | "lg" => Self::Log,
            "exp" => Self::Exp,
            "abs" => Self::Abs,
            "floor" => Self::Floor,
            "ceil" | "ceiling" => Self::Ceil,
            "max" => Self::Max,
            "min" => Self::Min,
            "gcd" => Self::Gcd,
            "lcm" => Self::Lcm,
            _ => return None,
        })
    }

    /// What `f^{-1}` stands for.
    pub(super) fn inverse(self) -> Option<Self> {
        match self {
            Self::Sin => Some(Self::Asin),
            Self::Cos => Some(Self::Acos),
            Self::Tan => Some(Self::Atan),
            _ => None,
        }
    }

    pub(super) fn takes_angles(self) -> bool {
        matches!(self, Self::Sin | Self::Cos | Self::Tan | Self::Cot | Self::Sec | Self::Csc)
    }
}

impl Expr {
    pub(super) fn negative(self) -> Self {
        Self::Negative(Box::new(self))
    }

    pub(super) fn int(value: u32) -> Self {
        // Digits always make a number; zero stands in for what cannot happen.
        Number::new(&value.to_string(), 0).map_or(Self::Sum(Vec::new()), Self::Number)
    }

    /// Whether it can only name something: `x`, `x_1`, `f(x)`, `xy`, `(p, q)`.
    pub(super) fn is_name(&self) -> bool {
        match self {
            Self::Symbol(_) | Self::Opaque(..) | Self::Word(_) => true,
            Self::Product(parts) | Self::Tuple(parts) | Self::List(parts) => {
                parts.iter().all(Self::is_name)
            }
            _ => false,
        }
    }

    /// Collections have no value at a point.
    pub(super) fn is_scalar(&self) -> bool {
        !matches!(
            self,
            Self::Word(_)
                | Self::Ratio(_)
                | Self::Time(_)
                | Self::Tuple(_)
                | Self::List(_)
                | Self::Set(_)
                | Self::Interval(_)
                | Self::Union(_)
                | Self::Intersection(_)
                | Self::Difference(..)
                | Self::Matrix(_)
                | Self::Relation(..)
                | Self::Constant(Constant::EmptySet | Constant::Reals)
        )
    }
}
