//! Whether a question leans on a document that the solver does not see.
//!
//! The rule is about phrases, not words: "Which document grants…" asks about documents, "According to
//! the document…" needs one. A question is refused if it, or one of its choices, has one of these.
//!
//! - What is said, read or found in *the* or *this* document: "according to the passage", "as described
//!   in this chapter", "based on the given text". "In this chapter" alone is enough.
//! - A document that is pointed at: "the passage above", "the provided excerpt", "this passage".
//! - A document or its author who says something: "what does the author argue", "the text suggests".
//! - A picture or table that is not there: "shown in the figure", "the diagram above", "Table 3".
//!
//! It is no reference if the words go on to say which document is meant ("the document *that* King John
//! sealed", "the author *of* Hamlet", "the author *Jane Austen*", "the text *titled* …"), or if the question brings what it refers to:
//! "the following passage" or "passage:" with a quotation or lines of its own behind it, or a long
//! quotation anywhere.

use std::sync::LazyLock;

use regex::Regex;

use super::{Answer, Question};

/// Words behind a document that say which one it is, and what makes something else of it.
const SAYS_WHICH: &str = "of that which whose who where signed known called titled entitled named \
    written issued published drafted adopted produced created composed attributed by on from between \
    establishing frame";

const TEXTS: &str = "passage|excerpt|document|text|article|paragraph|chapter|section|reading|\
    reading material|source material|source text|lecture|lesson|textbook|paper|report|narrative";
const PICTURES: &str = "figure|diagram|illustration|picture|photograph|chart|table|graph|image|map";
const ADJECTIVES: &str = "given|provided|above|preceding|previous|accompanying|supplied|attached|aforementioned|source|quoted|original";
const TOLD: &str = "described|stated|mentioned|discussed|presented|defined|explained|noted|outlined|\
    illustrated|provided|given|shown|listed|introduced|reported|referenced|covered|detailed|cited|depicted|summarized|highlighted|emphasized|found|identified";
const SAYS: &str = "say|suggest|state|imply|mention|describe|claim|indicate|argue|explain|identify|present|\
    define|emphasize|emphasise|discuss|note|report|conclude|believe|propose|use|attribute|compare|\
    characterize|assert|recommend|refer|list|provide|give|illustrate|outline|highlight|tell";

/// Phrases that are references unless what follows says which document is meant.
static OPEN: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    patterns(&[
        format!(
            r"\b(?:according to|based (?:up)?on|per|from reading|in light of|drawing on) (?:the|this|these)(?: (?:{ADJECTIVES}))* (?:{TEXTS}|material|author)s?\b"
        ),
        format!(
            r"\b(?:{TOLD})(?: \w+)? (?:in|by|within|throughout|from) (?:the|this|these)(?: (?:{ADJECTIVES}))* (?:{TEXTS}|author|{PICTURES})s?\b"
        ),
        format!(
            r"\b(?:in|from|within|throughout|to) (?:this|these)(?: (?:{ADJECTIVES}))? (?:{TEXTS})s?\b"
        ),
        r"\bof this (?:text|chapter|lecture|lesson|article|paper|textbook)\b".to_string(),
        format!(
            r"\bin the(?: (?:{ADJECTIVES}))? (?:passage|excerpt|text|document|paragraph|chapter|reading|lecture|lesson|figure|diagram|illustration|picture|photograph)\b"
        ),
        format!(
            r"\bthe (?:given|provided|above|preceding|accompanying|supplied|attached|aforementioned) (?:{TEXTS}|{PICTURES})s?\b"
        ),
        r"\b(?:in|from|by|on|using) the (?:provided|above|preceding|accompanying|supplied) materials?\b".to_string(),
        // "Which section of an article summarizes the article?" asks about articles.
        format!(
            r"\b(?:(?:best|\w+ly) summari[sz]es? (?:the|this) (?:{TEXTS})|summari[sz]es? (?:the|this) (?:document|passage|excerpt|text))\b"
        ),
        r"\bthe authors?\b".to_string(),
    ])
});

/// Phrases that are references whatever follows.
static CLOSED: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    patterns(&[
        r"\bthis (?:passage|excerpt)\b".to_string(),
        format!(r"\bthe (?:{TEXTS}|{PICTURES}) (?:above|provided|given here)\b"),
        format!(r"(?:^|[.?!\n]\s*)(?:from|per|using|given|considering) (?:the|this) (?:{TEXTS})s?,"),
        format!(r"\b(?:does|do|did) the (?:{TEXTS}|authors?) (?:\w+ly )?(?:{SAYS})\b"),
        format!(r"\bthe (?:passage|excerpt|text|document|article) (?:\w+ly )?(?:{SAYS}|implie)s\b"),
        r"\bthe (?:figure|diagram|illustration|picture|photograph|chart|image) (?:shows?|depicts?|illustrates?|shown|depicted)\b".to_string(),
        r"\b(?:figure|fig\.|table|diagram|exhibit) \(?\d+(?:\.\d+)*\b".to_string(),
    ])
});

