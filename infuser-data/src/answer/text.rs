//! Answers in words: equal once case, white space, quotes, styles, articles and closing punctuation
//! are set aside. No judgement of meaning: "NYC" is not "New York".

use super::{
    Grade, Reason, Submission, Verdict,
    announce::{Link, announcements, first_word, is_remark},
    find::{before_question, boxes, final_part, final_tag},
    math,
};

/// Bytes of an answer that are read.
const MAX_ANSWER: usize = 4000;

/// Bytes of an answer that a blank line parts from its announcement. A longer one begins an argument.
const MAX_APART: usize = 100;

/// Compares the words of an answer with those of a reference.
///
/// In a response the answer is looked for in `<answer>…</answer>`, in the last box, behind "answer
/// is" or "Answer:", and on the last line, in that order. A response that is the reference from
/// its first word to its last is right as a whole.
///
/// # Examples
/// ```
/// use infuser_data::answer::{Submission, Verdict, text};
/// let grade = text::grade(Submission::Response("Well, the answer is: **The Eiffel Tower**."), "eiffel tower");
/// assert_eq!(grade.verdict, Verdict::Correct);
/// ```
pub fn grade(submission: Submission<'_>, reference: &str) -> Grade {
    let (whole, found) = match submission {
        Submission::Response(response) => {
            let text = final_part(response);
            // What stands in tags is an answer to its end, of several lines too.
            let found = match final_tag(response) {
                Some(tag) => boxes(tag).last().map_or(tag, |last| last.content.trim()).into(),
                None => in_response(text),
            };
            (text, found)
        }
        Submission::Prediction(prediction) => (prediction, Some(prediction.trim())),
    };
    let Some(found) = found.filter(|found| !found.is_empty()) else {
        return Grade { verdict: Verdict::Unparsable(Reason::NoAnswer), extracted: None };
    };
    if found.len() > MAX_ANSWER {
        return Grade { verdict: Verdict::Unparsable(Reason::TooLong), extracted: None };
    }
    let verdict = if reference.len() > MAX_ANSWER || normal(reference).is_empty() {
        Verdict::Unparsable(Reason::UnreadableReference)
    } else if same(found, reference) || whole.len() <= MAX_ANSWER && same(whole, reference) {
        Verdict::Correct
    } else if normal(found).is_empty() {
        Verdict::Unparsable(Reason::UnreadableAnswer)
    } else {
        Verdict::Wrong
    };
    Grade { verdict, extracted: Some(found.to_string()) }
}

/// Where the answer stands in the final part of a response.
fn in_response(text: &str) -> Option<&str> {
    if let Some(last) = boxes(text).last() {
        return Some(last.content.trim());
    }
    if let Some(found) = before_question(text).and_then(announced) {
        return Some(found);
    }
    if let Some(found) = announced(text) {
        return Some(found);
    }
    text.lines().rev().map(str::trim).find(|line| !line.is_empty())
}

/// The line behind the last announcement, or behind the last that is no remark if there is one.
fn announced(text: &str) -> Option<&str> {
    let mut last = None;
    for announced in announcements(text) {
        let line = announced.rest.lines().next().unwrap_or("").trim();
        if line.is_empty() {
            last.get_or_insert(line);
            continue;
        }
        if announced.apart && line.len() > MAX_APART
            || announced.link == Link::Bare && !announced.apart
        {
            continue;
        }
        if !(announced.aside || remarks(line) && announced.link == Link::Verb) {
            return Some(line);
        }
        last.get_or_insert(line);
    }
    last
}

/// Whether this says how good an answer is or what it rests on: "based on 2020 data". One such word
/// alone is an answer.
fn remarks(line: &str) -> bool {
    const JOINS: [&str; 10] =
        ["on", "with", "to", "from", "by", "of", "because", "since", "as", "for"];
    let rest = line[first_word(line).len()..].trim_start();
    is_remark(line) && (rest.starts_with(',') || JOINS.contains(&first_word(rest)))
}

/// Whether two answers are the same in words, as a number, or but for the sentence behind the first.
fn same(found: &str, reference: &str) -> bool {
    let (answer, expected) = (normal(found), normal(reference));
    if answer == expected {
        return true;
    }
    // "Paris. It is the capital." is followed by a remark; "3.5" is not.
    if let Some(at) = found.find(". ").filter(|at| *at > 0)
        && normal(&found[..at]) == expected
    {
        return true;
    }
    let numbers = number(&answer).zip(number(&expected));
    numbers.is_some_and(|(answer, expected)| answer == expected)
}

