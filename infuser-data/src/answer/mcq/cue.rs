//! Words that announce a decision, found from the end of a text.

use super::{
    Choices, Reading,
    candidate::{self, Link, listed},
    denial,
};

/// A place where a decision may be announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// The answer comes behind here.
    Ahead(usize, Link),
    /// A box, whose command begins here.
    Box(usize),
    /// "… is correct": the answer ends here.
    Behind(usize, Weight),
}

/// How much a letter in front of "is correct" says about the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// "… is the correct answer.": as much as an announcement.
    Decision,
    /// "… is correct.": less, but it contradicts an announcement of another letter before it.
    Remark,
    /// "… is correct in other contexts": nothing, beside an announcement.
    Mention,
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
    text: &'a str,
    /// All from here on has been looked at.
    at: usize,
    /// Whether an announcement was passed over because it is denied.
    pub(super) denied: bool,
}

impl<'a> Cues<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: text.len(), denied: false }
    }
}

impl Iterator for Cues<'_> {
    type Item = Cue;

    fn next(&mut self) -> Option<Cue> {
        let bytes = self.text.as_bytes();
        while self.at > 0 {
            self.at -= 1;
            let at = self.at;
            // Words begin behind what is no letter.
            if at > 0 && bytes[at - 1].is_ascii_alphanumeric() && bytes[at] != b'\\' {
                continue;
            }
            let found = match bytes[at] {
                b'\\' => is_box(self.text, at).then_some(Cue::Box(at)),
                b'i' => behind(self.text, at),
                b'A' | b'a' | b'C' | b'c' | b'G' | b'g' | b'O' | b'o' | b'P' | b'p' | b'R'
                | b'r' | b'S' | b's' | 0xe7 => ahead(self.text, at),
                _ => None,
            };
            match found {
                Some(Cue::Ahead(..) | Cue::Box(_)) if self.is_denied(at) => self.denied = true,
                Some(_) => return found,
                None => {}
            }
        }
        None
    }
}

impl Cues<'_> {
    /// Whether what stands before an announcement takes it back: "the answer is not `\boxed{A}`".
    fn is_denied(&self, at: usize) -> bool {
        let before = &self.text[..at];
        if self.text.as_bytes()[at] != b'\\' {
            return denial::before(before);
        }
        let not = ["not", "cannot", "never", "isn't", "isn’t"];
        denial::clause_before(before).next().is_some_and(|word| listed(&not, word))
    }
}

fn ahead(text: &str, at: usize) -> Option<Cue> {
    let bytes = text.as_bytes();
    let (word, link) = AHEAD.iter().find(|(word, _)| said(bytes, at, word))?;
    let end = at + word.len();
    // "The closest option is (B)" says that none is right.
    if matches!(*word, "option" | "choice") && !praised(&bytes[..at]) {
        return None;
    }
    let plural = usize::from(bytes.get(end).is_some_and(|next| next.eq_ignore_ascii_case(&b's')));
    let next = bytes.get(end + plural);
    // "answered", "optional", "selection" are other words; 答案 joins what follows.
    let whole = !next.is_some_and(u8::is_ascii_alphabetic);
    whole.then_some(Cue::Ahead(end + plural, *link))
}

fn is_box(text: &str, at: usize) -> bool {
    ["boxed", "fbox", "Boxed"].iter().any(|name| text[at + 1..].starts_with(name))
}

fn behind(text: &str, at: usize) -> Option<Cue> {
    let cue = BEHIND.iter().find(|cue| said(text.as_bytes(), at, cue))?;
    let rest = &text[at + cue.len()..];
    let (named, rest) = named(rest);
    let weight = match goes_on(rest) {
        true => Weight::Mention,
        false if named || *cue == "is the answer" => Weight::Decision,
        false => Weight::Remark,
    };
    Some(Cue::Behind(at, weight))
}

/// Whether "answer", "option" or the like follows, and what is behind it.
fn named(rest: &str) -> (bool, &str) {
    let word = rest.trim_start_matches(' ');
    let names = ["answer", "option", "choice", "one"];
    let name = names.iter().find(|name| said(word.as_bytes(), 0, name));
    name.map_or((false, rest), |name| (true, &word[name.len()..]))
}

/// Whether a sentence goes on other than with a reason.
fn goes_on(rest: &str) -> bool {
    let marks = |next: char| next == ' ' || "*_`\"'”’)]}$,".contains(next);
    let rest = rest.trim_start_matches(marks);
    let word = &rest[..rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len())];
    let reasons = ["because", "since", "as", "so", "here", "given", "therefore", "thus", "and"];
    let ends =
        rest.is_empty() || rest.starts_with(['.', '!', ';', ':', '\n', '\r', '<', '\\', '—']);
    !ends && !listed(&reasons, word)
}

/// Whether the word stands here, in either case.
fn said(text: &[u8], at: usize, word: &str) -> bool {
    let here = text.get(at..at + word.len());
    here.is_some_and(|here| here.eq_ignore_ascii_case(word.as_bytes()))
}

/// Whether the word before says that what follows is the one.
fn praised(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let word = before.rsplit(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or(b"");
    ["correct", "right", "best", "answer", "final", "my", "chosen", "appropriate", "only", "valid"]
        .iter()
        .any(|praise| word.eq_ignore_ascii_case(praise.as_bytes()))
}

impl Cue {
    pub(super) fn read(self, text: &str, choices: &Choices<'_>) -> Reading {
        match self {
            Self::Ahead(at, link) => candidate::read(text, at, link, choices),
            Self::Box(at) => candidate::boxed(text, at, choices),
            Self::Behind(at, _) => letter_before(text, at, choices),
        }
    }

    pub(super) fn weight(self) -> Weight {
        match self {
            Self::Behind(_, weight) => weight,
            Self::Ahead(..) | Self::Box(_) => Weight::Decision,
        }
    }
}

/// "(B) is correct": the letter before, unless a question or a condition is around it, or other
/// paragraphs follow: whoever weighs one choice after the other says it of statements too.
fn letter_before(text: &str, at: usize, choices: &Choices<'_>) -> Reading {
    let bytes = text.as_bytes();
    if bytes[at..].windows(2).any(|pair| pair == b"\n\n") {
        return Reading::Nothing;
    }
    let line_end = bytes[at..].iter().take(40).position(|next| b".?!\n".contains(next));
    if line_end.is_some_and(|end| bytes[at + end] == b'?') {
        return Reading::Nothing;
    }
    let is_wrapper = |byte: &u8| b" *_`\"'()[]{}$.:".contains(byte);
    let wrappers = bytes[..at].iter().rev().take(8).take_while(|byte| is_wrapper(byte)).count();
    let Some(letter_at) = (at - wrappers).checked_sub(1).filter(|_| wrappers > 0) else {
        return Reading::Nothing;
    };
    let letter = bytes[letter_at];
    // "So I is correct" is the first person; lower case is a word or a name of a variable.
    if !letter.is_ascii_uppercase() || letter == b'I' {
        return Reading::Nothing;
    }
    let before = &text[..letter_at];
    let joins =
        |last: char| !last.is_ascii() || last.is_ascii_alphanumeric() || "'-".contains(last);
    if before.ends_with(joins) || denial::conditional(denial::clause_before(before)) {
        return Reading::Nothing;
    }
    choices.of_letter(letter).map_or(Reading::Nothing, Reading::Choice)
}
