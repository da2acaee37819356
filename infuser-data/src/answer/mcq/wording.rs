//! Choices by their texts: the same text in another spelling, and where a text ends in a sentence.

use super::{
    Choices, Reading,
    candidate::{floor, listed},
    several,
};

/// Bytes of a text that are compared with a choice.
const MAX_TEXT: usize = 4000;

/// A text without what only changes how it looks: dollars, styles of LaTeX and their braces, and white
/// space but for one blank between two words or two numbers.
struct Squeezed<'t> {
    text: &'t str,
    at: usize,
    /// For every open brace whether it belongs to a style.
    braces: Vec<bool>,
    /// Whether a style's command came last.
    style: bool,
    /// Whether white space came last.
    blank: bool,
    last: Option<char>,
}

impl<'t> Squeezed<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0, braces: Vec::new(), style: false, blank: false, last: None }
    }

    /// Gives a character of `len` bytes, or the blank before it.
    fn give(&mut self, next: char, len: usize) -> (char, usize) {
        let words = |is: fn(char) -> bool| self.last.is_some_and(is) && is(next);
        let apart = self.blank && (words(char::is_alphabetic) || words(char::is_numeric));
        (self.blank, self.style) = (false, false);
        let given = if apart { ' ' } else { next };
        self.at += if apart { 0 } else { len };
        self.last = Some(given);
        (given, self.at)
    }

    /// A command, or nothing where it says nothing.
    fn command(&mut self) -> Option<(char, usize)> {
        let rest = &self.text[self.at + 1..];
        let is_letter = |next: char| next.is_ascii_alphabetic();
        let name = &rest[..rest.find(|next: char| !is_letter(next)).unwrap_or(rest.len())];
        match name {
            "" => {
                let Some(mark) = rest.chars().next() else { return Some(self.give('\\', 1)) };
                let len = 1 + mark.len_utf8();
                if !"$()[],;!: \\\n".contains(mark) {
                    return Some(self.give(mark, len));
                }
                self.blank |= !"$()[]".contains(mark);
                self.at += len;
            }
            "right" | "quad" | "qquad" => {
                self.blank = true;
                self.at += 1 + name.len();
            }
            "dfrac" | "tfrac" => return Some(self.give('\\', 2)),
            _ if is_style(name) => {
                self.style = true;
                self.at += 1 + name.len();
            }
            _ => return Some(self.give('\\', 1)),
        }
        None
    }

    /// An opening brace, one character between braces, or nothing.
    fn brace(&mut self) -> Option<(char, usize)> {
        let mut inside = self.text[self.at + 1..].chars();
        let one = inside.next().filter(|next| !"\\{}".contains(*next));
        if self.style {
            self.braces.push(true);
            self.style = false;
            self.at += 1;
            return None;
        }
        if let Some(one) = one.filter(|_| inside.next() == Some('}')) {
            self.blank |= one.is_alphabetic();
            return Some(self.give(one, 2 + one.len_utf8()));
        }
        self.braces.push(false);
        Some(self.give('{', 1))
    }
}

/// Characters, each with where it ends.
impl Iterator for Squeezed<'_> {
    type Item = (char, usize);

    fn next(&mut self) -> Option<(char, usize)> {
        loop {
            let next = self.text[self.at..].chars().next()?;
            let given = match next {
                '\\' => self.command(),
                '{' => self.brace(),
                '}' if self.braces.pop() == Some(true) => {
                    self.at += 1;
                    None
                }
                '$' => {
                    self.at += 1;
                    None
                }
                '~' | '\u{a0}' => {
                    self.at += next.len_utf8();
                    self.blank = true;
                    None
                }
                _ if next.is_whitespace() => {
                    self.at += next.len_utf8();
                    self.blank = true;
                    None
                }
                '−' => Some(self.give('-', next.len_utf8())),
                _ => Some(self.give(next, next.len_utf8())),
            };
            if given.is_some() {
                return given;
            }
        }
    }
}

/// A text as it is compared with others, in its own case; empty for one letter, which is the letter.
pub(super) fn form(text: &str) -> String {
    let marks = |next: char| next.is_whitespace() || "*_`\"'“”".contains(next);
    let form: String = Squeezed::new(text.trim_matches(marks)).map(|(next, _)| next).collect();
    let form = form.trim_end_matches('.');
    let is_letter = form.len() == 1 && form.as_bytes()[0].is_ascii_alphabetic();
    if is_letter { String::new() } else { form.trim_matches(marks).to_string() }
}

pub(super) fn is_style(name: &str) -> bool {
    matches!(
        name,
        "text"
            | "textbf"
            | "textit"
            | "textrm"
            | "texttt"
            | "mathrm"
            | "mathbf"
            | "mathit"
            | "mathsf"
            | "mathtt"
            | "operatorname"
            | "bf"
            | "rm"
            | "bm"
            | "boldsymbol"
            | "displaystyle"
            | "large"
            | "Large"
            | "left"
    )
}

fn same(one: char, other: char) -> bool {
    one == other || one.to_lowercase().eq(other.to_lowercase())
}