/// The value of a plain number: "42.0" is "42". Words such as "inf" are words.
fn number(text: &str) -> Option<f64> {
    let plain = text.len() <= 40
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.,".contains(&byte));
    if !plain {
        return None;
    }
    text.parse().ok().or_else(|| math::constant(text))
}

/// The form in which words are compared.
///
/// Lower case; curly quotes, dashes and full-width forms as their plain twins; styles of Markdown and
/// LaTeX, quotes, brackets around the whole, a leading article and closing punctuation left out; runs of
/// white space as one space; none around a comma.
pub fn normal(text: &str) -> String {
    let plain: String = text.chars().flat_map(twin).collect();
    let mut text = styled(&plain);
    loop {
        let before = text.len();
        text = text.trim().trim_end_matches(['.', '!', '?', ',', ';', ':', ' ']).to_string();
        text = enclosed(&text).to_string();
        if text.len() == before {
            break;
        }
    }
    for article in ["the ", "a ", "an "] {
        if let Some(rest) = text.strip_prefix(article).filter(|rest| !rest.trim().is_empty()) {
            text = rest.to_string();
            break;
        }
    }
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace(" ,", ",").replace(", ", ",")
}

/// Lower case of the plain twin of a character; nothing for quotes and marks of style.
fn twin(next: char) -> impl Iterator<Item = char> {
    let plain = match next {
        '“' | '”' | '„' | '«' | '»' | '"' | '`' | '*' | '\u{200b}' | '\u{feff}' => None,
        '‘' | '’' => Some('\''),
        '‐' | '‑' | '–' | '—' | '−' => Some('-'),
        '\u{a0}' | '\u{3000}' => Some(' '),
        // The full-width forms of ASCII stand in its order.
        '！'..='～' => char::from_u32(u32::from(next) - 0xfee0),
        _ => Some(next),
    };
    plain.into_iter().flat_map(char::to_lowercase)
}

/// LaTeX without dollars, spacing, and the names and braces of commands that only change style.
fn styled(text: &str) -> String {
    const STYLES: [&str; 10] = [
        "\\text{",
        "\\textbf{",
        "\\textit{",
        "\\textrm{",
        "\\mathrm{",
        "\\mathbf{",
        "\\mathit{",
        "\\operatorname{",
        "\\boxed{",
        "\\mbox{",
    ];
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Whether each open brace belongs to a style.
    let mut braces = Vec::new();
    while let Some(next) = rest.chars().next() {
        if next == '\\' {
            if let Some(style) = STYLES.iter().find(|style| rest.starts_with(**style)) {
                braces.push(true);
                rest = &rest[style.len()..];
                continue;
            }
            let escaped = rest[1..].chars().next().filter(|next| !next.is_alphanumeric());
            if let Some(escaped) = escaped {
                match escaped {
                    '$' => {}
                    ',' | ';' | ':' | '!' | ' ' | '(' | ')' | '[' | ']' => out.push(' '),
                    _ => out.push(escaped),
                }
                rest = &rest[1 + escaped.len_utf8()..];
                continue;
            }
        }
        match next {
            '$' => {}
            '{' => {
                braces.push(false);
                out.push(next);
            }
            '}' if braces.pop() == Some(true) => {}
            _ => out.push(next),
        }
        rest = &rest[next.len_utf8()..];
    }
    out
}

