//! Divides what is too long, at the best places that there are: empty lines, sentences or lines,
//! words, characters.

use std::ops::Range;

use super::markdown::{Block, Kind};

/// Counts the tokens of a text.
pub(super) type Count<'a> = &'a (dyn Fn(&str) -> usize + Sync);

/// A part of the text that is not divided further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Atom {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    /// The count of what is [`shown`].
    pub(super) tokens: usize,
}

/// A text, how its tokens are counted, and how many a part may have.
#[derive(Clone, Copy)]
pub(super) struct Scale<'a> {
    pub(super) text: &'a str,
    pub(super) count: Count<'a>,
    pub(super) max: usize,
}

/// Where a text may be divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    BlankLine,
    Sentence,
    Line,
    Word,
}

impl Scale<'_> {
    /// A part of the text with its count.
    pub(super) fn atom(&self, range: Range<usize>) -> Atom {
        let shown = shown(self.text, range.clone());
        Atom { tokens: if shown.is_empty() { 0 } else { (self.count)(shown) }, range }
    }

    /// Appends a block as parts of at most `max` tokens. Returns how many characters are by
    /// themselves longer than that, and left out.
    pub(super) fn divide(&self, block: &Block, parts: &mut Vec<Atom>) -> usize {
        let atom = self.atom(block.range.clone());
        if atom.tokens <= self.max {
            parts.push(atom);
            return 0;
        }
        use Level::{BlankLine, Line, Sentence, Word};
        let levels = match block.kind {
            Kind::Prose => [BlankLine, Sentence, Line, Word],
            Kind::Lines => [BlankLine, Line, Sentence, Word],
        };
        self.divide_at(atom.range, &levels, parts)
    }

    fn divide_at(&self, range: Range<usize>, levels: &[Level], parts: &mut Vec<Atom>) -> usize {
        let Some((level, finer)) = levels.split_first() else {
            return self.halve_text(range, parts);
        };
        let text = &self.text[range.clone()];
        let cuts = match level {
            Level::BlankLine => after_blank_lines(text),
            Level::Sentence => after_sentences(text),
            Level::Line => after_lines(text),
            Level::Word => after_spaces(text),
        };
        if cuts.is_empty() {
            return self.divide_at(range, finer, parts);
        }
        let (mut pieces, mut left_out, mut start) = (Vec::new(), 0, 0);
        for end in cuts.into_iter().chain([text.len()]) {
            let piece = self.atom(range.start + start..range.start + end);
            start = end;
            if piece.tokens <= self.max {
                pieces.push(piece);
            } else {
                left_out += self.divide_at(piece.range, finer, &mut pieces);
            }
        }
        for run in runs(&pieces, self.max) {
            self.settle(&pieces[run], parts);
        }
        left_out
    }

    /// Appends `pieces` as one part, or as several if together they are too long. Each of them alone
    /// is not.
    pub(super) fn settle(&self, pieces: &[Atom], parts: &mut Vec<Atom>) {
        let [first, .., last] = pieces else {
            parts.extend_from_slice(pieces);
            return;
        };
        let whole = self.atom(first.range.start..last.range.end);
        if whole.tokens <= self.max {
            parts.push(whole);
            return;
        }
        let (left, right) = pieces.split_at(pieces.len() / 2);
        self.settle(left, parts);
        self.settle(right, parts);
    }

    /// Halves a word until its parts are short enough.
    fn halve_text(&self, range: Range<usize>, parts: &mut Vec<Atom>) -> usize {
        let word = range.start..range.start + self.text[range.clone()].trim_end().len();
        let (mut rest, mut left_out) = (Vec::from([word]), 0);
        while let Some(range) = rest.pop() {
            let atom = self.atom(range.clone());
            if atom.tokens <= self.max {
                parts.push(atom);
                continue;
            }
            let middle = self.text.ceil_char_boundary(range.start + range.len().div_ceil(2));
            let middle = if middle < range.end {
                middle
            } else {
                self.text.floor_char_boundary(range.end - 1)
            };
            if middle <= range.start {
                left_out += 1;
                continue;
            }
            rest.push(middle..range.end);
            rest.push(range.start..middle);
        }
        left_out
    }
}

/// Groups parts that follow each other so that none of the groups has much more than `max` tokens,
/// and all about the same number.
pub(super) fn runs(parts: &[Atom], max: usize) -> Vec<Range<usize>> {
    let total = parts.iter().map(|part| part.tokens).reduce(add).unwrap_or(0);
    let goal = total.div_ceil(total.div_ceil(max.max(1)).max(1));
    let (mut runs, mut start, mut size) = (Vec::new(), 0, 0);
    for (i, part) in parts.iter().enumerate() {
        if i > start && (add(size, part.tokens) > max || size >= goal) {
            runs.push(start..i);
            (start, size) = (i, 0);
        }
        size = if i == start { part.tokens } else { add(size, part.tokens) };
    }
    if start < parts.len() {
        runs.push(start..parts.len());
    }
    runs
}

/// What two parts are expected to have together: a token more for what joins them.
fn add(a: usize, b: usize) -> usize {
    a.saturating_add(b).saturating_add(1)
}

