//! Where in an output JSON objects may stand. Every byte is looked at a fixed number of times,
//! however braces and quotes are arranged.

use std::{borrow::Cow, ops::Range};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";
/// Beginnings that are tried again behind an object that does not end.
const RETRIES: usize = 8;

/// The output without reasoning.
///
/// What stands between `<think>` and `</think>` goes. A `</think>` that nothing opened ends reasoning
/// that began in the prompt: all before it goes. A `<think>` that is not closed begins reasoning that
/// was cut off: all behind it goes.
pub(super) fn without_reasoning(text: &str) -> Cow<'_, str> {
    if !text.contains(OPEN) && !text.contains(CLOSE) {
        return Cow::Borrowed(text);
    }
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let mut thinking = false;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        if !thinking {
            kept.push_str(before);
        }
        if let Some(behind) = tag.strip_prefix(OPEN) {
            thinking = true;
            rest = behind;
        } else if let Some(behind) = tag.strip_prefix(CLOSE) {
            if !thinking {
                kept.clear();
            }
            thinking = false;
            rest = behind;
        } else {
            if !thinking {
                kept.push('<');
            }
            rest = &tag[1..];
        }
    }
    if !thinking {
        kept.push_str(rest);
    }
    Cow::Owned(kept)
}

/// What looks like objects.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Objects {
    /// From `{` to the `}` that closes it, in order, none inside another.
    pub(super) spans: Vec<Range<usize>>,
    /// Whether one begins and does not end.
    pub(super) unclosed: bool,
}

/// The objects of a text.
///
/// An object begins with a brace and, behind white space, a quote or the closing brace: sets, LaTeX
/// groups and code in prose do not. Braces inside strings do not count. Behind an object that does
/// not end, the last few beginnings are tried again: a draft that was dropped in the middle of a
/// string does not hide what follows.
pub(super) fn objects(text: &str) -> Objects {
    let bytes = text.as_bytes();
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(start) = beginning(bytes, from) {
        let Some(end) = end_of(bytes, start) else {
            again(bytes, start + 1, &mut spans);
            return Objects { spans, unclosed: true };
        };
        spans.push(start..end);
        from = end;
    }
    Objects { spans, unclosed: false }
}

fn again(bytes: &[u8], from: usize, spans: &mut Vec<Range<usize>>) {
    let mut starts = Vec::new();
    let mut at = from;
    while let Some(start) = beginning(bytes, at) {
        starts.push(start);
        at = start + 1;
    }
    let mut from = from;
    for &start in &starts[starts.len().saturating_sub(RETRIES)..] {
        if start < from {
            continue;
        }
        if let Some(end) = end_of(bytes, start) {
            spans.push(start..end);
            from = end;
        }
    }
}

/// The first place at or behind `from` where an object begins.
fn beginning(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while at < bytes.len() {
        let start = at;
        at += 1;
        if bytes[start] != b'{' {
            continue;
        }
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        if matches!(bytes.get(at), Some(b'"' | b'}')) {
            return Some(start);
        }
    }
    None
}

/// The place behind the brace that closes the one at `start`.
fn end_of(bytes: &[u8], start: usize) -> Option<usize> {
    let (mut depth, mut string) = (0_usize, false);
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if string => at += 1,
            b'"' => string = !string,
            b'{' if !string => depth += 1,
            b'}' if !string => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_goes() {
        for (text, kept) in [
            ("a<think>b</think>c", "ac"),
            ("b</think>c", "c"),
            ("a<think>b", "a"),
            ("<think>b</think>c<think>d", "c"),
            ("<think><think>b</think>c</think>d", "d"),
            ("a < b <thin>", "a < b <thin>"),
            ("<<think>b</think>>", "<>"),
            ("é</think>ü", "ü"),
            ("</think></think>", ""),
        ] {
            assert_eq!(without_reasoning(text), kept, "{text}");
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str], unclosed: bool) {
        let found = objects(text);
        let texts: Vec<&str> = found.spans.iter().map(|span| &text[span.clone()]).collect();
        assert_eq!((&texts[..], found.unclosed), (expected, unclosed), "{text}");
    }

    #[test]
    fn objects_are_found_outside_strings_and_prose() {
        check(r#"x {"a": {"b": 1}} y {} z"#, &[r#"{"a": {"b": 1}}"#, "{}"], false);
        check(r#"\frac{a}{b} {x | x > 0} {"a": 1}"#, &[r#"{"a": 1}"#], false);
        check(r#"{"a": "}{\"}"} {"#, &[r#"{"a": "}{\"}"}"#], false);
        check(r#"{"a": "b"#, &[], true);
        check("", &[], false);
        check("}}}{{{", &[], false);
    }

    #[test]
    fn a_dropped_draft_does_not_hide_what_follows() {
        check(r#"{"a": "cut off, again: {"b": 1} done"#, &[r#"{"b": 1}"#], true);
        check(r#"{"a": {"b": 1}, {"c": 2}"#, &[r#"{"b": 1}"#, r#"{"c": 2}"#], true);
    }
}