/// What a question brings along.
static BRINGS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let texts =
        format!("(?:{TEXTS}|{PICTURES}|quotation|data|information|memoir|poem|letter|complaint)s?");
    patterns(&[
        format!(r"\b(?:following|as follows|{texts} below)\b[^.?!:]{{0,80}}[.:] [^?]{{100}}"),
        r#"["“][^"“”]{200}"#.to_string(),
        format!(r#"\bfollowing (?:\w+ )?{texts}\b[^.?!:\n"“]{{0,80}}(?::|\n|["“])"#),
        format!(r#"\b{texts} below\b[.,]?\s*(?::|\n|["“])"#),
        format!(r#"\b{texts}:\s*(?:\n|["“])"#),
        r"\b(?:figure|table|diagram) \d+(?:\.\d+)*:".to_string(),
    ])
});

/// The patterns are part of the program; the tests use each, so that one that cannot be read is seen.
fn patterns(patterns: &[String]) -> Vec<Regex> {
    let build = |pattern: &String| Regex::new(&format!("(?i){}", pattern.replace(' ', r"\s+")));
    patterns.iter().filter_map(|pattern| build(pattern).ok()).collect()
}

/// The words by which a question or its choices refer to a document, if they do.
pub(super) fn reference(question: &Question) -> Option<String> {
    let text = question.text();
    if BRINGS.iter().any(|pattern| pattern.is_match(text)) {
        return None;
    }
    let choices = match question.answer() {
        Answer::Choice { choices, .. } => &choices[..],
        Answer::Open { .. } => &[],
    };
    let texts = std::iter::once(text).chain(choices.iter().map(String::as_str));
    texts.filter_map(phrase).next().map(ToString::to_string)
}

fn phrase(text: &str) -> Option<&str> {
    let closed = |pattern: &Regex| {
        let mut all = pattern.find_iter(text).map(|found| (found.as_str(), &text[found.end()..]));
        all.find(|(found, behind)| !is_shape(found, behind)).map(|(found, _)| found)
    };
    let open = |pattern: &Regex| {
        let mut all = pattern.find_iter(text).map(|found| (found.as_str(), &text[found.end()..]));
        let named = |found: &str, behind: &str| says_which(behind) || is_named(found, behind);
        all.find(|(found, behind)| !named(found, behind)).map(|(found, _)| found)
    };
    CLOSED.iter().find_map(closed).or_else(|| OPEN.iter().find_map(open))
}

/// Whether a "figure 8" is the shape: "the figure 8 knot".
fn is_shape(found: &str, behind: &str) -> bool {
    const SHAPES: &str = "knot loop bend shape shaped pattern curve path track orbit motion bandage \
        stitch trajectory";
    found.eq_ignore_ascii_case("figure 8")
        && SHAPES.split_whitespace().any(|shape| shape.eq_ignore_ascii_case(first_word(behind)))
}

/// Whether an author's name follows: "the author Jane Austen", not "the author SAYS" in capitals.
fn is_named(found: &str, behind: &str) -> bool {
    let found = found.to_ascii_lowercase();
    let mut name = behind.trim_start().chars();
    (found.ends_with("author") || found.ends_with("authors"))
        && behind.starts_with(char::is_whitespace)
        && name.next().is_some_and(char::is_uppercase)
        && name.next().is_some_and(|next| next.is_lowercase() || next == '.')
}

fn first_word(text: &str) -> &str {
    text.trim_start().split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default()
}

/// Whether the text behind a document says which one is meant.
fn says_which(behind: &str) -> bool {
    if behind.starts_with(['\'', '’']) {
        return false;
    }
    let behind = behind.trim_start();
    if behind.starts_with(['"', '“', '«', '*']) {
        return true;
    }
    SAYS_WHICH.split_whitespace().any(|which| first_word(behind).eq_ignore_ascii_case(which))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Form;

    fn found(text: &str) -> Option<String> {
        reference(&Question::open(text, "x", Form::Text).unwrap())
    }

    #[test]
    fn every_pattern_can_be_read() {
        assert_eq!((OPEN.len(), CLOSED.len(), BRINGS.len()), (9, 7, 6));
    }

    #[test]
    fn references_are_found() {
        for text in [
            "According to the passage, what drives erosion?",
            "According to the given text, what drives erosion?",
            "ACCORDING  TO\nTHE DOCUMENT, why?",
            "Based on the excerpt, which is true?",
            "Based on the information provided in the article, which holds?",
            "As described in the text, how do cells divide?",
            "Which method is discussed in this chapter?",
            "Which of the algorithms mentioned by the author is fastest?",
            "What does the author argue about trade?",
            "What do the authors conclude?",
            "What is the author's view of free will?",
            "Why does the author reject dualism?",
            "In this section, what is the role of entropy?",
            "What is the main idea of this passage?",
            "Which claim does the document clearly make, and what does the document state?",
            "The text suggests that tides depend on what?",
            "Which of these does the passage imply?",
            "Given the passage above, which follows?",
            "Using the provided document, compute the sum.",
            "Which value is shown in the figure?",
            "What does the diagram above depict?",
            "In the diagram, which angle is largest?",
            "What trend does Table 3 show?",
            "As shown in Fig. 2.1, the current is what?",
            "The figure shows a lever. Where is its fulcrum?",
            "In the passage, what is the tone?",
            "Which steps are listed in the document?",
            "What happened first in the excerpt?",
            "Which theorem from this lecture applies?",
            "According to the passage,\nwhat drives erosion?",
            "According to the passage: what drives erosion?",
            "From the document, which of these is true?",
            "Tides rise. From the text, what moves them?",
            "Which statement best summarizes the document?",
            "Which of these summarizes the document?",
            "Which sentence accurately summarises the article?",
            "Which claim is supported by the provided material?",
            "Which rule in the provided material applies?",
            "WHAT IS TRUE OF THE AUTHOR HERE?",
            "What trend does Figure 8 show?",
            "How tall is the curve in figure 8?",
        ] {
            assert!(found(text).is_some(), "{text}");
        }
    }

    #[test]
    fn questions_about_documents_are_not_references() {
        for text in [
            "Which document grants freedom of speech in the United States?",
            "Which king sealed the document that limited royal power in 1215?",
            "According to the document signed at Runnymede, who is bound by law?",
            "Who is the author of Hamlet?",
            "What did the author of The Wealth of Nations call the invisible hand?",
            "After the passage of the Civil Rights Act, what changed?",
            "In the text of the First Amendment, which freedom comes first?",
            "What is a figure of speech?",
            "In which century did the author Jane Austen live?",
            "What did the authors Watson and Crick find?",
            "When did the author J. K. Rowling publish her first novel?",
            "How many crossings has the figure 8 knot?",
            "How many self-crossings has a Figure 8 curve?",
            "Which section of an article summarizes the article?",
            "From the document signed in 1215, which right follows?",
            "Using the text editor vi, how is a file saved?",
            "How fast is sound in the given material?",
            "In the figure of speech called irony, what is meant?",
            "How does text mining find topics?",
            "Which section of the court hears appeals?",
            "What protects the nasal passage from dust?",
            "Consider the following passage: \"All men are mortal.\" What does the passage imply?",
            "Read the text below.\n\nIt was the best of times.\n\nWhat does the text suggest?",
            "Use the following table: x=1, y=2. What is shown in the table?",
            "Consider this passage: “All men are mortal.” What does the passage imply?",
            "Passage:\nAll men are mortal.\nQuestion: what does the passage imply?",
            "Table 1: x 1 2, y 3 4. What slope does Table 1 give?",
            "Ten grams of a radioactive material decay. How much of this material is left?",
            "Based on the paper “Why most findings are false”, what is power?",
            "What is true of genes in the reading frame +1?",
            "Which element stands first in the periodic table?",
            "How many edges are in the graph K5?",
            "What is in the image of the map f(x) = x^2?",
            "According to the second law of thermodynamics, what cannot fall?",
            "Based on the data, a mean of 4 and a variance of 2, what is the z score of 6?",
            "Under Chapter 11, who keeps control of a firm?",
            "Which clause in Section 230 protects hosts?",
            "Who wrote the first chapter of the book?",
            "How much table salt is in sea water?",
            "For the process described above, an isothermal expansion to 2 V, find the work.",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn choices_count_too() {
        let question = Question::choice("Why?", &["a", "As stated in the passage, b"], 0).unwrap();
        assert_eq!(reference(&question).as_deref(), Some("stated in the passage"));
    }
}
