//! Finding the final answer in a model's output: boxes, phrases, formulas, numbers. One pass each,
//! no backtracking.

use memchr::{memchr_iter, memrchr_iter};

/// Bytes of an output that are read: what stands last counts.
const MAX_RESPONSE: usize = 1 << 20;

/// Ends the reasoning.
const THINK: &[u8] = b"</think>";

/// Stand between turns in the templates of the usual models.
const TURNS: [&str; 17] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
    "<|end|>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<｜end▁of▁sentence｜>",
    "</s>",
];

/// Opens a turn of a dialogue in plain text.
const HUMAN: &str = "\n\nHuman:";

/// Boxes that are one answer together, at most.
const MAX_JOINED: usize = 64;

/// Around an answer, where a prompt asks for tags.
const TAG: [&str; 2] = ["<answer>", "</answer>"];

/// What a model said last, without its reasoning and without turns it made up; of that the last
/// `<answer>…</answer>`, if there is one.
pub(super) fn final_part(response: &str) -> &str {
    let text = last_turn(response);
    tagged(text).unwrap_or(text)
}

/// What stands in the last answer tag of an output: a whole answer.
pub(super) fn final_tag(response: &str) -> Option<&str> {
    tagged(last_turn(response))
}

/// The last tag with something in it; the end of the text closes it too.
fn tagged(text: &str) -> Option<&str> {
    let [open, close] = TAG;
    let mut end = text.len();
    text.rmatch_indices(open).find_map(|(at, _)| {
        let rest = &text[at + open.len()..end];
        end = at;
        let content = rest[..rest.find(close).unwrap_or(rest.len())].trim();
        (!content.is_empty()).then_some(content)
    })
}

fn last_turn(response: &str) -> &str {
    let mut start = response.len().saturating_sub(MAX_RESPONSE);
    while !response.is_char_boundary(start) {
        start += 1;
    }
    let mut text = &response[start..];
    let bytes = text.as_bytes();
    if let Some(at) = memrchr_iter(b'<', bytes).find(|at| bytes[*at..].starts_with(THINK)) {
        text = &text[at + THINK.len()..];
    }
    let text = text.trim_start();
    let bytes = text.as_bytes();
    let is_turn = |at: &usize| TURNS.iter().any(|turn| bytes[*at..].starts_with(turn.as_bytes()));
    // A marker at the very start opens this turn; a later one ends it.
    let end = memchr_iter(b'<', bytes).filter(|at| *at > 0).find(is_turn);
    let text = &text[..end.unwrap_or(text.len())];
    text[..text.find(HUMAN).unwrap_or(text.len())].trim_end()
}

/// A box and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Boxed<'a> {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) content: &'a str,
}

/// All `\boxed{…}` and `\fbox{…}` that are closed, outermost only, in order.
pub(super) fn boxes(text: &str) -> Vec<Boxed<'_>> {
    let closes = closing_braces(text);
    let mut found: Vec<Boxed<'_>> = Vec::new();
    for (at, _) in text.match_indices("box") {
        let Some(start) = command_start(text, at) else { continue };
        if found.last().is_some_and(|last| start < last.end) {
            continue;
        }
        let after = at + "box".len() + if text[at + 3..].starts_with("ed") { 2 } else { 0 };
        let inside = after + (text[after..].len() - text[after..].trim_start().len());
        let Some(next) = text[inside..].chars().next() else { continue };
        if next == '{' {
            if let Some(end) = closes.get(&inside) {
                found.push(Boxed { start, end: end + 1, content: &text[inside + 1..*end] });
            }
        } else if next.is_ascii_alphanumeric() && inside > after {
            // `\boxed 5`
            let len = text[inside..].find(|c: char| !c.is_ascii_alphanumeric() && c != '.');
            let end = len.map_or(text.len(), |len| inside + len);
            found.push(Boxed { start, end, content: text[inside..end].trim_end_matches('.') });
        }
    }
    found
}

/// The backslash of the command whose "box" is `at`.
fn command_start(text: &str, at: usize) -> Option<usize> {
    let before = &text[..at];
    let before =
        before.strip_suffix('f').filter(|_| !text[at + 3..].starts_with("ed")).unwrap_or(before);
    let is_boxed = text[at + 3..].starts_with("ed");
    let slashes = before.len() - before.trim_end_matches('\\').len();
    ((is_boxed || before.len() < at) && slashes > 0).then(|| before.len() - slashes)
}

