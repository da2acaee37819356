//! What stands behind an announcement: a letter, a choice's text, a list, or nothing.

use super::{
    Choices, Reading, denial,
    several::{self, Place},
    wording::{is_style, opens_tag},
};

/// Whether an announcement must be linked to the answer by "is", ":" or "=".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// It must.
    Needed,
    /// It must, or a capital letter follows at once: "answer (B)".
    Loose,
    /// It need not: "I choose B".
    None,
}

/// Bytes between an announcement and its answer, at most.
const REACH: usize = 160;

/// Bytes of a box that are read.
const MAX_BOX: usize = 4000;

/// Words that may stand between an announcement and its answer; adverbs may too.
const FILLERS: [&str; 55] = [
    "above",
    "among",
    "an",
    "answer",
    "as",
    "best",
    "both",
    "by",
    "choice",
    "choices",
    "correct",
    "correcta",
    "corresponding",
    "da",
    "de",
    "either",
    "es",
    "est",
    "final",
    "following",
    "for",
    "given",
    "here",
    "hence",
    "indeed",
    "instead",
    "ist",
    "la",
    "le",
    "letter",
    "listed",
    "most",
    "my",
    "now",
    "of",
    "option",
    "options",
    "our",
    "problem",
    "question",
    "rather",
    "response",
    "should",
    "so",
    "statement",
    "that",
    "the",
    "then",
    "therefore",
    "this",
    "thus",
    "to",
    "with",
    "would",
    "è",
];

/// Words that link.
const LINKS: [&str; 12] =
    ["is", "are", "be", "was", "must", "est", "es", "ist", "è", "equals", "becomes", "remains"];

/// Words that go on after the letter A or I where it is an answer, not an article or a pronoun.
const AFTER_LETTER: [&str; 24] = [
    "and", "as", "because", "but", "by", "can", "could", "for", "given", "has", "however", "if",
    "in", "is", "not", "or", "rather", "since", "so", "that", "which", "while", "with", "yes",
];

/// Reads what is announced from byte `at` on.
pub(super) fn read(text: &str, at: usize, link: Link, choices: &Choices<'_>) -> Reading {
    let mut cursor = Cursor { text, at, end: floor(text, at.saturating_add(REACH)), open: false };
    let (mut said, mut words) = (false, 0);
    let (mut breaks, mut denied) = (0, false);
    loop {
        let Some(next) = cursor.peek() else { return Reading::Nothing };
        let linked = said || link == Link::None;
        if linked && !denied && !next.is_whitespace() && !cursor.is_bullet() {
            let reading = choices.text_here(text, cursor.at);
            if reading != Reading::Nothing {
                return reading;
            }
            if cursor.is_sign(next) {
                return Reading::Nothing;
            }
        }
        match next {
            ':' | '=' | '：' => said = true,
            '\n' => {
                breaks += 1;
                if breaks > 3 || (!linked && words > 0) {
                    return Reading::Nothing;
                }
            }
            ' ' | '\t' | '\r' | '\u{a0}' | '*' | '_' | '`' | '"' | '\'' | '“' | '‘' | '$' | '>'
            | '-' | '–' | '—' | '#' | '|' | ',' => {}
            '(' | '[' | '{' | '（' => {
                cursor.open = true;
                cursor.bump(next);
                continue;
            }
            // "The answer (in my view) is B."
            ')' | ']' | '}' => {}
            '\\' => match cursor.command() {
                Command::Skip => continue,
                Command::Box(_) if denied => return Reading::Nothing,
                Command::Box(at) => return boxed(text, at, choices),
                Command::Other => return Reading::Nothing,
            },
            '是' | '为' | '選' | '选' => said = true,
            _ if next.is_alphanumeric() => {
                let word = cursor.word();
                if denied {
                    let Some(behind) = behind_but(&text[cursor.at..cursor.end]) else {
                        return Reading::Nothing;
                    };
                    (denied, cursor.open) = (false, false);
                    cursor.at += behind;
                    continue;
                }
                if word.len() == 1 {
                    let capital = word.as_bytes()[0].is_ascii_uppercase();
                    // "We choose a, b > 0"
                    if !(said || link != Link::Needed && capital || linked && cursor.open) {
                        return Reading::Nothing;
                    }
                    return letter(text, cursor.at, cursor.open, choices);
                }
                words += 1;
                let is_link = listed(&LINKS, word);
                denied = linked && word.eq_ignore_ascii_case("not");
                let passed = is_link || denied || listed(&FILLERS, word);
                if words > 12 || !(passed || denial::is_adverb(word)) {
                    return Reading::Nothing;
                }
                said |= is_link;
                cursor.at += word.len();
                cursor.open = false;
                continue;
            }
            _ => return Reading::Nothing,
        }
        cursor.bump(next);
        cursor.open &= next == ' ' || next == '*' || next == '$';
    }
}

