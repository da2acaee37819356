//! A letter or a choice's text that nothing announces, where it can mean nothing else.

use super::{
    Choices, Reading,
    candidate::{letter, listed},
    denial,
    wording::opens_tag,
};

/// Bytes of an output in which a letter counts that nothing announces. In a longer one it is a mention.
const SHORT: usize = 200;

/// Lines that are looked at for letters at their start.
const MAX_LINES: usize = 400;

/// A letter or text alone; where no announcement is denied also a line's label, the only letter in
/// brackets or of a short output.
pub(super) fn read(text: &str, denied: bool, choices: &Choices<'_>) -> Reading {
    if let Some(index) = choices.of_text(text) {
        return Reading::Choice(index);
    }
    let Some(last) = text.lines().rev().find(|line| !line.trim().is_empty()) else {
        return Reading::Nothing;
    };
    if let Some((at, _)) = labelled(last).filter(|(_, rest)| rest.trim_matches(is_mark).is_empty())
    {
        return letter(last, at, true, choices);
    }
    if let Some(index) = choices.of_text(last) {
        return Reading::Choice(index);
    }
    if denied {
        return Reading::Nothing;
    }
    let readings = [
        only_label(text, choices),
        only_bracketed(text, last, choices),
        only_letter(text, choices),
    ];
    readings.into_iter().find(|reading| *reading != Reading::Nothing).unwrap_or(Reading::Nothing)
}

fn is_mark(next: char) -> bool {
    next.is_whitespace() || "*_`\"'“”‘’$()[]{}.,:;!。、\\".contains(next)
}

/// The letter that labels a line ("B) Paris", "(b)", "D. it …"), and what follows its mark.
fn labelled(line: &str) -> Option<(usize, &str)> {
    let start =
        line.len() - line.trim_start_matches(|next: char| is_mark(next) && next != '.').len();
    let byte = *line.as_bytes().get(start).filter(|byte| byte.is_ascii_alphabetic())?;
    let rest = &line[start + 1..];
    let next = rest.chars().next();
    let bracket = start > 0 && line[..start].ends_with(['(', '[', '{']);
    let marked = match next {
        None => {
            return (byte.is_ascii_uppercase() || line.trim().len() <= 2).then_some((start, rest));
        }
        Some(')' | ']' | '}' | '.' | ':' | '。' | '、' | ',') => true,
        Some('*' | '_' | '"' | '\'' | '”' | '$' | '`' | '!') => byte.is_ascii_uppercase(),
        Some(next) => bracket && next == ' ',
    };
    // "e.g.", "U.S."
    let initial =
        rest.starts_with('.') && rest[1..].starts_with(|next: char| next.is_alphanumeric());
    (marked && !initial).then_some((start, rest))
}

/// The label of the first line, if no other line has another.
fn only_label(text: &str, choices: &Choices<'_>) -> Reading {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(MAX_LINES);
    let Some(first) = lines.next() else { return Reading::Nothing };
    let Some((at, _)) = labelled(first) else { return Reading::Nothing };
    let byte = first.as_bytes()[at].to_ascii_uppercase();
    let other = lines.filter_map(|line| labelled(line).map(|(at, _)| line.as_bytes()[at]));
    for label in other {
        if label.to_ascii_uppercase() != byte {
            return Reading::Nothing;
        }
    }
    letter(first, at, true, choices)
}

/// The only letter in brackets of a short output's last line.
fn only_bracketed(text: &str, line: &str, choices: &Choices<'_>) -> Reading {
    if text.len() > SHORT || denial::anywhere(text) {
        return Reading::Nothing;
    }
    let bytes = line.as_bytes();
    let is_one =
        |window: &[u8]| window[0] == b'(' && window[1].is_ascii_uppercase() && window[2] == b')';
    // "f(A)" is a function of A.
    let free = |at: usize| at == 0 || !bytes[at - 1].is_ascii_alphanumeric();
    let places = bytes.windows(3).enumerate().filter(|(at, window)| is_one(window) && free(*at));
    one(places.map(|(at, _)| bytes[at + 1]), choices)
}

/// The only capital that stands alone in a short output.
fn only_letter(text: &str, choices: &Choices<'_>) -> Reading {
    if text.len() > SHORT || text.contains(['\n', '?']) {
        return Reading::Nothing;
    }
    if denial::anywhere(text) {
        return Reading::Nothing;
    }
    let bytes = text.as_bytes();
    let word = |byte: Option<&u8>| {
        byte.is_some_and(|byte| {
            !byte.is_ascii() || byte.is_ascii_alphanumeric() || b"'-=+^_".contains(byte)
        })
    };
    let alone = |at: &usize| {
        bytes[*at].is_ascii_uppercase()
            && !word(at.checked_sub(1).and_then(|before| bytes.get(before)))
            && !word(bytes.get(at + 1))
    };
    // "A cell", "I think"; a unit or a variable stands behind a number or beside an operator.
    let plain = |at: &usize| {
        let rest = text[at + 1..].trim_start();
        let next = &rest[..rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len())];
        let before = text[..*at].trim_end().bytes().next_back();
        let article = matches!(bytes[*at], b'A' | b'I')
            && !next.is_empty()
            && !listed(&["is", "because", "since"], next);
        let operator = ['=', '+', '*', '/', '^', '<', '>'];
        let operand = rest.starts_with(operator) && !opens_tag(rest)
            || before.is_some_and(|before| before.is_ascii_digit() || b"=+*/^<>".contains(&before));
        !article && !operand
    };
    one((0..bytes.len()).filter(alone).filter(plain).map(|at| bytes[at]), choices)
}

/// The choice that all these letters name; none if they name two.
fn one(letters: impl Iterator<Item = u8>, choices: &Choices<'_>) -> Reading {
    let mut found = Reading::Nothing;
    for index in letters.filter_map(|byte| choices.of_letter(byte)) {
        match found {
            Reading::Choice(first) if first != index => return Reading::Nothing,
            _ => found = Reading::Choice(index),
        }
    }
    found
}
