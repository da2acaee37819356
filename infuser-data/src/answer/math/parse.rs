//! Tokens to an expression: a recursive descent with a bound on its depth.

mod name;
mod numeral;

use super::{
    collect,
    expr::{Constant, Expr, Function, Sign},
    lex::{Lexed, Reading, Token, Units, lex},
    number::Number,
    units::quantities,
};

/// Deeper nesting is no answer.
const MAX_DEPTH: usize = 48;
/// More tokens are no answer.
const MAX_TOKENS: usize = 1500;
/// More marks behind a factor (`!`, `%`, `^…`) are no answer; each is a level of nesting.
const MAX_MARKS: usize = 16;
/// Factors that are read for each token, at most. A bracket that is not what it was taken for is read
/// again; nested ones would be read again and again, each twice as often as the one around it.
const STEPS: usize = 8;

/// Reads a whole answer; `None` if it is not one.
pub(super) fn parse(text: &str, reading: Reading) -> Option<Expr> {
    let tokens = lex(text, reading)?;
    if tokens.is_empty() || tokens.len() > MAX_TOKENS {
        return None;
    }
    let both = tokens.iter().any(|lexed| matches!(lexed.token, Token::Op('±' | '∓')));
    let steps = STEPS * tokens.len();
    let Reading { minus, units, .. } = reading;
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        steps,
        bars: 0,
        braces: 0,
        minus,
        units,
        measured: false,
        italic: false,
    };
    let expr = collect::answers(&mut parser)?;
    if parser.at < parser.tokens.len() {
        return None;
    }
    // A reading for units is none without one; x metres are x times m.
    let measured = parser.measured && (!parser.italic || quantities(&expr));
    if units != Units::Names && !measured {
        return None;
    }
    if both && !reading.minus {
        let other = parse(text, Reading { minus: true, ..reading })?;
        return Some(collect::flat(vec![expr, other]));
    }
    Some(expr)
}

