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
        if let Some(number) = self.repeated(&text) {
            self.push(Token::Number(number, text + "..."));
            return Some(());
        }
        let exponent = self.exponent();
        let number = Number::new(text.strip_suffix('.').unwrap_or(&text), exponent)?;
        self.push(Token::Number(number, text));
        Some(())
    }

    /// The value of `0.333...` and `0.(3)`, of which `0.333` and `0` have been read. Dots behind digits
    /// that repeat nothing only say that these are right.
    fn repeated(&mut self, text: &str) -> Option<Number> {
        if !text.contains('.') && self.chars[self.at..].starts_with(&['.', '(']) {
            let rest = self.chars[self.at + 2..].iter();
            let cycle: String = rest.take_while(|next| next.is_ascii_digit()).collect();
            let end = self.at + 2 + cycle.len();
            let number = Number::repeating(&format!("{text}."), &cycle)?;
            if self.chars.get(end) != Some(&')') {
                return None;
            }
            self.at = end + 1;
            return Some(number);
        }
        let width = if text.contains('.') { self.dots() } else { 0 };
        self.at += width;
        if width == 0 {
            return None;
        }
        let (start, cycle) = cycle(text)?;
        Number::repeating(start, cycle)
    }

    /// The width of dots here.
    fn dots(&self) -> usize {
        let rest = &self.chars[self.at..];
        if rest.first() == Some(&'…') {
            return 1;
        }
        let points = rest.iter().take_while(|next| **next == '.').count();
        let command = ["\\ldots", "\\dots", "\\cdots"].into_iter().find(|command| {
            command.chars().zip(rest).filter(|(a, b)| a == *b).count() == command.len()
        });
        match command {
            Some(command) => command.len(),
            None if points >= 2 => points,
            None => 0,
        }
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

/// A decimal parted before the digits that repeat at its end: `0.1666` is `0.1` and `6`.
///
/// Two equal digits at the end of many may be chance, as in a root of two.
fn cycle(text: &str) -> Option<(&str, &str)> {
    let (_, fraction) = text.split_once('.')?;
    let digits = fraction.as_bytes();
    let len = digits.len();
    if len > 17 {
        return None;
    }
    let period = (1..=len / 2).find(|period| {
        let (rest, last) = digits.split_at(len - period);
        rest.ends_with(last) && (*period > 1 || len <= 4 || rest.ends_with(&[last[0]; 2]))
    })?;
    // The shortest start, from which on all digits repeat.
    let breaks = (period..len).rev().find(|at| digits[*at] != digits[at - period]);
    let start = text.len() - len + breaks.map_or(0, |at| at + 1 - period);
    Some((&text[..start], &text[start..start + period]))
}
