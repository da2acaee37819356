//! The final answer of a whole output: a box, what an announcement names, the last value.

use super::{
    super::{
        announce::{Announcement, Link, announcements, fillers, is_remark},
        find::{before_question, final_part, final_tag, last_boxes},
    },
    MAX_ANSWER, readable,
    spans::{first_value, is_formula, last_value, leading},
    words,
};

#[cfg(test)]
mod tests;

/// Words of an answer in words, at most. More are a sentence.
const MAX_WORDS: usize = 3;

/// Candidates for the final answer, the best first. `in_words` says that the reference is in words:
/// only then are words an answer, for "the answer is below" names none.
pub(in crate::answer) fn in_response(response: &str, in_words: bool) -> Vec<String> {
    if let Some(tag) = final_tag(response) {
        return in_prediction(tag, in_words);
    }
    let text = final_part(response);
    // A base model goes on with the next question; what it answers there is not for ours.
    let found = before_question(text).map(|first| decided(first, in_words));
    if let Some(found) = found.filter(|found| !found.is_empty()) {
        return found;
    }
    let mut found = decided(text, in_words);
    if found.is_empty() {
        let line = text.lines().next_back().filter(|_| in_words);
        found.extend(line.and_then(leading_words).or_else(|| last_value(text)));
    }
    found
}

/// An answer that was taken out already; one that is a sentence after all is searched.
pub(super) fn in_prediction(text: &str, in_words: bool) -> Vec<String> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    if last_boxes(text).is_none() && text.len() <= MAX_ANSWER {
        let mut announced = announcements(text);
        if let Some(found) = announced.find_map(|announced| named(&announced, in_words)) {
            return vec![found];
        }
        if readable(text) {
            return vec![text.to_string()];
        }
    }
    let mut found = decided(text, in_words);
    if found.is_empty() {
        found.push(last_value(text).unwrap_or_else(|| text.to_string()));
    }
    found
}

/// What a box, the output as a whole or an announcement decides for.
fn decided(text: &str, in_words: bool) -> Vec<String> {
    if let Some((answer, end)) = last_boxes(text) {
        // Behind a box only a value that is called final counts, not a word about it.
        let mut later = announcements(&text[end..]).filter(|later| later.is_final);
        let later = later.find_map(|later| directly(&later));
        return later.into_iter().chain([answer]).collect();
    }
    if is_formula(text) && readable(text) {
        return vec![text.to_string()];
    }
    announcements(text).find_map(|announced| named(&announced, in_words)).into_iter().collect()
}

/// A value right behind an announcement, but for words that lead to it.
fn directly(announced: &Announcement<'_>) -> Option<String> {
    if announced.aside {
        return None;
    }
    let rest = announced.rest;
    let lead = if announced.link == Link::Bare { 0 } else { fillers(rest) };
    leading(&rest[lead..]).or_else(|| leading(rest))
}

/// What an announcement names: what stands right behind it, else the first value of its sentence.
fn named(announced: &Announcement<'_>, in_words: bool) -> Option<String> {
    let rest = announced.rest;
    if in_words && !announced.aside {
        let told = leading_words(rest).or_else(|| leading_words(&rest[fillers(rest)..]));
        if told.is_some() {
            return told;
        }
    }
    if let Some(found) = directly(announced) {
        return Some(found);
    }
    let sentence = &rest[fillers(rest)..];
    let remark = announced.link == Link::Verb && is_remark(sentence);
    if announced.aside || announced.apart || announced.link == Link::Bare || remark {
        return None;
    }
    let line = sentence.lines().next().unwrap_or("");
    first_value(line.split(". ").next().unwrap_or(line))
}

/// A short answer in words at the start of a text, without its article.
fn leading_words(text: &str) -> Option<String> {
    const ENDS: [&str; 5] = [" because", " since", " as ", " for ", " so "];
    let text =
        text.trim_start_matches(|next: char| next.is_whitespace() || "*_$\"“".contains(next));
    let start = ["\\text{", "\\textbf{"].iter().find_map(|style| text.strip_prefix(style));
    let text = start.unwrap_or(text);
    let end = text.find(|next: char| ".,;:!?(\n}*\"”".contains(next)).unwrap_or(text.len());
    let ends = ENDS.iter().filter_map(|word| text[..end].find(word));
    let text = text[..ends.min().unwrap_or(end)].trim();
    let article = ["the ", "a ", "an ", "The ", "A ", "An "];
    let text = article.iter().find_map(|article| text.strip_prefix(article)).unwrap_or(text);
    let short = text.split_whitespace().count() <= MAX_WORDS;
    (short && words(text).is_some()).then(|| text.to_string())
}
