//! Words that announce an answer ("the answer is", "Final Answer:", `####`), and what stands behind
//! them. "This answer is right" announces nothing: it speaks of an answer given before.

/// Places that are looked at, counted from the end. More than these are no answer but noise.
const MAX_PLACES: usize = 16;

/// Words that may stand between "answer" and its link.
const BETWEEN: [&str; 19] = [
    "to",
    "the",
    "this",
    "that",
    "question",
    "problem",
    "should",
    "would",
    "must",
    "will",
    "be",
    "then",
    "therefore",
    "thus",
    "hence",
    "here",
    "now",
    "also",
    "part",
];

/// Words that may stand between an announcement and its answer; adverbs in "-ly" may too.
const FILLERS: [&str; 48] = [
    "a",
    "about",
    "again",
    "all",
    "also",
    "amount",
    "an",
    "answer",
    "are",
    "around",
    "as",
    "be",
    "by",
    "calculated",
    "computed",
    "equal",
    "equals",
    "final",
    "follows",
    "found",
    "get",
    "given",
    "have",
    "hence",
    "indeed",
    "is",
    "it",
    "just",
    "my",
    "now",
    "number",
    "obtained",
    "of",
    "only",
    "our",
    "result",
    "so",
    "still",
    "sum",
    "that",
    "the",
    "then",
    "therefore",
    "thus",
    "to",
    "total",
    "value",
    "we",
];

/// Words that say of an answer given before how good it is or where it came from.
const REMARKS: [&str; 24] = [
    "accurate",
    "based",
    "because",
    "close",
    "consistent",
    "correct",
    "derived",
    "different",
    "false",
    "given",
    "in",
    "incorrect",
    "independent",
    "not",
    "obtained",
    "on",
    "reasonable",
    "right",
    "sound",
    "supported",
    "true",
    "valid",
    "verified",
    "wrong",
];

/// How an announcement is joined to its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// "is"
    Verb,
    /// ":" or "="
    Mark,
    /// A line of its own, `####`, or nothing: the answer follows at once, or this announces none.
    Bare,
}

/// An announcement and what follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Announcement<'a> {
    pub(super) link: Link,
    /// Whether it calls the answer final.
    pub(super) is_final: bool,
    /// Whether it speaks of an answer given before: "this answer is", "check the answer:".
    pub(super) aside: bool,
    /// Whether a blank line lies between it and what follows.
    pub(super) apart: bool,
    /// What follows, to the end of its paragraph.
    pub(super) rest: &'a str,
}

/// The announcements of a text, from the last to the first.
pub(super) fn announcements(text: &str) -> impl Iterator<Item = Announcement<'_>> {
    let bytes = text.as_bytes();
    let places = (0..bytes.len()).rev().filter(move |at| begins(bytes, *at)).take(MAX_PLACES);
    places.filter_map(move |at| announcement(text, at))
}

/// Whether the word "answer", or four `#`, begin here.
fn begins(bytes: &[u8], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| bytes[at]);
    match bytes[at] {
        b'#' => {
            let marks = bytes[at..].iter().take(5).take_while(|byte| **byte == b'#').count();
            marks == 4 && before != Some(b'#')
        }
        b'a' | b'A' => {
            !before.is_some_and(|before| before.is_ascii_alphanumeric())
                && bytes.len() >= at + 6
                && bytes[at..at + 6].eq_ignore_ascii_case(b"answer")
        }
        _ => false,
    }
}

fn announcement(text: &str, at: usize) -> Option<Announcement<'_>> {
    if text[at..].starts_with('#') {
        let (apart, rest) = behind(&text[at + 4..]);
        return Some(Announcement { link: Link::Bare, is_final: false, aside: false, apart, rest });
    }
    let mut head = &text[..at];
    let (before, word) = last_word(head);
    let is_final = word.eq_ignore_ascii_case("final");
    if is_final {
        head = before;
    }
    let (before, whose) = last_word(head);
    let judged = if listed(&["the", "our", "my"], whose) {
        head = before;
        last_word(head).1
    } else {
        whose
    };
    let aside = listed(&["this", "that", "your", "which"], whose)
        || listed(
            &["check", "checking", "verify", "verifying", "confirm", "confirming", "if", "whether"],
            judged,
        );
    // "**Final answer**" on a line of its own is a heading.
    let line = &head[head.rfind('\n').map_or(0, |at| at + 1)..];
    let starts = !line.contains(char::is_alphanumeric);
    let (link, end) = link(&text[at + "answer".len()..])?;
    if link == Link::Bare && !(starts || is_final) {
        return None;
    }
    let (apart, rest) = behind(&text[at + "answer".len() + end..]);
    Some(Announcement { link, is_final, aside, apart, rest })
}