/// A part of the text as a document shows it: without empty lines around it, with its indentation if
/// it begins with a line.
pub(super) fn shown(text: &str, range: Range<usize>) -> &str {
    let starts_line = range.start == 0 || text.as_bytes()[range.start - 1] == b'\n';
    let part = text[range].trim_end();
    let blank = part.len() - part.trim_start().len();
    match part[..blank].rfind('\n') {
        Some(at) => &part[at + 1..],
        None if starts_line => part,
        None => &part[blank..],
    }
}

/// Where lines begin that follow an empty line.
pub(super) fn after_blank_lines(text: &str) -> Vec<usize> {
    let (mut cuts, mut at, mut blank) = (Vec::new(), 0, false);
    for line in text.split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if blank && !empty && at > 0 {
            cuts.push(at);
        }
        blank = empty;
        at += line.len();
    }
    cuts
}

fn after_lines(text: &str) -> Vec<usize> {
    let ends = text.match_indices('\n').map(|(at, _)| at + 1);
    ends.filter(|end| *end < text.len()).collect()
}

fn after_spaces(text: &str) -> Vec<usize> {
    let (mut cuts, mut space) = (Vec::new(), false);
    for (at, letter) in text.char_indices() {
        if space && !letter.is_whitespace() {
            cuts.push(at);
        }
        space = letter.is_whitespace();
    }
    cuts.retain(|cut| *cut > 0);
    cuts
}

/// Where something begins after the end of a sentence: after `.`, `!` or `?`, closing quotes and
/// brackets, and a space; or after a full-width stop, which no space follows.
fn after_sentences(text: &str) -> Vec<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Nothing,
        Stop,
        WideStop,
        Space,
    }
    let (mut cuts, mut seen) = (Vec::new(), Seen::Nothing);
    for (at, letter) in text.char_indices() {
        seen = match letter {
            '.' | '!' | '?' | '…' if seen != Seen::Space => Seen::Stop,
            '。' | '！' | '？' => Seen::WideStop,
            ')' | ']' | '"' | '\'' | '”' | '’' | '»' | '*' | '_'
                if matches!(seen, Seen::Stop | Seen::WideStop) =>
            {
                seen
            }
            '」' | '』' | '）' if seen == Seen::WideStop => seen,
            _ if letter.is_whitespace() && seen != Seen::Nothing => Seen::Space,
            _ => {
                if matches!(seen, Seen::Space | Seen::WideStop) {
                    cuts.push(at);
                }
                Seen::Nothing
            }
        };
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(text: &'a str, cuts: &[usize]) -> Vec<&'a str> {
        let ends = cuts.iter().copied().chain([text.len()]);
        let part = |start: &mut usize, end| Some(&text[std::mem::replace(start, end)..end]);
        ends.scan(0, part).collect()
    }

    #[test]
    fn cuts_are_at_the_ends_of_sentences() {
        let text = "It is 3.5 m (or so.) \"Why?\"  He left… 是的。不！「好。」 End";
        assert_eq!(
            at(text, &after_sentences(text)),
            [
                "It is 3.5 m (or so.) ",
                "\"Why?\"  ",
                "He left… ",
                "是的。",
                "不！",
                "「好。」 ",
                "End"
            ]
        );
        assert_eq!(at(" a  b\n", &after_spaces(" a  b\n")), [" ", "a  ", "b\n"]);
        assert_eq!(at("a\n\nb\nc", &after_blank_lines("a\n\nb\nc")), ["a\n\n", "b\nc"]);
        assert_eq!(at("a\n\nb\n", &after_lines("a\n\nb\n")), ["a\n", "\n", "b\n"]);
    }

    fn divided(text: &str, kind: Kind, max: usize) -> (Vec<&str>, usize) {
        let count = |text: &str| text.chars().count();
        let (scale, mut parts) = (Scale { text, count: &count, max }, Vec::new());
        let left_out = scale.divide(&Block { range: 0..text.len(), kind }, &mut parts);
        (parts.into_iter().map(|part| shown(text, part.range)).collect(), left_out)
    }

    #[test]
    fn the_coarsest_cut_that_does_is_taken() {
        let text = "One two. Three\nfour five.\n\nSix.";
        assert_eq!(divided(text, Kind::Prose, 40).0, [text]);
        assert_eq!(divided(text, Kind::Prose, 26).0, ["One two. Three\nfour five.", "Six."]);
        assert_eq!(divided(text, Kind::Prose, 18).0, ["One two.", "Three\nfour five.", "Six."]);
        assert_eq!(divided(text, Kind::Lines, 18).0, ["One two. Three", "four five.\n\nSix."]);
        assert_eq!(divided("abcdefgh é", Kind::Prose, 4).0, ["abcd", "efgh", "é"]);
        let bytes = |text: &str| text.len();
        let (scale, mut parts) = (Scale { text: "aéb", count: &bytes, max: 1 }, Vec::new());
        let block = Block { range: 0..4, kind: Kind::Prose };
        assert_eq!(scale.divide(&block, &mut parts), 1, "é has two bytes");
        assert_eq!(parts.iter().map(|part| part.range.clone()).collect::<Vec<_>>(), [0..1, 3..4]);
    }

    #[test]
    fn parts_keep_the_indentation_of_their_first_line() {
        let text = "a\n\n    code\n b";
        assert_eq!(shown(text, 1..text.len()), "    code\n b");
        assert_eq!(shown(text, 3..12), "    code");
        assert_eq!(shown(text, 4..12), "code");
        assert_eq!(shown(text, 1..3), "");
    }
}