/// Where the right answer begins in "A but B", of which the first was denied.
fn behind_but(text: &str) -> Option<usize> {
    let sentence = &text[..text.find(['.', '!', '?', ';', '\n']).unwrap_or(text.len())];
    sentence.find(" but ").map(|at| at + " but ".len())
}

/// Reads a box whose command begins at byte `at`, and those that are joined to it.
pub(super) fn boxed(text: &str, at: usize, choices: &Choices<'_>) -> Reading {
    let Some(content) = content(text, at) else { return Reading::Nothing };
    let reading = inside(&text[content.clone()], choices);
    let Reading::Choice(index) = reading else { return reading };
    let is_other = |part: &str| match inside(part, choices) {
        Reading::Choice(other) => other != index,
        Reading::Several => true,
        Reading::Nothing => false,
    };
    if several::boxes(text, at..content.end + 1, is_other) { Reading::Several } else { reading }
}

/// Reads what is inside a box.
fn inside(content: &str, choices: &Choices<'_>) -> Reading {
    if let Some(index) = choices.of_text(content).or_else(|| choices.of_text(unwrapped(content))) {
        return Reading::Choice(index);
    }
    let skipped = content.len() - content.trim_start_matches(is_wrapper).len();
    let inner = strip_commands(&content[skipped..]);
    if let Some(index) = choices.of_text(inner.trim_end_matches(is_wrapper)) {
        return Reading::Choice(index);
    }
    let inner = inner.trim_start_matches(is_wrapper);
    let mut words =
        inner.split(|next: char| !next.is_alphanumeric()).filter(|word| !word.is_empty());
    let Some(first) = words.next() else { return Reading::Nothing };
    if first.len() == 1 && first.is_ascii() {
        let begin = inner.find(char::is_alphanumeric).unwrap_or(0);
        let reading = letter(inner, begin, true, choices);
        let Reading::Choice(index) = reading else { return reading };
        let several = several::another(inner, begin + 1, Place::Box, index, choices);
        return if several { Reading::Several } else { reading };
    }
    // `\boxed{Answer: C}`, `\boxed{Option C}`
    if listed(&["answer", "option", "choice", "letter", "the", "final", "correct"], first) {
        return read(inner, 0, Link::None, choices);
    }
    Reading::Nothing
}

/// Where the inside of a box is, if its braces close.
fn content(text: &str, at: usize) -> Option<std::ops::Range<usize>> {
    let bytes = text.as_bytes();
    let end = bytes.len().min(at + MAX_BOX);
    let name =
        at + 1 + bytes[at + 1..end].iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let open = name + bytes[name..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    if bytes.get(open) != Some(&b'{') {
        return None;
    }
    let mut depth = 0_usize;
    for (i, byte) in bytes[open..end].iter().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(open + 1..open + i);
        }
    }
    None
}

/// `\text{B}` → `B`: commands that only change how a text looks are taken off its start.
fn strip_commands(text: &str) -> &str {
    let mut text = text;
    for _ in 0..8 {
        let Some(rest) = text.trim_start().strip_prefix('\\') else { break };
        let name =
            rest.len() - rest.trim_start_matches(|next: char| next.is_ascii_alphabetic()).len();
        if !is_style(&rest[..name]) {
            break;
        }
        text = rest[name..].trim_start_matches(|next: char| next == '{' || is_wrapper(next));
    }
    text.trim_end_matches(['}', ' '])
}

/// A text without the command, quotes and dollars around it.
fn unwrapped(text: &str) -> &str {
    text.trim_matches(is_wrapper)
}

fn is_wrapper(next: char) -> bool {
    next.is_whitespace() || "*_`\"'“”‘’$([{}])~,;.:".contains(next)
}

/// Whether the single letter at byte `at` is an answer, and the only one.
pub(super) fn letter(text: &str, at: usize, open: bool, choices: &Choices<'_>) -> Reading {
    let byte = text.as_bytes()[at];
    let Some(index) = choices.of_letter(byte) else { return Reading::Nothing };
    let rest = &text[at + 1..];
    if !stands_alone(byte, rest, open) || denial::behind(rest) {
        return Reading::Nothing;
    }
    let several = several::another(text, at + 1, Place::Text, index, choices);
    if several { Reading::Several } else { Reading::Choice(index) }
}

