//! Whether more than one choice is named at once: "A or B", "(A)(B)", "A) red, B) green", two boxes.

use super::{
    Choices,
    candidate::{floor, listed},
    denial::is_adverb,
    wording::ends,
};
use crate::answer::find::last_boxes;

/// Bytes before a box in which another may belong to it.
const REACH: usize = 400;

/// Bytes behind a letter in which another may follow.
const MAX_LINE: usize = 400;

/// How two letters may be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// By a comma, a word or brackets.
    Text,
    /// By nothing but a space too.
    Box,
}

/// Whether another letter than `first`, which ends before byte `at`, is named with it.
pub(super) fn another(
    text: &str,
    at: usize,
    place: Place,
    first: usize,
    choices: &Choices<'_>,
) -> bool {
    let rest = &text[at..floor(text, at + MAX_LINE)];
    joined(rest, place, first, choices)
        || behind_text(rest, first, choices)
            .is_some_and(|rest| joined(rest, Place::Text, first, choices))
        || !text[..at - 1].ends_with('(') && label_behind(rest, first, choices)
}

/// Whether boxes of other choices are joined to the one that stands in `range`.
pub(super) fn boxes(
    text: &str,
    range: std::ops::Range<usize>,
    is_other: impl Fn(&str) -> bool,
) -> bool {
    let start = floor(text, range.start.saturating_sub(REACH));
    if !text[start..range.start].contains("box") {
        return false;
    }
    let joined = last_boxes(&text[start..range.end]);
    joined.is_some_and(|(joined, _)| joined.split(", ").any(is_other))
}

/// "A and B", "A, B", "A/B", "A (or B)", "(A)(B)", `A \lor B`.
fn joined(rest: &str, place: Place, first: usize, choices: &Choices<'_>) -> bool {
    let mut tail = rest;
    let (mut link, mut closed, mut brackets) = (false, false, false);
    loop {
        let Some(next) = tail.chars().next() else { return false };
        let after = &tail[next.len_utf8()..];
        match next {
            ',' | '/' | '&' | ';' => link = true,
            ')' | ']' | '}' => closed = true,
            '(' | '[' | '{' => brackets |= closed,
            '\n' => return false,
            _ if next.is_whitespace() || "*_`\"'“”‘’$".contains(next) => {}
            '\\' => {
                let name = word(after);
                link |= listed(&["lor", "vee", "land", "wedge"], name);
                // `\,` and `\&` are a mark each.
                tail = if name.is_empty() {
                    after.trim_start_matches([',', ' '])
                } else {
                    &after[name.len()..]
                };
                continue;
            }
            _ if next.is_alphanumeric() => {
                let word = word(tail);
                if word.len() == 1 {
                    let spaced = place == Place::Box && tail.len() < rest.len();
                    return names(tail, link, link || brackets || spaced, first, choices);
                }
                if listed(&["and", "or"], word) {
                    link = true;
                } else if !(link && is_doubtful(word)) {
                    return false;
                }
                tail = &tail[word.len()..];
                continue;
            }
            _ => return false,
        }
        tail = after;
    }
}

/// Stands between "or" and the second letter.
fn is_doubtful(word: &str) -> bool {
    let doubtful =
        ["maybe", "perhaps", "even", "also", "else", "either", "both", "option", "choice"];
    listed(&doubtful, word) || is_adverb(word)
}

fn word(text: &str) -> &str {
    &text[..text.find(|next: char| !next.is_alphanumeric()).unwrap_or(text.len())]
}

/// Whether the letter here names another choice than `first`; `link` for a comma or word before it.
fn names(tail: &str, link: bool, joined: bool, first: usize, choices: &Choices<'_>) -> bool {
    let byte = tail.as_bytes()[0];
    if !joined || !byte.is_ascii() || choices.of_letter(byte).is_none_or(|second| second == first) {
        return false;
    }
    let after = &tail[1..];
    if after.starts_with(|next: char| next.is_alphanumeric() || "'’-".contains(next)) {
        return false;
    }
    let ends =
        after.is_empty() || after.starts_with(['.', ')', ']', '}', '\n', '*', '$', ',', ';']);
    if byte.is_ascii_lowercase() || !link {
        return ends && byte.is_ascii_alphabetic() && (link || byte.is_ascii_uppercase());
    }
    !goes_on(byte, after)
}

/// Whether a sentence begins with the letter: "B, and A is wrong" decides for B.
fn goes_on(byte: u8, after: &str) -> bool {
    let closers =
        |next: char| next.is_whitespace() && next != '\n' || "*_`\"'”’)]}$".contains(next);
    let word = word(after.trim_start_matches(closers));
    let article = matches!(byte, b'A' | b'I')
        && !word.is_empty()
        && !listed(&["are", "both", "or", "and"], word);
    let verbs =
        ["is", "was", "has", "does", "would", "can", "cannot", "isn", "could", "should", "fails"];
    article || listed(&verbs, word)
}

/// Whether the text of another choice follows that of `first`: "red or green", "red, green".
pub(super) fn texts(rest: &str, first: usize, choices: &Choices<'_>) -> bool {
    let marks = |next: char| next == ' ' || "*_`\"'“”‘’$)]".contains(next);
    let rest = rest.trim_start_matches(marks);
    let mut tail =
        rest.strip_prefix([',', '/', '&', ';']).unwrap_or(rest).trim_start_matches(marks);
    let mut joined = tail.len() < rest.len();
    while ["and", "or"].contains(&word(tail)) || joined && is_doubtful(word(tail)) {
        tail = tail[word(tail).len()..].trim_start_matches(marks);
        joined = true;
    }
    let begins =
        |other: usize| choices.begins(tail, other).is_some_and(|(end, _)| ends(&tail[end..]));
    joined && (0..choices.len).any(|other| other != first && begins(other))
}

/// What follows a label and the text of its choice: "A) red, …".
fn behind_text<'t>(rest: &'t str, first: usize, choices: &Choices<'_>) -> Option<&'t str> {
    let text = rest.trim_start_matches([')', '.', ':', ' ', '*', ']']);
    let (end, _) = choices.begins(text, first).filter(|_| text.len() < rest.len())?;
    Some(&text[end..])
}

/// Whether a label of the same form follows on the line, as "B)" in "A) red, B) green".
fn label_behind(rest: &str, first: usize, choices: &Choices<'_>) -> bool {
    let Some(line) = rest.strip_prefix(')').and_then(|rest| rest.lines().next()) else {
        return false;
    };
    let is_label = |(close, _): (usize, &str)| {
        let before = line[..close].trim_end_matches(|next: char| next.is_ascii_uppercase());
        let apart = before.trim_end_matches([' ', '*']);
        let listed =
            apart.ends_with([',', ';']) || apart.ends_with(" and") || apart.ends_with(" or");
        let byte = line.as_bytes()[before.len()];
        before.len() + 1 == close
            && listed
            && choices.of_letter(byte).is_some_and(|second| second != first)
            && !goes_on(byte, &line[close..])
    };
    line.match_indices(')').any(is_label)
}