/// For every opening brace its closing one.
fn closing_braces(text: &str) -> std::collections::HashMap<usize, usize> {
    let (mut open, mut closes) = (Vec::new(), std::collections::HashMap::new());
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                if let Some(start) = open.pop() {
                    closes.insert(start, at);
                }
            }
            _ => {}
        }
    }
    closes
}

/// The last boxes, as one list where only connectives stand between them, and what follows them.
pub(super) fn last_boxes(text: &str) -> Option<(String, usize)> {
    let boxes = boxes(text);
    let last = boxes.last()?;
    let mut parts = vec![last.content];
    for pair in boxes.windows(2).rev().take(MAX_JOINED - 1) {
        if !connects(&text[pair[0].end..pair[1].start]) {
            break;
        }
        parts.push(pair[0].content);
    }
    parts.reverse();
    let mut kept: Vec<&str> = Vec::new();
    for part in parts.iter().map(|part| part.trim()) {
        if !kept.contains(&part) {
            kept.push(part);
        }
    }
    let mut answer = kept.join(", ");
    if percent_follows(&text[last.end..]) {
        answer.push('%');
    }
    Some((answer, last.end))
}

/// Whether what stands between two boxes makes them one answer.
fn connects(gap: &str) -> bool {
    if gap.len() > 80 || gap.contains("\n\n") {
        return false;
    }
    let mut words = gap.split(|next: char| !next.is_alphanumeric()).filter(|word| !word.is_empty());
    words.all(|word| matches!(word, "and" | "or" | "quad" | "qquad" | "text") || word.len() == 1)
        && !gap.contains(['+', '*', '/', '^', '<', '>'])
}

/// Whether a value is followed by a per cent sign or word, across the end of its formula.
pub(super) fn percent_follows(rest: &str) -> bool {
    let rest = rest.trim_start_matches(|next: char| next.is_whitespace() || next == '$');
    let rest = rest.strip_prefix("\\)").or(rest.strip_prefix("\\]")).unwrap_or(rest).trim_start();
    ["%", "\\%", "percent", "pct"].iter().any(|word| rest.starts_with(word))
}

/// A formula between its marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Span {
    /// The same place counted from byte `at`, if it is not before that.
    pub(super) fn behind(self, at: usize) -> Option<Self> {
        Some(Self { start: self.start.checked_sub(at)?, end: self.end - at })
    }
}