/// Whether a letter with `rest` behind it is a letter, and not a word, a variable or an initial.
fn stands_alone(byte: u8, rest: &str, open: bool) -> bool {
    let mut chars = rest.chars();
    let Some(next) = chars.next() else { return true };
    let after = chars.next();
    let joins = |next: char| next.is_alphanumeric() || next == '_';
    match next {
        '\'' | '’' | '-' | '−' if after.is_some_and(joins) => return false,
        // "D.C.", "U.S."
        '.' if after.is_some_and(char::is_alphabetic) && chars.next() == Some('.') => return false,
        '<' if !opens_tag(rest) => return false,
        '=' | '^' | '+' => return false,
        _ if next.is_ascii_alphanumeric() || next == '_' && after.is_some_and(joins) => {
            return false;
        }
        _ => {}
    }
    let word = rest.trim_start_matches(' ');
    let spaced = word.len() < rest.len();
    if spaced && word.starts_with(['=', '+', '^', '<', '>']) && !opens_tag(word) {
        return false;
    }
    let word = &word[..word.find(|next: char| !next.is_alphanumeric()).unwrap_or(word.len())];
    if byte.is_ascii_lowercase() {
        // "(b)", "b." or "b" at the end of a line; "a cell" is a word.
        return !spaced || word.is_empty() || open && ")]}:.".contains(next);
    }
    let is_word = matches!(byte, b'A' | b'I') && spaced && !word.is_empty() && !open;
    !is_word || listed(&AFTER_LETTER, word)
}

/// Whether the word is in the list, in either case.
pub(super) fn listed(list: &[&str], word: &str) -> bool {
    list.iter().any(|listed| listed.eq_ignore_ascii_case(word))
}

/// The character boundary at or before a byte.
pub(super) fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// A command met between an announcement and its answer.
enum Command {
    /// It says nothing: `\text{`, `\(`, `\ `.
    Skip,
    /// A box, which begins here.
    Box(usize),
    /// A formula: no letter.
    Other,
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    /// Whether a bracket was opened just before.
    open: bool,
}

impl Cursor<'_> {
    fn peek(&self) -> Option<char> {
        self.text.get(self.at..self.end)?.chars().next()
    }

    fn bump(&mut self, next: char) {
        self.at += next.len_utf8();
    }

    /// Whether only white space and marks stand before on the line.
    fn is_start(&self) -> bool {
        let before = self.text[..self.at].trim_end_matches([' ', '>', '*']);
        before.is_empty() || before.ends_with('\n')
    }

    /// Whether a bullet of a list is here.
    fn is_bullet(&self) -> bool {
        self.text[self.at..self.end].starts_with("- ") && self.is_start()
    }

    /// Whether the dash or "greater than" here belongs to a value: it is no quotation or arrow.
    fn is_sign(&self, next: char) -> bool {
        let rest = &self.text[self.at..self.end][next.len_utf8()..];
        let glued = |next: char| next.is_alphanumeric() || "$.\\√".contains(next);
        let value = |next: char| next.is_ascii_digit() || next == '$';
        match next {
            '-' | '−' | '–' => rest.starts_with(glued) || rest.trim_start().starts_with(value),
            '>' => !self.is_start() && !self.text[..self.at].ends_with(['-', '=']),
            _ => false,
        }
    }

    /// The run of letters and digits here.
    fn word(&self) -> &str {
        let rest = &self.text[self.at..self.end];
        &rest[..rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len())]
    }

    fn command(&mut self) -> Command {
        let start = self.at;
        let rest = &self.text[start + 1..];
        let name =
            &rest[..rest.find(|next: char| !next.is_ascii_alphabetic()).unwrap_or(rest.len())];
        self.at += 1 + name.len();
        if name.is_empty() {
            // `\(`, `\[`, `\,`, `\ `
            let Some(next) = self.peek() else { return Command::Other };
            self.bump(next);
            return Command::Skip;
        }
        match name {
            "boxed" | "fbox" | "Boxed" => Command::Box(start),
            _ if is_style(name) => {
                self.open = true;
                Command::Skip
            }
            "quad" | "qquad" | "n" => Command::Skip,
            _ => Command::Other,
        }
    }
}
