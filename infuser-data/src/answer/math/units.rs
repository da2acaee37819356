//! Units behind a number: what they look like, and when letters are one.

use super::{
    expr::{Constant, Expr, Function},
    lex::{Lexed, Token, Units},
    parse::Parser,
    value::evaluate,
    words,
};

/// So many letters behind a number are a word even without a space: `12cookies`.
const LONG: usize = 5;

impl Parser {
    /// Sets the unit behind a factor aside: words always, letters where they can be one.
    pub(super) fn unit(&mut self, factors: &[Expr]) {
        if matches!(factors.last(), None | Some(Expr::Word(_))) {
            return;
        }
        let name = self.unit_name(0).map(|(name, _)| name).unwrap_or_default();
        // No product of names looks so: it may follow names.
        let clear = self.lexed(0).is_some_and(|lexed| lexed.upright) || words::only_unit(&name);
        let letters = self.units != Units::Names
            && self.starts_unit()
            && (clear || factors.iter().all(|factor| self.measurable(factor, &name)))
            && self.attempt(|parser| {
                let sure = parser.surely_unit();
                parser.units_joined(true) && (parser.ends_statement() || sure && parser.goes_on())
            });
        self.measured |= letters;
        self.italic |= letters && !clear;
        let per = usize::from(self.peek() == Some(&Token::Op('/')));
        if !letters && matches!(self.ahead(per), Some(Token::Word(_))) {
            self.skip(per);
            self.words();
        }
    }

    /// Whether letters behind this may be a unit. In a reference `2\pi h` and `\sqrt{3} mg` are products.
    fn measurable(&self, factor: &Expr, name: &str) -> bool {
        let several = name.chars().count() != 1 && name != "mg";
        quantities(factor) && (several || self.units == Units::Anywhere || numeral(factor))
    }

    /// Words, with powers and quotients among them.
    fn words(&mut self) {
        while matches!(self.peek(), Some(Token::Word(_))) {
            self.skip(1);
            self.unit_power();
            if self.peek() == Some(&Token::Op('/')) && matches!(self.ahead(1), Some(Token::Word(_)))
            {
                self.skip(1);
            }
        }
    }

    /// Whether letters here may be a unit at all, by how they stand to the number.
    fn starts_unit(&self) -> bool {
        let Some(first) = self.lexed(0) else { return false };
        if matches!(first.token, Token::Word(_) | Token::Frac) {
            return true;
        }
        let careless = self.units == Units::Anywhere;
        // "$18/day"
        if first.token == Token::Op('/') {
            return self.unit_name(1).is_some_and(|(name, _)| {
                words::only_unit(&name) || careless && name.len() > 1 && words::is_unit(&name)
            });
        }
        // The last letters of `4xcm` are none.
        let within =
            |before: &Lexed| letter(&before.token).is_some() && before.upright == first.upright;
        if !first.spaced && self.before().is_some_and(within) {
            return false;
        }
        // "12 (cm)"
        let inside = matches!(first.token, Token::Open('(' | '[')) && first.spaced;
        let Some((name, width)) = self.unit_name(usize::from(inside)) else {
            return inside && matches!(self.ahead(1), Some(Token::Word(_)));
        };
        if name == "per" {
            return matches!(self.ahead(width), Some(Token::Word(_)));
        }
        if inside {
            let upright = self.lexed(1).is_some_and(|lexed| lexed.upright);
            return words::only_unit(&name) || (careless || upright) && name.chars().count() > 1;
        }
        let glued =
            words::only_unit(&name) || careless && (words::glues(&name) || name.len() >= LONG);
        // Italic letters in a numerator are names.
        first.upright || self.braces == 0 && (first.spaced || glued)
    }

    /// Whether it is a unit even in front of another term: `2 cm + 3 cm`.
    fn surely_unit(&self) -> bool {
        let spaced = self.lexed(0).is_some_and(|lexed| lexed.spaced || lexed.upright);
        let careless = spaced && self.units == Units::Anywhere;
        self.unit_name(0)
            .is_none_or(|(name, _)| words::only_unit(&name) || careless && name.chars().count() > 1)
    }

    fn goes_on(&self) -> bool {
        matches!(self.peek(), Some(Token::Op('+' | '-' | '*' | '/')))
    }

    /// Nothing that could be multiplied follows.
    fn ends_statement(&self) -> bool {
        matches!(
            self.peek(),
            None | Some(
                Token::Op(',' | ';' | '&')
                    | Token::And
                    | Token::Or
                    | Token::Close(_)
                    | Token::Sign(_)
                    | Token::Row
                    | Token::End
            )
        )
    }

    /// One unit or several: `kg·m/s²`, `J/(mol K)`, `\frac{m}{s}`.
    fn units_joined(&mut self, first: bool) -> bool {
        let _ = first && self.op('/');
        let bracketed = first && (self.unit_group('(') || self.unit_group('['));
        if !bracketed && !self.one_unit(first) {
            return false;
        }
        loop {
            let more = self.attempt(|parser| {
                let _ = parser.op('*') || parser.op('/');
                parser.one_unit(false) || parser.unit_group('(')
            });
            if !more {
                return true;
            }
        }
    }

