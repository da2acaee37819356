//! Numerals and what is written with several of them: mixed numbers, repeating decimals, ratios.

use super::{Number, Parser, Token};
use crate::answer::math::expr::Expr;

impl Parser {
    /// A numeral, with a fraction behind it or digits that repeat.
    pub(super) fn number(&mut self, number: Number, digits: &str) -> Option<Expr> {
        if digits.contains('.') && matches!(self.peek(), Some(Token::Accent("overline" | "dot"))) {
            let mut cycle = self.marked()?;
            // The dots stand on the first and the last digit of those that repeat.
            if let Some(Token::Number(_, between)) = self.peek()
                && self.ahead(1) == Some(&Token::Accent("dot"))
            {
                cycle.push_str(&between.clone());
                self.at += 1;
            }
            if self.peek() == Some(&Token::Accent("dot")) {
                cycle.push_str(&self.marked()?);
            }
            return Some(Expr::Number(Number::repeating(digits, &cycle)?));
        }
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole && self.peek() == Some(&Token::Frac) && self.plain_fraction() {
            let fraction = self.primary()?;
            return Some(Expr::Sum(vec![Expr::Number(number), fraction]));
        }
        let quotient = matches!(
            (self.peek(), self.ahead(1), self.ahead(2)),
            (Some(Token::Number(..)), Some(Token::Op('/')), Some(Token::Number(..)))
        );
        if whole && quotient && self.spaced() {
            let (num, den) = (self.primary()?, (self.op('/'), self.primary()?).1);
            let fraction = Expr::Product(vec![num, Expr::Inverse(den.into())]);
            return Some(Expr::Sum(vec![Expr::Number(number), fraction]));
        }
        Some(Expr::Number(number))
    }

    /// The digits under an accent.
    fn marked(&mut self) -> Option<String> {
        let (width, digits) = match (self.ahead(1)?, self.ahead(2), self.ahead(3)) {
            (Token::Number(_, digits), ..) => (2, digits.clone()),
            (Token::Open('{'), Some(Token::Number(_, digits)), Some(Token::Close('{'))) => {
                (4, digits.clone())
            }
            _ => return None,
        };
        self.at += width;
        Some(digits)
    }

    /// Whether a fraction of two numerals stands here, as in a mixed number.
    fn plain_fraction(&self) -> bool {
        let kinds: String = (1..8)
            .map(|i| match self.ahead(i) {
                Some(Token::Number(..)) => 'n',
                Some(Token::Open('{')) => '(',
                Some(Token::Close('{')) => ')',
                _ => ' ',
            })
            .collect();
        ["(n)(n)", "(n)n", "n(n)", "nn"].iter().any(|shape| kinds.starts_with(shape))
            || matches!(self.ahead(1), Some(Token::Number(_, digits)) if digits.len() == 2)
    }

    /// The digits in front of the `_` that was read last, alone or in brackets.
    pub(super) fn digits_before(&self) -> Option<String> {
        let back = |count: usize| {
            let at = self.at.checked_sub(count)?;
            self.tokens.get(at).map(|lexed| &lexed.token)
        };
        match (back(2)?, back(3), back(4)) {
            (Token::Number(_, digits), ..) => Some(digits.clone()),
            (Token::Close('('), Some(Token::Number(_, digits)), Some(Token::Open('('))) => {
                Some(digits.clone())
            }
            _ => None,
        }
    }

    /// Whether `:2:3` follows.
    pub(super) fn several_parts(&self) -> bool {
        let part = |at| {
            self.ahead(at) == Some(&Token::Op(':'))
                && matches!(self.ahead(at + 1), Some(Token::Number(..)))
        };
        part(0) && part(2)
    }

    /// A ratio of three parts or more, of which the first has been read.
    pub(super) fn parts(&mut self, mut first: Vec<Expr>) -> Option<Expr> {
        let first = if first.len() == 1 { first.pop()? } else { Expr::Product(first) };
        let mut parts = vec![first];
        while self.op(':') {
            parts.push(self.unary()?);
        }
        Some(Expr::Ratio(parts))
    }

    /// `3:4` is a ratio.
    pub(super) fn ratio(&mut self) -> bool {
        let number = |token: Option<&Token>| matches!(token, Some(Token::Number(..)));
        let found = self.peek() == Some(&Token::Op(':')) && number(self.ahead(1));
        self.at += usize::from(found);
        found
    }
}