/// What is inside brackets, quotes or underscores around the whole text.
fn enclosed(text: &str) -> &str {
    let text = text.trim();
    for (open, close) in [('(', ')'), ('[', ']'), ('{', '}'), ('\'', '\''), ('_', '_')] {
        let inner = text.strip_prefix(open).and_then(|text| text.strip_suffix(close));
        // "(a) or (b)" is not in brackets as a whole.
        if let Some(inner) = inner.filter(|inner| !inner.contains([open, close])) {
            return inner.trim();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn verdict(response: &str, reference: &str) -> &'static str {
        grade(Submission::Response(response), reference).verdict.name()
    }

    #[test]
    fn words_are_compared_without_their_dress() {
        for (response, reference, why) in [
            (
                "The capital of France is Paris.",
                "capital of france is paris",
                "an article, a full stop",
            ),
            ("hello\tworld\n", "hello world", "white space"),
            ("<think>hm</think><answer>Albert Einstein</answer>", "albert einstein", "tags"),
            ("<answer>Mercury\nVenus</answer>", "Mercury Venus", "tags around two lines"),
            (r"<answer>\boxed{Paris}</answer> as asked", "Paris", "a box in tags"),
            ("I write <answer></answer>: <answer>Paris</answer>", "Paris", "tags that are named"),
            ("<answer>Paris</answer>, in <answer></answer>", "Paris", "empty tags behind"),
            ("so <answer>Paris", "Paris", "a tag that was cut off"),
            ("The answer is 42!", "answer is 42", "a sentence as a whole"),
            ("The answer is 42!", "42", "its end"),
            (r"so \boxed{\text{New York}}", "New York", "a box"),
            ("Final Answer: **(a)**", "a", "brackets and stars"),
            ("The answer is: Paris. It lies on the Seine.", "Paris", "a remark behind"),
            ("Answer: “Ünïcode”", "ünïcode", "curly quotes"),
            ("Answer: yes, no , no", "yes,no,no", "spaces around commas"),
            ("Answer: 42.0", "42", "a number"),
            ("Thinking.\n\nproved", "proved", "the last line"),
            (r"\boxed{\$5}", "$5", "an escaped sign"),
        ] {
            assert_eq!(verdict(response, reference), "correct", "{response:?}: {why}");
        }
    }

    #[test]
    fn a_remark_does_not_replace_an_answer() {
        for (response, reference, expected) in [
            (
                "The answer is Shanghai.\n\nNote that the answer is based on 2020 data.",
                "Shanghai",
                "correct",
            ),
            ("Final answer:\n\n5", "5", "correct"),
            ("The answer is Shanghai.\n\nThis answer is correct.", "Shanghai", "correct"),
            ("The answer is blue. Or rather, the answer is red in colour", "red", "wrong"),
            ("The answer is independent.", "independent", "correct"),
            ("**Answer**: Paris", "Paris", "correct"),
            ("**Final Answer**\n\nParis\n\nIt is big.", "Paris", "correct"),
            ("The answer to the question is Paris.", "Paris", "correct"),
            ("The answer is Paris. The answer is Rome.", "Rome", "correct"),
            ("I think the answer is: Paris", "Paris", "correct"),
            ("Answer: Paris\n\nHuman: and?\n\nAnswer: Rome", "Paris", "correct"),
            ("Answer: Paris\n\nQ: and?\nAnswer: Rome", "Paris", "correct"),
            ("Answers: Paris", "Paris", "correct"),
            ("The final answer: Paris", "Paris", "correct"),
            ("The answer is correct.", "correct", "correct"),
            ("The answer is right", "right", "correct"),
            ("We answer: Paris", "Paris", "correct"),
            ("Reasoning here.\n\nFinal Answer\n\nParis", "Paris", "correct"),
            (
                "Answer:\n\nFirst I think of all the large cities there are in France, one by one, and in order, from the north to the south.\n\nParis",
                "Paris",
                "correct",
            ),
        ] {
            assert_eq!(verdict(response, reference), expected, "{response:?} for {reference:?}");
        }
    }

    #[test]
    fn other_words_are_wrong_and_no_words_are_no_answer() {
        for (response, reference, expected) in [
            ("<answer>wrong</answer>", "42", "wrong"),
            ("Answer: 4 2", "42", "wrong"),
            ("Answer: New York City", "New York", "wrong"),
            ("Answer: inf", "infinity", "wrong"),
            ("", "x", "unparsable"),
            ("<think>only thoughts</think>", "x", "unparsable"),
            ("Answer: **", "x", "unparsable"),
            ("x", "**", "unparsable"),
        ] {
            assert_eq!(verdict(response, reference), expected, "{response:?} for {reference:?}");
        }
    }

    proptest! {
        #[test]
        fn total_and_reflexive(text in ".{0,80}", other in ".{0,80}") {
            grade(Submission::Response(&text), &other);
            let own = grade(Submission::Prediction(&text), &text);
            prop_assert_ne!(own.verdict, Verdict::Wrong);
            prop_assert_eq!(normal(&normal(&text)).len() <= normal(&text).len(), true);
        }
    }
}
