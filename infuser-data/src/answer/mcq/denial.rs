//! Words that take back what an announcement says: "I don't think the answer is A", "the wrong answer
//! is A", "some say the answer is A", "the answer is A is false".

use super::candidate::listed;

/// Bytes before an announcement that are looked at.
const REACH: usize = 120;

/// Say that something is no answer.
const WRONG: [&str; 10] = [
    "wrong",
    "incorrect",
    "false",
    "untrue",
    "erroneous",
    "mistaken",
    "invalid",
    "naive",
    "tempting",
    "misleading",
];

/// Stand between a denial and the word it denies.
const BETWEEN: [&str; 20] = [
    "a", "actual", "an", "best", "choice", "correct", "final", "his", "its", "likely", "most",
    "my", "only", "our", "proper", "real", "right", "the", "their", "your",
];

/// Report a thought, which may be another's or one that is not held.
const THINKING: [&str; 26] = [
    "agree",
    "argue",
    "argues",
    "assume",
    "believe",
    "believed",
    "believes",
    "certain",
    "claim",
    "claimed",
    "claims",
    "conclude",
    "convinced",
    "expect",
    "guess",
    "mean",
    "means",
    "say",
    "says",
    "suggest",
    "suggests",
    "suppose",
    "sure",
    "think",
    "thinks",
    "thought",
];

/// Think what the writer need not.
const OTHERS: [&str; 9] =
    ["some", "someone", "somebody", "people", "many", "others", "students", "they", "anyone"];

/// Whether the word denies: "not", "never", "don't".
fn is_not(word: &str) -> bool {
    let ends = |end: &str| {
        word.len() > end.len()
            && word.as_bytes()[word.len() - end.len()..].eq_ignore_ascii_case(end.as_bytes())
    };
    listed(&["not", "never", "cannot", "hardly", "no", "nor", "neither", "dont"], word)
        || ends("n't")
        || ends("n’t")
}

/// The words of the clause that ends here, the last first.
pub(super) fn clause_before(before: &str) -> impl Iterator<Item = &str> {
    let mut start = before.len().saturating_sub(REACH);
    while !before.is_char_boundary(start) {
        start += 1;
    }
    let near = &before[start..];
    let clause = near.rsplit(['.', '!', '?', ';', ':', ',', '\n']).next().unwrap_or(near);
    words(clause).rev()
}

fn words(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    let joins = |next: char| next.is_alphanumeric() || matches!(next, '\'' | '’');
    text.split(move |next: char| !joins(next)).filter(|word| !word.is_empty())
}

/// Whether the clause before an announcement denies it, doubts it or says that others think so.
pub(super) fn before(before: &str) -> bool {
    let mut words = clause_before(before);
    let (mut article, mut that) = (false, false);
    let word = loop {
        let Some(word) = words.next() else { return false };
        if word.eq_ignore_ascii_case("that") || that && word.eq_ignore_ascii_case("true") {
            that = true;
        } else if listed(&BETWEEN, word) {
            article |= listed(&["a", "an", "the"], word);
        } else {
            break word;
        }
    };
    if is_not(word) {
        return true;
    }
    // "Since A is wrong the answer is B" goes on with another thing.
    if listed(&WRONG, word) {
        return that || !article;
    }
    if listed(&["if", "whether", "unless", "unlikely", "impossible"], word) {
        return true;
    }
    let earlier: Vec<&str> = words.take(4).collect();
    if listed(&["doubt", "doubts", "doubtful", "deny"], word) {
        return !earlier.iter().any(|word| is_not(word) || word.eq_ignore_ascii_case("without"));
    }
    let supposed = ["suppose", "supposing", "assume", "assuming"];
    if listed(&supposed, word) && earlier.first().is_none_or(|first| *first != "I") {
        return true;
    }
    listed(&THINKING, word) && not_held(&earlier)
}

/// Whether the words before "think" (the last first) say that the writer does not.
fn not_held(earlier: &[&str]) -> bool {
    let joined = ["and", "but", "so", "because", "since", "therefore", "thus", "hence", "however"];
    let clause = || earlier.iter().take_while(|word| !listed(&joined, word));
    let has = |list: &[&str]| clause().any(|word| listed(list, word));
    let may = has(&["might", "may", "could", "would"]) && has(&["one", "you", "we", "it"]);
    clause().any(|word| is_not(word)) || has(&OTHERS) || has(&WRONG) || may
}

/// Whether what follows an answer takes it back: "is false", ", but that is wrong".
pub(super) fn behind(rest: &str) -> bool {
    let closes = |next: char| next == ' ' || "*_`\"'”’)]}$".contains(next);
    let rest = rest.trim_start_matches(closes);
    let (rest, comma) =
        rest.strip_prefix(',').map_or((rest, false), |rest| (rest.trim_start(), true));
    let rest = &rest[..rest.find(['.', '!', '?', ';', ':', ',', '\n']).unwrap_or(rest.len())];
    let mut words = words(rest).peekable();
    let but = words.next_if(|word| listed(&["but", "though", "although", "yet"], word)).is_some();
    if comma && !but {
        // "The answer is A, which is false" may be what was asked for.
        return false;
    }
    let subject = ["this", "that", "it", "that's", "it's", "that’s", "it’s", "which", "answer"];
    while but && words.next_if(|word| listed(&subject, word)).is_some() {}
    let mut denied = false;
    for word in words.take(4) {
        if is_not(word) {
            denied = true;
        } else if listed(&WRONG, word) {
            return !denied;
        } else if denied && listed(&["correct", "right", "true", "valid"], word) {
            return true;
        } else if !(listed(&["is", "was", "be", "would"], word) || is_adverb(word)) {
            return false;
        }
    }
    false
}

/// Whether a clause (the last word first) says on a condition, of another or not what it says.
pub(super) fn conditional<'a>(clause: impl Iterator<Item = &'a str>) -> bool {
    let conditions = [
        "if", "whether", "or", "and", "either", "when", "why", "while", "although", "though",
        "unless", "even", "doubt",
    ];
    let mut clause = clause;
    clause.any(|word| {
        is_not(word) || [&conditions[..], &OTHERS, &WRONG].iter().any(|list| listed(list, word))
    })
}

/// Whether a short output denies, supposes or only comes near, or was cut off in a box: then a letter
/// in it is not chosen.
pub(super) fn anywhere(text: &str) -> bool {
    let hedges = ["boxed", "can't", "if", "whether", "or", "closest", "nearest", "doubt"];
    words(text)
        .any(|word| is_not(word) || [&hedges[..], &WRONG].iter().any(|list| listed(list, word)))
}

/// Whether the word says in which way, without denying: "certainly", not "hardly".
pub(super) fn is_adverb(word: &str) -> bool {
    let others = [
        "hardly",
        "scarcely",
        "barely",
        "nearly",
        "unlikely",
        "wrongly",
        "incorrectly",
        "falsely",
        "mistakenly",
        "supposedly",
        "allegedly",
        "partly",
        "partially",
        "family",
        "supply",
        "reply",
        "assembly",
        "rarely",
    ];
    word.len() > 3 && word.ends_with("ly") && !listed(&others, word)
}