/// The only one of these that fits, or the only one that fits to the case.
fn only(fits: impl Iterator<Item = (usize, bool)> + Clone) -> Option<usize> {
    let one = |fits: &mut dyn Iterator<Item = usize>| {
        let first = fits.next();
        first.filter(|_| fits.next().is_none())
    };
    let exact = &mut fits.clone().filter(|(_, exact)| *exact).map(|(index, _)| index);
    one(exact).or_else(|| one(&mut fits.map(|(index, _)| index)))
}

impl Choices<'_> {
    /// The choice whose whole text this is.
    pub(super) fn of_text(&self, text: &str) -> Option<usize> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT {
            return None;
        }
        let whole = form(text);
        if whole.is_empty() {
            return None;
        }
        // "BB" and "Bb" may both be choices, and "$5" and "5".
        let as_it_is = (0..self.len).find(|i| (self.text)(*i).trim() == text);
        as_it_is.or_else(|| {
            let fits = |i: usize| {
                let form = &self.forms()[i];
                let fits = form.chars().count() == whole.chars().count()
                    && form.chars().zip(whole.chars()).all(|(one, other)| same(one, other));
                fits.then(|| (i, *form == whole))
            };
            only((0..self.len).filter_map(fits))
        })
    }

    /// Where the text of a choice ends if `text` begins with it, and whether in the same case.
    pub(super) fn begins(&self, text: &str, index: usize) -> Option<(usize, bool)> {
        let mut here = Squeezed::new(text);
        let (mut end, mut exact) = (None, true);
        for expected in self.forms()[index].chars() {
            let (next, at) = here.next()?;
            if !same(next, expected) {
                return None;
            }
            exact &= next == expected;
            end = Some(at);
        }
        end.map(|end| (end, exact))
    }

    /// The choice whose text stands at byte `at` and ends there; the longest.
    pub(super) fn text_here(&self, text: &str, at: usize) -> Reading {
        let here = &text[at..floor(text, at + MAX_TEXT)];
        let mut found: Vec<(usize, bool, usize, bool)> = Vec::new();
        for index in 0..self.len {
            let Some((end, exact)) = self.begins(here, index) else { continue };
            let several = several::texts(&here[end..], index, self);
            if several || ends(&here[end..]) {
                found.push((end, exact, index, several));
            }
        }
        let Some(longest) = found.iter().map(|(end, ..)| *end).max() else {
            return Reading::Nothing;
        };
        found.retain(|(end, ..)| *end == longest);
        if found.iter().any(|(.., several)| *several) {
            return Reading::Several;
        }
        let fits = found.iter().map(|(_, exact, index, _)| (*index, *exact));
        only(fits).map_or(Reading::Nothing, Reading::Choice)
    }
}

/// Words that may follow a choice's text; with others ("red blood cells") it is another text.
const GO_ON: [&str; 18] = [
    "according",
    "as",
    "based",
    "because",
    "but",
    "due",
    "given",
    "hence",
    "not",
    "rather",
    "since",
    "so",
    "therefore",
    "thus",
    "whereas",
    "which",
    "while",
    "yes",
];

/// Whether a choice's text may end before `rest`: not in "12.5", "12%", "x^2 + 1", "red blood cells".
pub(super) fn ends(rest: &str) -> bool {
    let rest = closed(rest);
    let spaced = rest.starts_with([' ', '\t', '\u{a0}']);
    let rest = closed(rest.trim_start_matches([' ', '\t', '\u{a0}']));
    let mut chars = rest.chars();
    let Some(next) = chars.next() else { return true };
    let after = chars.next();
    match next {
        '\n' | '\r' | '。' | '，' | '；' | '！' | '？' | '、' | '—' | '…' => true,
        '.' | ',' | ':' | ';' | '!' | '?' => {
            !after.is_some_and(|after| after.is_alphanumeric() || after == '\\')
        }
        '(' | '[' | '–' => spaced,
        '-' => spaced && after == Some(' ') && chars.as_str().starts_with(char::is_alphabetic),
        '<' => opens_tag(rest),
        '\\' => after == Some('\\'),
        _ if next.is_alphabetic() && spaced => {
            let end = rest.find(|next: char| !next.is_alphanumeric()).unwrap_or(rest.len());
            listed(&GO_ON, &rest[..end])
        }
        _ => false,
    }
}

/// Without the marks that close a style, a formula or a bracket.
fn closed(rest: &str) -> &str {
    let mut rest = rest;
    loop {
        let next =
            rest.trim_start_matches(['*', '_', '`', '"', '\'', '”', '’', ')', ']', '}', '$']);
        let next = next.strip_prefix("\\)").or(next.strip_prefix("\\]")).unwrap_or(next);
        if next.len() == rest.len() {
            return rest;
        }
        rest = next;
    }
}

/// Whether a tag or a mark of a turn begins here, and no "less than".
pub(super) fn opens_tag(rest: &str) -> bool {
    ["</", "<|", "<br"].iter().any(|tag| rest.starts_with(tag))
}