/// All formulas `$…$`, `$$…$$`, `\(…\)`, `\[…\]`, without their marks, in order.
pub(super) fn formulas(text: &str) -> Vec<Span> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut open: Option<(usize, u8)> = None;
    let mut at = 0;
    while at < bytes.len() {
        let pair = (bytes[at], bytes.get(at + 1).copied().unwrap_or(0));
        match pair {
            (b'\\', b'(' | b'[') if open.is_none_or(|(_, mark)| mark == b'$') => {
                open = Some((at + 2, pair.1));
                at += 1;
            }
            (b'\\', b')' | b']') => {
                if let Some((start, b'(' | b'[')) = open {
                    found.push(Span { start, end: at });
                    open = None;
                }
                at += 1;
            }
            (b'\\', _) => at += 1,
            (b'$', next) => {
                let width = if next == b'$' { 2 } else { 1 };
                match open {
                    Some((start, b'$')) => {
                        if start < at {
                            found.push(Span { start, end: at });
                        }
                        open = None;
                    }
                    None => open = Some((at + width, b'$')),
                    Some(_) => {}
                }
                at += width - 1;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// What stands before the next question that a base model asks itself, if it asks one.
pub(super) fn before_question(text: &str) -> Option<&str> {
    let is_question = |at: &usize| {
        let rest = &text.as_bytes()[at + 1..];
        rest.starts_with(b"Question:") || rest.starts_with(b"Q:")
    };
    memchr_iter(b'\n', text.as_bytes()).find(is_question).map(|at| &text[..at])
}

/// All numerals of plain text, with sign, fraction and per cent, in order.
pub(super) fn numbers(text: &str) -> Vec<Span> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let end_of = |i: usize| chars.get(i).map_or(text.len(), |(at, _)| *at);
    let is_digit = |i: usize| chars.get(i).is_some_and(|(_, next)| next.is_ascii_digit());
    let char_at = |i: usize| chars.get(i).map(|(_, next)| *next);
    let group = |i: usize| is_digit(i) && is_digit(i + 1) && is_digit(i + 2) && !is_digit(i + 3);
    let mut found = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let vulgar = char_at(i).is_some_and(|next| "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞".contains(next));
        let point = char_at(i) == Some('.') && is_digit(i + 1);
        if !is_digit(i) && !vulgar && !point {
            i += 1;
            continue;
        }
        let mut start = i;
        let mut whole = 0;
        while is_digit(i) {
            (i, whole) = (i + 1, whole + 1);
        }
        while (1..=3).contains(&whole)
            && matches!(char_at(i), Some(',' | ' ' | '\u{a0}'))
            && group(i + 1)
        {
            i += 4;
        }
        if char_at(i) == Some(',') && is_digit(i + 1) && whole > 0 {
            // 1,22: a comma in place of the point, if no groups came before.
            let digits = (i + 1..).take_while(|j| is_digit(*j)).count();
            i += if digits == 3 { 0 } else { digits + 1 };
        } else if char_at(i) == Some('.') && is_digit(i + 1) {
            i += 1;
            while is_digit(i) {
                i += 1;
            }
        }
        if vulgar && start == i {
            i += 1;
        }
        let sign = usize::from(matches!(char_at(i + 1), Some('-' | '+')));
        if matches!(char_at(i), Some('e' | 'E')) && is_digit(i + 1 + sign) {
            i += 1 + sign;
            while is_digit(i) {
                i += 1;
            }
        }
        // 3 1/2
        let mixed = if whole > 0 && i == start + whole && char_at(i) == Some(' ') {
            let digits = (i + 1..).take_while(|j| is_digit(*j)).count();
            let quotient = char_at(i + 1 + digits) == Some('/') && is_digit(i + 2 + digits);
            if digits > 0 && quotient { digits + 1 } else { 0 }
        } else {
            0
        };
        i += mixed;
        if char_at(i) == Some('/') && is_digit(i + 1) {
            i += 1;
            while is_digit(i) {
                i += 1;
            }
        }
        if char_at(i) == Some('%') {
            i += 1;
        }
        let minus = start.checked_sub(1).filter(|j| matches!(char_at(*j), Some('-' | '−')));
        let binds = |j: usize| {
            j.checked_sub(1)
                .and_then(char_at)
                .is_some_and(|next| next.is_alphanumeric() || next == ')')
        };
        if let Some(j) = minus.filter(|j| !binds(*j)) {
            start = j;
        }
        found.push(Span { start: end_of(start), end: end_of(i) });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_ends_where_another_begins() {
        for (response, part) in [
            ("It is 5.\n<|user|>\nAnd now? 7", "It is 5."),
            ("It is 5.<end_of_turn>\n<start_of_turn>user\n7", "It is 5."),
            ("It is 5.<｜end▁of▁sentence｜><｜User｜>7", "It is 5."),
            ("It is 5.\n\nHuman: and 7?\n\nAssistant: 8", "It is 5."),
            ("<|assistant|>It is 5.<|end|>", "<|assistant|>It is 5."),
            ("Human: is 5 < 7? I say so", "Human: is 5 < 7? I say so"),
            ("<think>5</think>\n<answer>6</answer> is it", "6"),
            ("5 < 6 and 7 |> 8", "5 < 6 and 7 |> 8"),
        ] {
            assert_eq!(final_part(response), part, "{response:?}");
        }
    }

    #[test]
    fn boxes_are_joined_up_to_a_bound() {
        let boxes: Vec<String> = (0..1000).map(|i| format!("\\boxed{{{i}}}")).collect();
        let (joined, end) = last_boxes(&boxes.join(", ")).unwrap();
        assert_eq!(joined.split(", ").count(), MAX_JOINED);
        assert!(joined.starts_with("936, ") && joined.ends_with(", 999"));
        assert_eq!(end, boxes.join(", ").len());
    }

    #[test]
    fn numerals_are_whole() {
        let found = |text: &'static str| -> Vec<&'static str> {
            numbers(text).into_iter().map(|span| &text[span.start..span.end]).collect()
        };
        assert_eq!(found("3 1/2 cups of 12 and 1/2"), ["3 1/2", "12", "1/2"]);
        assert_eq!(found("1,234 1/2"), ["1,234", "1/2"]);
        assert_eq!(found("-2 3/4"), ["-2 3/4"]);
    }
}
