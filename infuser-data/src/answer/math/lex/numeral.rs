//! Numerals: digits with groups, a point, an exponent.

use super::{Lexer, Token};
use crate::answer::math::number::Number;

impl Lexer {
    fn digits(&mut self, into: &mut String) {
        while let Some(digit) = self.peek(0).filter(char::is_ascii_digit) {
            into.push(digit);
            self.at += 1;
        }
    }

    /// Whether exactly three digits stand `ahead`.
    fn group_at(&self, ahead: usize) -> bool {
        let digit = |i| self.peek(ahead + i).is_some_and(|next| next.is_ascii_digit());
        digit(0) && digit(1) && digit(2) && !digit(3)
    }

    /// The width of what parts groups of thousands here.
    fn group_mark(&self) -> Option<usize> {
        let list = !self.reading.thousands || self.depth > 0;
        let width = match self.peek(0)? {
            ',' if self.peek(1) == Some('\\') && self.peek(2) == Some('!') => {
                let mut width = 3;
                while self.peek(width) == Some(' ') {
                    width += 1;
                }
                return self.group_at(width).then_some(width);
            }
            '{' if self.peek(1) == Some(',') && self.peek(2) == Some('}') => 3,
            '\\' if self.peek(1) == Some(',') => 2,
            ' ' | '\u{a0}' | '\u{202f}' if !list => 1,
            ',' if !list => 1,
            _ => return None,
        };
        self.group_at(width).then_some(width)
    }

    pub(super) fn number(&mut self) -> Option<()> {
        let mut text = String::new();
        self.digits(&mut text);
        if text.is_empty() && !self.peek(1).is_some_and(|next| next.is_ascii_digit()) {
            // A full stop, or dots.
            let dots = self.chars[self.at..].iter().take_while(|next| **next == '.').count();
            self.at += dots;
            if dots > 1 {
                self.push(Token::Symbol("...".into()));
            }
            return Some(());
        }
        // Groups of three follow one of at most three.
        let grouped = (1..=3).contains(&text.len());
        while let Some(width) = self.group_mark().filter(|_| grouped) {
            self.at += width;
            self.digits(&mut text);
        }
        // The point belongs to the number unless it ends a sentence.
        let repeats = self.chars[self.at..].starts_with(&['.', '\\']);
        if self.peek(0) == Some('.')
            && (self.peek(1).is_some_and(|next| next.is_ascii_digit()) || repeats)
        {
            text.push('.');
            self.at += 1;
            self.digits(&mut text);
        }
        let exponent = self.exponent();
        let number = Number::new(text.strip_suffix('.').unwrap_or(&text), exponent)?;
        self.push(Token::Number(number, text));
        Some(())
    }

    /// `e5`, `E-3` right behind digits.
    fn exponent(&mut self) -> i32 {
        if !matches!(self.peek(0), Some('e' | 'E')) {
            return 0;
        }
        let sign = usize::from(matches!(self.peek(1), Some('+' | '-')));
        let digits: String = self.chars[self.at + 1 + sign..]
            .iter()
            .take_while(|next| next.is_ascii_digit())
            .collect();
        let after = self.peek(1 + sign + digits.len());
        if digits.is_empty() || digits.len() > 4 || after.is_some_and(|next| next.is_alphanumeric())
        {
            return 0;
        }
        let value: i32 = digits.parse().unwrap_or(0);
        let negative = self.peek(1) == Some('-');
        self.at += 1 + sign + digits.len();
        if negative { -value } else { value }
    }
}
