//! Words that announce a decision, found from the end of a text.

use super::{
    Choices, Reading,
    candidate::{self, Link},
};

/// A place where a decision may be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// The answer comes behind here.
    Ahead(usize, Link),
    /// A box, whose command begins here.
    Box(usize),
    /// "… is correct": the answer ends here.
    Behind(usize),
}

/// Words with the answer behind them, and whether "is", ":" or "=" must come between.
const AHEAD: [(&str, Link); 16] = [
    ("answer", Link::Loose),
    ("ans", Link::Needed),
    ("option", Link::Needed),
    ("choice", Link::Needed),
    ("correct one", Link::Needed),
    ("correct letter", Link::Needed),
    ("correct statement", Link::Needed),
    ("choose", Link::None),
    ("select", Link::None),
    ("pick", Link::None),
    ("go with", Link::None),
    ("réponse", Link::Needed),
    ("respuesta", Link::Needed),
    ("risposta", Link::Needed),
    ("antwort", Link::Needed),
    ("答案", Link::Needed),
];

/// What follows an answer that is said to be right.
const BEHIND: [&str; 6] =
    ["is correct", "is the correct", "is right", "is the right", "is the answer", "is the best"];

/// Cues from the last to the first.
pub(super) struct Cues<'a> {
    text: &'a [u8],
    /// All from here on has been looked at.
    at: usize,
}

impl<'a> Cues<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text: text.as_bytes(), at: text.len() }
    }
}

impl Iterator for Cues<'_> {
    type Item = Cue;

    fn next(&mut self) -> Option<Cue> {
        while self.at > 0 {
            self.at -= 1;
            let at = self.at;
            // Words begin behind what is no letter.
            if at > 0 && self.text[at - 1].is_ascii_alphanumeric() && self.text[at] != b'\\' {
                continue;
            }
            let found = match self.text[at] {
                b'\\' => is_box(self.text, at).then_some(Cue::Box(at)),
                b'i' => {
                    BEHIND.iter().any(|cue| said(self.text, at, cue)).then_some(Cue::Behind(at))
                }
                b'A' | b'a' | b'C' | b'c' | b'G' | b'g' | b'O' | b'o' | b'P' | b'p' | b'R'
                | b'r' | b'S' | b's' | 0xe7 => ahead(self.text, at),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

fn ahead(text: &[u8], at: usize) -> Option<Cue> {
    let (word, link) = AHEAD.iter().find(|(word, _)| said(text, at, word))?;
    let end = at + word.len();
    if *link == Link::None && negated(&text[..at]) {
        return None;
    }
    // "The closest option is (B)" says that none is right.
    if matches!(*word, "option" | "choice") && !praised(&text[..at]) {
        return None;
    }
    let plural = usize::from(text.get(end).is_some_and(|next| next.eq_ignore_ascii_case(&b's')));
    let next = text.get(end + plural);
    // "answered", "optional", "selection" are other words; 答案 joins what follows.
    let whole = !next.is_some_and(u8::is_ascii_alphabetic);
    whole.then_some(Cue::Ahead(end + plural, *link))
}

/// Whether the word stands here, in either case.
fn said(text: &[u8], at: usize, word: &str) -> bool {
    let here = text.get(at..at + word.len());
    here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the word before is a "not".
fn negated(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    ["not", "n't", "never", "cannot", "n’t"].iter().any(|word| {
        before.len() >= word.len()
            && before[before.len() - word.len()..].eq_ignore_ascii_case(word.as_bytes())
    })
}

/// Whether the word before says that what follows is the one.
fn praised(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let word = before.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or(b"");
    ["correct", "right", "best", "answer", "final", "my", "chosen", "appropriate", "only", "valid"]
        .iter()
        .any(|praise| word.eq_ignore_ascii_case(praise.as_bytes()))
}

fn is_box(text: &[u8], at: usize) -> bool {
    let rest = &text[at + 1..];
    ["boxed", "fbox", "Boxed"].iter().any(|name| rest.starts_with(name.as_bytes()))
}

impl Cue {
    pub(super) fn read(self, text: &str, choices: &Choices<'_>) -> Reading {
        match self {
            Self::Ahead(at, link) => candidate::read(text, at, link, choices),
            Self::Box(at) => candidate::boxed(text, at, choices),
            Self::Behind(at) => behind(text.as_bytes(), at, choices),
        }
    }
}

/// "(B) is correct": the letter before, unless a question or a condition is around it, or other
/// paragraphs follow: whoever weighs one choice after the other says it of statements too.
fn behind(text: &[u8], at: usize, choices: &Choices<'_>) -> Reading {
    if text[at..].windows(2).any(|pair| pair == b"\n\n") {
        return Reading::Nothing;
    }
    let line_end = text[at..].iter().take(40).position(|next| b".?!\n".contains(next));
    if line_end.is_some_and(|end| text[at + end] == b'?') {
        return Reading::Nothing;
    }
    let is_wrapper = |byte: &u8| b" *_`\"'()[]{}$.:".contains(byte);
    let wrappers = text[..at].iter().rev().take(8).take_while(|byte| is_wrapper(byte)).count();
    let Some(letter_at) = (at - wrappers).checked_sub(1).filter(|_| wrappers > 0) else {
        return Reading::Nothing;
    };
    let letter = text[letter_at];
    let before = &text[..letter_at];
    let starts = !before.last().is_some_and(|last| {
        !last.is_ascii() || last.is_ascii_alphanumeric() || b"'-".contains(last)
    });
    // "So I is correct" is the first person; lower case is a word or a name of a variable.
    let Some(index) = choices
        .of_letter(letter)
        .filter(|_| starts && letter.is_ascii_uppercase() && letter != b'I')
    else {
        return Reading::Nothing;
    };
    let before = before.trim_ascii_end();
    let word = before.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or(b"");
    let joined = ["if", "whether", "or", "and", "nor", "neither", "either", "when", "why", "not"];
    if joined.iter().any(|join| word.eq_ignore_ascii_case(join.as_bytes())) {
        return Reading::Nothing;
    }
    Reading::Choice(index)
}
