//! Which choice an answer means, and letters before choices.

use super::super::Reject;
use crate::{
    json,
    question::{MAX_CHOICES, letter, plain},
};

/// The choices without letters before them, if each has its own, from A on, all written alike:
/// `A) x`, `(A) x`, `A. x`, `A: x` or `A - x`. One letter is taken off, not two.
pub(crate) fn unlettered(choices: &[String]) -> Option<Vec<String>> {
    let (style, _, _) = lettered(choices.first()?)?;
    let strip = |(index, choice): (usize, &String)| {
        let (found, name, text) = lettered(choice)?;
        (found == style && index < MAX_CHOICES && name == letter(index)).then(|| text.to_string())
    };
    choices.iter().enumerate().map(strip).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Style {
    Brackets,
    Bracket,
    Dot,
    Colon,
    Dash,
}

/// The letter at the beginning of a text, in upper case, and what follows it; both are there.
fn lettered(text: &str) -> Option<(Style, char, &str)> {
    let text = text.trim();
    let (inside, open) = match text.strip_prefix('(') {
        Some(inside) => (inside, true),
        None => (text, false),
    };
    let name = inside.chars().next().filter(char::is_ascii_alphabetic)?;
    let behind = &inside[1..];
    let (style, rest) = if let Some(rest) = behind.strip_prefix(')') {
        (if open { Style::Brackets } else { Style::Bracket }, rest)
    } else if open {
        return None;
    } else if let Some(rest) = behind.strip_prefix('.').filter(|rest| spaced(rest)) {
        (Style::Dot, rest)
    } else if let Some(rest) = behind.strip_prefix(':').filter(|rest| spaced(rest)) {
        (Style::Colon, rest)
    } else {
        let rest = behind.strip_prefix(' ')?.strip_prefix(['-', '–', '—'])?;
        (Style::Dash, Some(rest).filter(|rest| spaced(rest))?)
    };
    let rest = rest.trim();
    (!rest.is_empty()).then_some((style, name.to_ascii_uppercase(), rest))
}

fn spaced(rest: &str) -> bool {
    rest.starts_with(char::is_whitespace)
}

/// The index of the choice that an answer means.
///
/// `written` are the choices as the model wrote them, `clean` without their letters. In this order,
/// the first that finds a choice wins:
///
/// 1. The answer is a choice word for word: `C` among the choices `H`, `C`, `N`, `O` is the second.
/// 2. It is one but for case and spaces, or but for a full stop at the end.
/// 3. It is a letter: `C`, `c`, `(C)`, `C)`, `C.`, `C:`.
/// 4. It is a letter and a choice, like `C) text`, and both mean the same.
///
/// Numbers are never indices.
pub(super) fn find(answer: &str, written: &[String], clean: &[String]) -> Result<usize, Reject> {
    let none = || Reject::AnswerNotAmongChoices { answer: json::quoted(answer) };
    let two = || Reject::AmbiguousAnswer { answer: json::quoted(answer) };
    if let Some(index) =
        same(written, |choice| choice == answer).or_else(|| same(clean, |choice| choice == answer))
    {
        return Ok(index);
    }
    if let Some(index) = by_text(answer, written, clean).map_err(|Several| two())? {
        return Ok(index);
    }
    let at = |name: char| {
        let index = (name.to_ascii_uppercase() as usize).checked_sub('A' as usize)?;
        (index < clean.len()).then_some(index)
    };
    if let Some(name) = bare_letter(answer) {
        return at(name).ok_or_else(none);
    }
    let (_, name, text) = lettered(answer).ok_or_else(none)?;
    match by_text(text, written, clean).map_err(|Several| two())? {
        Some(index) if at(name) == Some(index) => Ok(index),
        Some(_) => Err(two()),
        None => Err(none()),
    }
}

/// More than one choice.
struct Several;

fn same(choices: &[String], is: impl Fn(&str) -> bool) -> Option<usize> {
    choices.iter().position(|choice| is(choice))
}

fn by_text(answer: &str, written: &[String], clean: &[String]) -> Result<Option<usize>, Several> {
    let wanted = plain(answer);
    for choices in [written, clean] {
        if let Some(index) = same(choices, |choice| plain(choice) == wanted) {
            return Ok(Some(index));
        }
    }
    let wanted = unstopped(&wanted);
    if wanted.is_empty() {
        return Ok(None);
    }
    let mut found =
        clean.iter().enumerate().filter(|(_, choice)| unstopped(&plain(choice)) == wanted);
    match (found.next(), found.next()) {
        (Some(_), Some(_)) => Err(Several),
        (first, _) => Ok(first.map(|(index, _)| index)),
    }
}

fn unstopped(text: &str) -> &str {
    text.strip_suffix('.').unwrap_or(text).trim_end()
}

/// `C`, `(C)`, `C)`, `C.` or `C:`.
fn bare_letter(answer: &str) -> Option<char> {
    let answer = answer.trim();
    let inside = match answer.strip_prefix('(') {
        Some(inside) => inside.strip_suffix(')')?,
        None => answer.strip_suffix([')', '.', ':']).unwrap_or(answer),
    };
    let mut letters = inside.trim().chars();
    let name = letters.next().filter(char::is_ascii_alphabetic)?;
    letters.next().is_none().then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(choices: &[&str]) -> Vec<String> {
        choices.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn letters_go_only_if_all_choices_have_their_own() {
        for (choices, clean) in [
            (&["A) x", "B) y"][..], Some(&["x", "y"][..])),
            (&["(a) x", "(b) y"], Some(&["x", "y"])),
            (&["A. x", "B. y"], Some(&["x", "y"])),
            (&["A: x", "B: y"], Some(&["x", "y"])),
            (&["A - x", "B – y"], Some(&["x", "y"])),
            (&["A)x", "B)y"], Some(&["x", "y"])),
            (&["A) A) x", "B) B) y"], Some(&["A) x", "B) y"])),
            (&["A) x", "y"], None),
            (&["A) x", "C) y"], None),
            (&["A) x", "B. y"], None),
            (&["B) x", "A) y"], None),
            (&["A.x", "B.y"], None),
            (&["A)", "B)"], None),
            (&["A", "B"], None),
            (&["A bird", "B cell"], None),
            (&["(A x", "(B y"], None),
            (&["é) x"], None),
            (&[], None),
        ] {
            assert_eq!(unlettered(&list(choices)), clean.map(list), "{choices:?}");
        }
    }

    #[test]
    fn answers_mean_choices() {
        let (elements, names) = (["H", "C", "N", "B"], ["red", "Blue", "green.", "C"]);
        let texts = ["1 m", "2 m", "1 M.", "4 m"];
        for (answer, choices, found) in [
            ("C", &elements, Ok(1)),
            ("B", &elements, Ok(3)),
            ("c", &elements, Ok(1)),
            ("(C)", &elements, Ok(2)),
            ("A", &elements, Ok(0)),
            ("A) H", &elements, Ok(0)),
            ("C) C", &elements, Err("ambiguous_answer")),
            ("Z", &elements, Err("answer_not_among_choices")),
            ("C", &names, Ok(3)),
            ("blue", &names, Ok(1)),
            ("BLUE.", &names, Ok(1)),
            ("green", &names, Ok(2)),
            ("b", &names, Ok(1)),
            ("B: Blue", &names, Ok(1)),
            ("A) Blue", &names, Err("ambiguous_answer")),
            ("A) pink", &names, Err("answer_not_among_choices")),
            ("A and B", &names, Err("answer_not_among_choices")),
            (".", &names, Err("answer_not_among_choices")),
            ("1 m", &texts, Ok(0)),
            ("1  M", &texts, Ok(0)),
            ("1 m..", &texts, Err("answer_not_among_choices")),
            ("(D)", &texts, Ok(3)),
            ("2", &texts, Err("answer_not_among_choices")),
        ] {
            let choices = list(choices);
            let result = find(answer, &choices, &choices);
            assert_eq!(result.map_err(|reject| reject.name()), found, "{answer}");
        }
    }
}
