//! Answers as sets spell them.

use serde_json::Value;

use super::{Parsed, Usable, Why};
use crate::{
    json,
    question::{Form, Invalid, MAX_CHOICES, Question},
};

/// What a set asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Mcq,
    Numeric,
    Math,
    Text,
}

impl Kind {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "mcq" => Self::Mcq,
            "numeric" => Self::Numeric,
            "math" => Self::Math,
            "text" => Self::Text,
            _ => return None,
        })
    }

    /// How its answers are compared; `None` for a choice.
    pub(super) fn form(self) -> Option<Form> {
        match self {
            Self::Mcq => None,
            Self::Numeric => Some(Form::Numeric),
            Self::Math => Some(Form::Math),
            Self::Text => Some(Form::Text),
        }
    }
}

/// A reference answer that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OpenAnswer {
    /// As the set spells it.
    Text(String),
    /// True or false: a word, whatever the set's type.
    Word(&'static str),
}

/// Reads the answer of an open question; `super::read` says what is accepted. The outer error is
/// what was found instead, beginning with a verb.
pub(super) fn open_answer(value: &Value) -> Parsed<Usable<OpenAnswer>> {
    Ok(Ok(match value {
        Value::Null => return Ok(Err(Why::Invalid(Invalid::BlankAnswer))),
        Value::String(text) => OpenAnswer::Text(text.clone()),
        Value::Number(number) => OpenAnswer::Text(json::plain_number(number)),
        Value::Bool(true) => OpenAnswer::Word("True"),
        Value::Bool(false) => OpenAnswer::Word("False"),
        Value::Array(items) => return list_answer(items),
        Value::Object(_) => {
            let found = json::shown(value);
            return Err(format!("is {found}, expected a text, a number or a list"));
        }
    }))
}

fn list_answer(items: &[Value]) -> Parsed<Usable<OpenAnswer>> {
    if let Some(nested) = items.iter().find(|item| item.is_array() || item.is_object()) {
        let found = json::shown(nested);
        return Err(format!("is a list that holds {found}, expected texts or numbers"));
    }
    if let [single] = items {
        return open_answer(single);
    }
    if items.is_empty() {
        return Ok(Err(Why::Invalid(Invalid::BlankAnswer)));
    }
    let number = |item: &Value| match item {
        Value::Number(number) => Some(json::plain_number(number)),
        _ => None,
    };
    let numbers: Option<Vec<String>> = items.iter().map(number).collect();
    Ok(match numbers {
        // Two numbers in brackets would be read as an interval.
        Some(pair) if pair.len() == 2 => Ok(OpenAnswer::Text(pair.join(", "))),
        Some(numbers) => Ok(OpenAnswer::Text(format!("[{}]", numbers.join(", ")))),
        None => Err(Why::SeveralAnswers),
    })
}

/// A question of `form`, unless the answer is a word.
pub(super) fn open_question(text: &str, answer: OpenAnswer, form: Form) -> Usable<Question> {
    let question = match answer {
        OpenAnswer::Text(answer) if form == Form::Numeric => {
            Question::open(text, &ungrouped(&answer), form)
        }
        OpenAnswer::Text(answer) => Question::open(text, &answer, form),
        OpenAnswer::Word(word) => Question::open(text, word, Form::Text),
    };
    question.map_err(Why::Invalid)
}

/// `1,234,567.5` without its commas; anything else as it is.
fn ungrouped(number: &str) -> String {
    let number = number.trim();
    let digits = number.strip_prefix(['-', '+']).unwrap_or(number);
    let whole = digits.split('.').next().unwrap_or(digits);
    let fraction = digits[whole.len()..].trim_start_matches('.');
    let mut groups = whole.split(',');
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    let grouped = first && groups.all(|group| group.len() == 3);
    if grouped && all_digits(&whole.replace(',', "")) && all_digits(fraction) {
        return number.replace(',', "");
    }
    number.to_string()
}

/// The index of a choice that is named by its letter: `B`, `b`, `(B)`, `B.` and `B)` are 1.
pub(super) fn letter_index(text: &str) -> Option<usize> {
    let text = text.trim();
    let text = text.strip_prefix('(').unwrap_or(text);
    let text = text.strip_suffix([')', '.', ':']).unwrap_or(text);
    let mut chars = text.trim().chars();
    let (Some(letter), None) = (chars.next(), chars.next()) else { return None };
    let letter = letter.to_ascii_uppercase();
    let index = letter.is_ascii_uppercase().then(|| usize::from(letter as u8 - b'A'))?;
    (index < MAX_CHOICES).then_some(index)
}