/// The last word of a line, and what stands before it; no word where the line begins.
fn last_word(text: &str) -> (&str, &str) {
    let text = text.trim_end_matches(|next: char| next == ' ' || "*_`\"'“".contains(next));
    let start = text.trim_end_matches(|next: char| next.is_alphabetic()).len();
    text.split_at(start)
}

/// How what follows "answer" goes on, and where that ends.
fn link(after: &str) -> Option<(Link, usize)> {
    let mut at = usize::from(after.starts_with(['s', 'S']));
    if after[at..].starts_with(|next: char| next.is_alphanumeric() || next == '\'') {
        return None;
    }
    let bare = after.len() - after[at..].trim_start_matches([' ', '\t', '*', '_', '`']).len();
    for _ in 0..8 {
        let rest = &after[at..];
        let rest = rest.trim_start_matches(|next: char| " \t*_`,".contains(next));
        at = after.len() - rest.len();
        match rest.chars().next() {
            Some(mark @ (':' | '：' | '=')) => return Some((Link::Mark, at + mark.len_utf8())),
            Some(next) if next.is_ascii_alphabetic() => {
                let end = rest.find(|next: char| !next.is_alphanumeric() && next != '\'');
                let word = &rest[..end.unwrap_or(rest.len())];
                if listed(&["is", "are", "was", "equals"], word) {
                    return Some((Link::Verb, at + word.len()));
                }
                if !listed(&BETWEEN, word) {
                    break;
                }
                at += word.len();
            }
            _ => break,
        }
    }
    // "The final answer, in short" goes on.
    let stands = !after[bare..].starts_with(|next: char| next == ',' || next.is_alphabetic());
    stands.then_some((Link::Bare, bare))
}

/// Whether a blank line follows, and the paragraph behind it without what closes the announcement.
fn behind(text: &str) -> (bool, &str) {
    let rest =
        text.trim_start_matches(|next: char| next.is_whitespace() || "*:：_=>`".contains(next));
    let skipped = &text[..text.len() - rest.len()];
    let rest = &rest[..rest.find("\n\n").unwrap_or(rest.len())];
    let rest = &rest[..rest.find("I hope it is correct").unwrap_or(rest.len())];
    (skipped.bytes().filter(|byte| *byte == b'\n').count() > 1, rest)
}

/// The bytes of words that lead from an announcement to its answer.
pub(super) fn fillers(text: &str) -> usize {
    let mut at = 0;
    for _ in 0..8 {
        let rest = text[at..].trim_start_matches(|next: char| " \n*_,:\"“".contains(next));
        let word = first_word(rest);
        let after = &rest[word.len()..];
        let adverb = word.len() > 4 && word.ends_with("ly");
        let known = (adverb || listed(&FILLERS, word)) && after.starts_with([' ', ',', ':', '\n']);
        // "a + b" begins with a name.
        let article = word.len() > 1
            || after.trim_start().starts_with(|next: char| next.is_alphanumeric() || next == '$');
        if !(known && article) {
            return text.len() - rest.len();
        }
        at = text.len() - after.len();
    }
    at
}

/// Whether this speaks of an answer given before: "right, for 4 * 3 = 12", "based on 3 samples".
pub(super) fn is_remark(text: &str) -> bool {
    let word = first_word(text);
    let forms = ["able", "ible", "ing", "ent"];
    listed(&REMARKS, word) || word.len() > 5 && forms.iter().any(|form| word.ends_with(form))
}

pub(super) fn first_word(text: &str) -> &str {
    let end = text.find(|next: char| !next.is_alphabetic() && next != '\'' && next != '’');
    &text[..end.unwrap_or(text.len())]
}

fn listed(words: &[&str], word: &str) -> bool {
    words.iter().any(|known| word.eq_ignore_ascii_case(known))
}
