//! The embedded world: documents, questions and lessons of small arithmetic, made from a seed, in which
//! self-evolution can be seen on a laptop.
//!
//! A *worksheet* states a few solved problems of six skills. Half of its facts come from a source that
//! often states what a misconception gives. A generator that reads it chooses what to ask about and whom
//! to believe; a solver that answers knows, of each skill, the right method and the misconception. The
//! *target* is one skill. Dev set, test set and documents never share a problem of a target skill.
//!
//! What trains sees texts only. Skills and sources are for reports ([`judge`]).

mod exam;
mod lesson;
mod skill;
mod stream;
mod vocabulary;
mod worksheet;

use rayon::prelude::*;

pub use exam::{CHOICES, target};
pub use lesson::{Judgement, Kind, Lesson, judge};
pub use skill::{Method, NUMBERS, Part, Problem, Skill, Solution};
pub use stream::Stream;
pub use vocabulary::{CONFIG, END, files};
pub use worksheet::{FACTS, Fact, Source, UNRELIABLE, Worksheet};

use crate::{Result, document::Document, prompt::Prompts, suite::Item};

/// The prompts of the world; what is not of the world has the built-in ones.
///
/// # Errors
/// None in practice: the templates are tested.
pub fn prompts() -> Result<Prompts> {
    Prompts::overlaid(&[
        (
            "choice_generator.base.jinja",
            include_str!("../templates/world/choice_generator.base.jinja"),
        ),
        ("choice_solver.base.jinja", include_str!("../templates/world/choice_solver.base.jinja")),
    ])
}

/// The first `count` documents of a seed, on all threads, with a share of facts from the unreliable
/// source.
pub fn documents(count: usize, unreliable: f64, seed: u64) -> Vec<Document> {
    let document = |i: usize| Document {
        doc_id: format!("world-{seed}-{i}"),
        source_number: None,
        position: None,
        content: Worksheet::draw(unreliable, &mut Stream::new(seed, "document", i as u64)).text(),
        title_path: None,
        field: None,
        source: None,
        token_count: None,
        prompt_type: None,
    };
    (0..count).into_par_iter().map(document).collect()
}

/// Questions of a skill, for reports of what a solver can do, from the documents' part.
///
/// # Errors
/// None in practice: choices differ and hold the answer.
pub fn review(skill: Skill, count: usize, seed: u64) -> Result<Vec<Item>> {
    let name = skill.name();
    let item = |i: usize| {
        let mut stream = Stream::new(seed, name, i as u64);
        let (problem, choices) = exam::practice(skill, &mut stream);
        let question = exam::question(problem, &choices, problem.answer());
        Ok(Item {
            id: format!("world-{name}-review-{i}"),
            set: "world".into(),
            split: "review".into(),
            subject: Some(name.into()),
            question: question.map_err(|problem| crate::Error::Setting(problem.to_string()))?,
        })
    };
    (0..count).map(item).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn documents_are_their_seed_and_number_on_any_number_of_threads() {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| documents(300, UNRELIABLE, 9))
        };
        assert_eq!(on(1), on(3));
        assert_eq!(on(2)[..100], documents(100, UNRELIABLE, 9)[..]);
        assert_ne!(documents(1, UNRELIABLE, 9)[0].content, documents(1, UNRELIABLE, 10)[0].content);
    }

    /// The promise of the world: what is tested was nowhere to be read.
    #[test]
    fn no_question_of_dev_or_test_stands_in_documents_or_lessons() {
        let mut held_out = BTreeSet::new();
        for skill in [Skill::Remainder, Skill::Sequence] {
            for part in [Part::Dev, Part::Test] {
                for item in target(skill, part, usize::MAX, 1) {
                    held_out.insert(item.question.text().trim_end_matches(" = ?").to_string());
                }
            }
        }
        assert!(held_out.len() > 1000, "{}", held_out.len());
        let absent = |text: &str| {
            let asked = text.lines().filter_map(|line| {
                let line = line.split_once("] ").map_or(line, |(_, fact)| fact);
                line.split_once(" = ").map(|(asked, _)| asked)
            });
            asked.filter(|asked| held_out.contains(*asked)).count() == 0
        };
        assert!(!absent(&format!("[key] {} = 4", held_out.first().unwrap())), "the check can fail");
        assert!(documents(20_000, UNRELIABLE, 1).iter().all(|document| absent(&document.content)));
        let prompts = prompts().unwrap();
        for kind in [Kind::Solve, Kind::Generate, Kind::SolveRight(Skill::Sequence)] {
            for i in 0..3000 {
                let mut stream = Stream::new(1, "lesson", i);
                let lesson = Lesson::draw(kind, &prompts, &mut stream).unwrap();
                assert!(absent(&lesson.text()), "{}", lesson.text());
            }
        }
    }
}