/// A position among tokens.
pub(super) struct Parser {
    tokens: Vec<Lexed>,
    at: usize,
    depth: usize,
    /// Factors that may still be read.
    steps: usize,
    /// Open `|`.
    pub(super) bars: usize,
    /// Open `{`.
    pub(super) braces: usize,
    /// What `±` stands for this time.
    minus: bool,
    pub(super) units: Units,
    /// A unit was set aside that could have been a product of names.
    pub(super) measured: bool,
    /// It could be a product of names as well.
    pub(super) italic: bool,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<&Token> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, count: usize) -> Option<&Token> {
        self.lexed(count).map(|lexed| &lexed.token)
    }

    pub(super) fn lexed(&self, count: usize) -> Option<&Lexed> {
        self.tokens.get(self.at + count)
    }

    pub(super) fn before(&self) -> Option<&Lexed> {
        self.tokens.get(self.at.checked_sub(1)?)
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.at += count;
    }

    /// Reads something, or stays where it was.
    pub(super) fn attempt(&mut self, inner: impl FnOnce(&mut Self) -> bool) -> bool {
        let start = self.at;
        let found = inner(self);
        if !found {
            self.at = start;
        }
        found
    }

    fn spaced(&self) -> bool {
        self.tokens.get(self.at).is_some_and(|lexed| lexed.spaced)
    }

    pub(super) fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    pub(super) fn op(&mut self, op: char) -> bool {
        self.eat(&Token::Op(op))
    }

    /// "and" or "or".
    pub(super) fn joined(&mut self) -> bool {
        self.eat(&Token::And) || self.eat(&Token::Or)
    }

    /// `None` when too deep.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        if self.depth >= MAX_DEPTH {
            return None;
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// One side, or several with signs between.
    pub(super) fn relation(&mut self) -> Option<Expr> {
        // "≈ 8.24" leaves out what is about that.
        if let Some(Token::Sign(Sign::Approximately | Sign::Equal)) = self.peek() {
            self.at += 1;
        }
        let mut sides = vec![self.side()?];
        let mut signs = Vec::new();
        while let Some(Token::Sign(sign)) = self.peek() {
            signs.push(*sign);
            self.at += 1;
            sides.push(self.side()?);
        }
        if signs.is_empty() { sides.pop() } else { Some(Expr::Relation(sides, signs)) }
    }

    fn side(&mut self) -> Option<Expr> {
        let mut left = self.sum()?;
        loop {
            if self.op('∪') {
                let right = self.sum()?;
                left = match left {
                    Expr::Union(mut parts) => {
                        parts.push(right);
                        Expr::Union(parts)
                    }
                    left => Expr::Union(vec![left, right]),
                };
            } else if self.op('∩') {
                left = Expr::Intersection(vec![left, self.sum()?]);
            } else if self.op('\\') {
                left = Expr::Difference(left.into(), self.sum()?.into());
            } else {
                return Some(left);
            }
        }
    }

    pub(super) fn sum(&mut self) -> Option<Expr> {
        self.nested(|parser| {
            let mut terms = vec![parser.product()?];
            loop {
                let negative = match parser.peek() {
                    Some(Token::Op('+')) => false,
                    Some(Token::Op('-')) => true,
                    Some(Token::Op('±')) => parser.minus,
                    Some(Token::Op('∓')) => !parser.minus,
                    _ => break,
                };
                parser.at += 1;
                let term = parser.product()?;
                terms.push(if negative { term.negative() } else { term });
            }
            let sum = if terms.len() == 1 { terms.pop()? } else { Expr::Sum(terms) };
            if parser.eat(&Token::Over) {
                let below = Expr::Inverse(parser.sum()?.into());
                return Some(Expr::Product(vec![sum, below]));
            }
            Some(sum)
        })
    }

    fn product(&mut self) -> Option<Expr> {
        let mut factors = vec![self.unary()?];
        loop {
            self.unit(&factors);
            if self.op('*') {
                factors.push(self.unary()?);
            } else if self.several_parts() {
                return self.parts(factors);
            } else if self.op('/') || self.ratio() {
                factors.push(Expr::Inverse(self.unary()?.into()));
            } else if self.starts_factor() {
                // Two numerals beside each other are no product.
                if matches!(self.peek(), Some(Token::Number(..)))
                    && matches!(factors.last(), Some(Expr::Number(_)))
                {
                    return None;
                }
                factors.push(self.power()?);
            } else {
                break;
            }
        }
        if factors.len() == 1 { factors.pop() } else { Some(Expr::Product(factors)) }
    }

    fn starts_factor(&self) -> bool {
        match self.peek() {
            Some(
                Token::Number(..)
                | Token::Symbol(_)
                | Token::Constant(_)
                | Token::Function(_)
                | Token::Frac
                | Token::Sqrt
                | Token::Binom
                | Token::Accent(_)
                | Token::Bound(_)
                | Token::Begin,
            ) => true,
            Some(Token::Open(_)) => true,
            Some(Token::Op('|')) => self.bars == 0,
            _ => false,
        }
    }

    fn unary(&mut self) -> Option<Expr> {
        let minus = match self.peek()? {
            Token::Op('-') => true,
            Token::Op('+') => false,
            Token::Op('±') => self.minus,
            Token::Op('∓') => !self.minus,
            _ => return self.power(),
        };
        self.at += 1;
        let value = self.nested(Self::unary)?;
        Some(if minus { value.negative() } else { value })
    }

    /// A factor with what stands behind and above it.
    fn power(&mut self) -> Option<Expr> {
        let mut base = self.primary()?;
        for _ in 0..MAX_MARKS {
            if self.op('!') {
                base = Expr::Factorial(base.into());
            } else if self.op('%') {
                base = Expr::Percent(base.into());
            } else if self.op('°') {
                base = Expr::Degrees(base.into());
            } else if self.op('\'') {
                base = primed(base)?;
            } else if self.op('_') {
                base = self.subscript(base)?;
            } else if self.op('^') {
                base = self.raised(base)?;
            } else {
                return Some(base);
            }
        }
        None
    }

    fn raised(&mut self, base: Expr) -> Option<Expr> {
        let mark = |token: Option<&Token>| match token {
            Some(Token::Op(mark @ ('°' | '\''))) => Some(*mark),
            _ => None,
        };
        let (mark, width) = match mark(self.peek()) {
            Some(found) => (Some(found), 1),
            None if self.peek() == Some(&Token::Open('{'))
                && self.ahead(2) == Some(&Token::Close('{')) =>
            {
                (mark(self.ahead(1)), 3)
            }
            None => (None, 0),
        };
        if let Some(mark) = mark {
            self.at += width;
            return if mark == '°' { Some(Expr::Degrees(base.into())) } else { primed(base) };
        }
        if self.ordinal() {
            return Some(base);
        }
        match self.script()? {
            // 5^{\text{th}}
            Expr::Word(_) => Some(base),
            exponent => Some(Expr::Power(base.into(), exponent.into())),
        }
    }

    /// What stands above or below: a braced group, or one signed factor without a power.
    fn script(&mut self) -> Option<Expr> {
        if self.op('-') {
            return Some(self.nested(Self::script)?.negative());
        }
        if self.op('+') {
            return self.nested(Self::script);
        }
        let base = self.nested(Self::primary)?;
        // 2^3^2 is 2^(3^2).
        if self.op('^') { self.nested(|parser| parser.raised(base)) } else { Some(base) }
    }

    fn subscript(&mut self, base: Expr) -> Option<Expr> {
        if let Some(digits) = self.digits_before().filter(|_| matches!(base, Expr::Number(_))) {
            let below = self.script()?;
            let Expr::Number(Number { ratio, .. }) = below else { return None };
            let base =
                u32::try_from(ratio?.as_int()?).ok().filter(|base| (2..=36).contains(base))?;
            return Some(Expr::Based(digits, base));
        }
        // m_{max}
        if let (Some(Token::Open('{')), Some(Token::Function(function)), Some(Token::Close('{'))) =
            (self.peek(), self.ahead(1), self.ahead(2))
        {
            let index = format!("{function:?}");
            self.at += 3;
            return if let Expr::Symbol(name) = base {
                Some(Expr::Symbol(format!("{name}_{index}")))
            } else {
                None
            };
        }
        let below = self.script()?;
        match base {
            Expr::Symbol(name) => Some(match simple(&below) {
                Some(index) => Expr::Symbol(format!("{name}_{index}")),
                None => Expr::Opaque(format!("{name}_"), vec![below]),
            }),
            Expr::Constant(Constant::E) => Some(Expr::Opaque("e_".into(), vec![below])),
            Expr::Opaque(name, mut args) => {
                args.push(below);
                Some(Expr::Opaque(name + "_", args))
            }
            _ => None,
        }
    }

    fn primary(&mut self) -> Option<Expr> {
        let token = self.peek()?.clone();
        self.steps = self.steps.checked_sub(1)?;
        self.at += 1;
        match token {
            Token::Number(number, digits) => self.number(number, &digits),
            Token::Symbol(name) => Some(self.symbol(name)),
            Token::Word(first) => Some(self.phrase(first)),
            Token::Time(time) => Some(Expr::Time(time)),
            Token::Constant(constant) => Some(Expr::Constant(constant)),
            Token::Function(function) => self.nested(|parser| parser.function(function)),
            Token::Open(open) => self.nested(|parser| collect::bracket(parser, open)),
            // ]0, 1] is (0, 1].
            Token::Close('[') => self.nested(|parser| collect::bracket(parser, ']')),
            Token::Op('|') => self.nested(Self::absolute),
            Token::Frac => {
                let num = self.argument(true)?;
                let den = self.argument(true)?;
                Some(Expr::Product(vec![num, Expr::Inverse(den.into())]))
            }
            Token::Binom => {
                let (n, k) = (self.argument(true)?, self.argument(true)?);
                Some(Expr::Binomial(n.into(), k.into()))
            }
            Token::Sqrt => self.nested(Self::root),
            Token::Accent(name) => {
                let inner = self.argument(false)?;
                Some(Expr::Opaque(name.into(), vec![inner]))
            }
            Token::Bound(kind) => self.nested(|parser| parser.bound(kind)),
            Token::Begin => self.nested(collect::matrix),
            _ => None,
        }
    }

    fn phrase(&mut self, first: String) -> Expr {
        let mut phrase = first;
        while let Some(Token::Word(next)) = self.peek() {
            phrase = phrase + " " + next;
            self.at += 1;
        }
        Expr::Word(phrase)
    }

    /// `|x|`, after its first bar.
    fn absolute(&mut self) -> Option<Expr> {
        self.bars += 1;
        let inner = self.sum();
        self.bars -= 1;
        let inner = inner?;
        self.op('|').then(|| Expr::Function(Function::Abs, inner.into()))
    }

    fn root(&mut self) -> Option<Expr> {
        let mut degree = Expr::int(2);
        if self.eat(&Token::Open('[')) {
            degree = self.sum()?;
            if !self.eat(&Token::Close('[')) {
                return None;
            }
        }
        Some(Expr::Root(self.argument(false)?.into(), degree.into()))
    }

    /// What a command applies to: a group, or one token; of a numeral its first digit if `digit`.
    pub(super) fn argument(&mut self, digit: bool) -> Option<Expr> {
        if let Some(Token::Number(_, digits)) = self.peek() {
            let (first, rest) = digits.split_at_checked(1)?;
            if digit && !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
                let (first, rest) = (Number::new(first, 0)?, rest.to_string());
                self.tokens[self.at].token = Token::Number(Number::new(&rest, 0)?, rest);
                return Some(Expr::Number(first));
            }
            let Some(Token::Number(number, _)) = self.peek() else { return None };
            let number = Expr::Number(*number);
            self.at += 1;
            return Some(number);
        }
        self.nested(Self::primary)
    }

    fn function(&mut self, mut function: Function) -> Option<Expr> {
        let mut base = None;
        let mut exponent = None;
        loop {
            if self.op('_') {
                base = Some(self.script()?);
            } else if self.op('^') {
                exponent = Some(self.script()?);
            } else {
                break;
            }
        }
        if let Some(inverse) = exponent.as_ref().and_then(|exponent| inverse_of(function, exponent))
        {
            (function, exponent) = (inverse, None);
        }
        let argument = self.function_argument()?;
        let value = match base {
            None => Expr::Function(function, argument.into()),
            Some(base) if matches!(function, Function::Log | Function::Ln) => {
                let log = |x: Expr| Expr::Function(Function::Ln, x.into());
                Expr::Product(vec![log(argument), Expr::Inverse(log(base).into())])
            }
            Some(base) => Expr::Opaque(format!("{function:?}_"), vec![base, argument]),
        };
        Some(match exponent {
            None => value,
            Some(exponent) => Expr::Power(value.into(), exponent.into()),
        })
    }

    /// A bracket, or all factors up to the next sign or function: `sin 2x cos x` is a product.
    fn function_argument(&mut self) -> Option<Expr> {
        if matches!(self.peek(), Some(Token::Open(_) | Token::Op('|'))) {
            let inner = self.primary()?;
            return if self.op('^') { self.raised(inner) } else { Some(inner) };
        }
        if self.op('-') {
            return Some(self.nested(Self::function_argument)?.negative());
        }
        let mut factors = vec![self.power()?];
        while self.starts_factor()
            && !matches!(self.peek(), Some(Token::Function(_) | Token::Open('(' | '[')))
        {
            factors.push(self.power()?);
        }
        if factors.len() == 1 { factors.pop() } else { Some(Expr::Product(factors)) }
    }

    fn bound(&mut self, kind: &'static str) -> Option<Expr> {
        let (mut variable, mut parts) = (None, Vec::new());
        loop {
            if self.op('_') {
                if self.eat(&Token::Open('{')) {
                    let below = self.relation()?;
                    if !self.eat(&Token::Close('{')) {
                        return None;
                    }
                    match below {
                        Expr::Relation(mut sides, signs) if signs == [Sign::Equal] => {
                            parts.push(sides.pop()?);
                            match sides.pop() {
                                Some(Expr::Symbol(name)) => variable = Some(name),
                                Some(Expr::Constant(Constant::I)) => variable = Some("i".into()),
                                other => parts.extend(other),
                            }
                        }
                        other => parts.push(other),
                    }
                } else {
                    parts.push(self.script()?);
                }
            } else if self.op('^') {
                parts.push(self.script()?);
            } else {
                break;
            }
        }
        parts.push(self.product()?);
        Some(Expr::Bound { kind, variable, parts })
    }
}

fn inverse_of(function: Function, exponent: &Expr) -> Option<Function> {
    let minus_one = match exponent {
        Expr::Negative(inner) => **inner == Expr::int(1),
        _ => false,
    };
    if minus_one { function.inverse() } else { None }
}

fn primed(base: Expr) -> Option<Expr> {
    match base {
        Expr::Symbol(name) => Some(Expr::Symbol(name + "'")),
        // Feet, minutes of an arc.
        Expr::Number(_) | Expr::Degrees(_) => Some(base),
        _ => None,
    }
}

/// A subscript that is part of a name.
fn simple(below: &Expr) -> Option<String> {
    match below {
        Expr::Symbol(name) | Expr::Word(name) => Some(name.clone()),
        Expr::Number(Number { ratio: Some(ratio), .. }) => {
            ratio.as_int().map(|int| int.to_string())
        }
        _ => None,
    }
}