    fn one_unit(&mut self, first: bool) -> bool {
        if self.peek() == Some(&Token::Frac) {
            return self.attempt(|parser| {
                parser.skip(1);
                parser.unit_group('{') && parser.unit_group('{')
            });
        }
        if matches!(self.peek(), Some(Token::Word(_))) {
            self.skip(1);
        } else if let Some((name, width)) = self.unit_name(0)
            && (words::is_unit(&name)
                || (!first || name == "per") && words::joins_units(&name)
                || self.units == Units::Anywhere && name.len() >= LONG)
        {
            self.skip(width);
        } else {
            return false;
        }
        self.unit_power();
        true
    }

    fn unit_group(&mut self, open: char) -> bool {
        self.attempt(|parser| {
            parser.eat(&Token::Open(open))
                && parser.nested(|parser| parser.units_joined(false).then_some(())).is_some()
                && parser.eat(&Token::Close(open))
        })
    }

    /// `^2`, `^{-1}`, and the 2 of `cm2`.
    fn unit_power(&mut self) {
        let digits = |token: Option<&Token>| matches!(token, Some(Token::Number(..)));
        let small = matches!(self.peek(), Some(Token::Number(_, digits)) if digits.len() == 1);
        if small && self.lexed(0).is_some_and(|lexed| !lexed.spaced) {
            self.skip(1);
            return;
        }
        self.attempt(|parser| {
            parser.op('^') && {
                let braced = parser.eat(&Token::Open('{'));
                parser.op('-');
                let number = digits(parser.peek());
                parser.skip(usize::from(number));
                number && (!braced || parser.eat(&Token::Close('{')))
            }
        });
    }

    /// Letters without space between them, and how many tokens they are.
    fn unit_name(&self, ahead: usize) -> Option<(String, usize)> {
        let first = self.lexed(ahead)?;
        // "5 min": the function of that name has an argument.
        if let Token::Function(function @ (Function::Min | Function::Sec)) = first.token {
            let name = if function == Function::Min { "min" } else { "sec" };
            return Some((name.into(), 1));
        }
        let mut name = String::new();
        let mut width = 0;
        while let Some(lexed) = self.lexed(ahead + width)
            && let Some(letter) = letter(&lexed.token)
        {
            let alike = lexed.upright == first.upright || name == "μ" || letter == 'Ω';
            if width > 0 && (lexed.spaced || !alike) {
                break;
            }
            name.push(letter);
            width += 1;
        }
        (width > 0).then_some((name, width))
    }

    /// The `{th}` of `5^{th}`.
    pub(super) fn ordinal(&mut self) -> bool {
        self.attempt(|parser| {
            parser.eat(&Token::Open('{'))
                && parser.unit_name(0).is_some_and(|(name, width)| {
                    parser.skip(width);
                    matches!(name.as_str(), "th" | "st" | "nd" | "rd")
                })
                && parser.eat(&Token::Close('{'))
        })
    }
}

/// The letter that a name of one letter is.
fn letter(token: &Token) -> Option<char> {
    match token {
        Token::Constant(Constant::E) => Some('e'),
        Token::Constant(Constant::I) => Some('i'),
        Token::Symbol(name) => match name.as_str() {
            "mu" => Some('μ'),
            "Omega" => Some('Ω'),
            name => {
                let mut letters = name.chars();
                letters.next().filter(|next| next.is_alphabetic() && letters.next().is_none())
            }
        },
        _ => None,
    }
}

/// Numerals, fractions and powers of them.
fn numeral(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) => true,
        Expr::Sum(parts) | Expr::Product(parts) => parts.iter().all(numeral),
        Expr::Negative(inner)
        | Expr::Inverse(inner)
        | Expr::Percent(inner)
        | Expr::Degrees(inner) => numeral(inner),
        Expr::Power(base, exponent) => numeral(base) && numeral(exponent),
        _ => false,
    }
}

fn constant(expr: &Expr) -> bool {
    evaluate(expr, 0).is_some_and(|evaluated| !evaluated.symbols)
}

/// Whether an answer says constants only, with or without names: what may carry a unit in italics.
pub(super) fn quantities(expr: &Expr) -> bool {
    match expr {
        Expr::List(parts) | Expr::Tuple(parts) | Expr::Set(parts) => parts.iter().all(quantities),
        Expr::Interval(interval) => [&interval.low, &interval.high].into_iter().all(quantities),
        Expr::Relation(sides, _) => match sides.as_slice() {
            [first, .., last] => quantities(last) || last.is_name() && quantities(first),
            _ => false,
        },
        Expr::Matrix(rows) => rows.iter().flatten().all(quantities),
        _ => constant(expr),
    }
}