/// What stands behind the last `marker`.
pub(super) fn after<'a>(text: &'a str, marker: &str) -> Option<&'a str> {
    let (_, answer) = text.rsplit_once(marker)?;
    Some(answer.trim()).filter(|answer| !answer.is_empty())
}

/// What the last `\boxed{…}` or `\fbox{…}` holds; braces inside must pair, escaped ones do not count.
pub(super) fn boxed(text: &str) -> Option<&str> {
    let place = |name: &str| text.rfind(name).map(|at| at + name.len());
    let start = place("\\boxed").max(place("\\fbox"))?;
    let rest = text[start..].trim_start();
    if !rest.starts_with('{') {
        // `\boxed 5`: a box of one word.
        let word = rest.split(|c: char| c.is_whitespace() || c == '$').next()?;
        return Some(word.trim_end_matches(['.', ','])).filter(|word| !word.is_empty());
    }
    let (mut depth, mut escaped) = (0_usize, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'{' => depth += 1,
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(rest[1..at].trim()).filter(|answer| !answer.is_empty());
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn open_answers_of_every_kind() {
        let text = |text: &str| Ok(OpenAnswer::Text(text.into()));
        let cases = [
            (json!("\\frac12"), text("\\frac12")),
            (json!(11760), text("11760")),
            (json!(4e-5), text("0.00004")),
            (json!(true), Ok(OpenAnswer::Word("True"))),
            (json!(["2"]), text("2")),
            (json!([3]), text("3")),
            (json!([0.333, -2.0]), text("0.333, -2")),
            (json!([0.333, -2.0, 1]), text("[0.333, -2, 1]")),
            (json!(["a", "b"]), Err(Why::SeveralAnswers)),
            (json!([1, "b"]), Err(Why::SeveralAnswers)),
            (json!([true, false]), Err(Why::SeveralAnswers)),
            (json!([]), Err(Why::Invalid(Invalid::BlankAnswer))),
            (json!([null]), Err(Why::Invalid(Invalid::BlankAnswer))),
            (json!(null), Err(Why::Invalid(Invalid::BlankAnswer))),
        ];
        for (value, expected) in cases {
            assert_eq!(open_answer(&value).unwrap(), expected, "{value}");
        }
        assert!(open_answer(&json!({"a": 1})).unwrap_err().contains("an object"));
        assert!(open_answer(&json!([[1, 2], [3, 4]])).unwrap_err().contains("holds a list of 2"));
        assert!(open_answer(&json!([[1]])).is_err(), "depth is one");
    }

    #[test]
    fn groups_of_digits_are_one_number() {
        for (text, expected) in [
            ("5,600", "5600"),
            (" -1,234,567.50 ", "-1234567.50"),
            ("1,2", "1,2"),
            ("1234,567", "1234,567"),
            ("1,234 km", "1,234 km"),
            ("1,23x", "1,23x"),
            (",123", ",123"),
            ("1,234.5,6", "1,234.5,6"),
            ("18", "18"),
        ] {
            assert_eq!(ungrouped(text), expected);
        }
    }

    #[test]
    fn letters() {
        for text in ["B", "b", " B ", "(B)", "B.", "B)", "(b)."] {
            let expected = (text != "(b).").then_some(1);
            assert_eq!(letter_index(text), expected, "{text}");
        }
        for text in ["", "AB", "1", "É", "()", "-"] {
            assert_eq!(letter_index(text), None, "{text}");
        }
    }

    #[test]
    fn final_answers_in_solutions() {
        assert_eq!(after("2+2=<<2+2=4>>4\n#### 4 ", "####"), Some("4"));
        assert_eq!(after("#### 3\n#### 4", "####"), Some("4"));
        assert_eq!(after("####  ", "####"), None);
        assert_eq!(after("4", "####"), None);
        assert_eq!(boxed("so $\\boxed{1}$, no, $\\boxed{\\frac{1}{2}}$."), Some("\\frac{1}{2}"));
        assert_eq!(boxed("$\\boxed{\\{1, 2\\}}$"), Some("\\{1, 2\\}"));
        assert_eq!(boxed("$\\fbox{A}$"), Some("A"));
        assert_eq!(boxed("$\\boxed 5$."), Some("5"));
        for text in ["", "5", "\\boxed{", "\\boxed{{}", "\\boxed{}", "\\boxed", "\\boxed{\\}"] {
            assert_eq!(boxed(text), None, "{text}");
        }
    }
}
