//! The documents of the world: worksheets of a few solved problems. Each fact stands under the mark of
//! its source; facts of the unreliable source usually state what a misconception gives.

use super::{
    skill::{Method, Part, Problem, Skill},
    stream::Stream,
};

/// Facts of one worksheet.
pub const FACTS: usize = 5;
/// How many facts come from the unreliable source, where nothing else is said.
pub const UNRELIABLE: f64 = 0.5;
/// How often a fact of the unreliable source states what the misconception gives.
const MISCONCEIVED: f64 = 0.8;

/// Where a fact comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// `[key]`: always right.
    Key,
    /// `[draft]`: often wrong.
    Draft,
}

impl Source {
    /// The word in the mark.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Draft => "draft",
        }
    }
}

/// A solved problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fact {
    /// The problem.
    pub problem: Problem,
    /// The stated result.
    pub value: i32,
    /// Who states it.
    pub source: Source,
}

/// A document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worksheet {
    facts: [Fact; FACTS],
}

impl Worksheet {
    /// A worksheet out of a stream, with a share of facts from the unreliable source.
    pub fn draw(unreliable: f64, stream: &mut Stream) -> Self {
        let fact = |_| {
            let skill = stream.pick(&Skill::ALL);
            let problem = Problem::draw(skill, Part::Documents, stream);
            let source = if stream.chance(unreliable) { Source::Draft } else { Source::Key };
            let wrong = source == Source::Draft && stream.chance(MISCONCEIVED);
            let method = if wrong { Method::Misconception } else { Method::Right };
            Fact { problem, value: problem.solve(method).value, source }
        };
        Self { facts: std::array::from_fn(fact) }
    }

    /// Its facts, in order.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The document's text.
    pub fn text(&self) -> String {
        let mut text = "Worksheet:".to_string();
        for Fact { problem, value, source } in &self.facts {
            text += &format!("\n[{}] {} = {value}", source.name(), problem.text());
        }
        text
    }

    /// The source of a problem in a worksheet's text; `None` if it does not stand there.
    pub fn source_in(text: &str, problem: Problem) -> Option<Source> {
        let stated = format!(" {} = ", problem.text());
        let line = text.lines().find(|line| line.contains(&stated))?;
        [Source::Key, Source::Draft]
            .into_iter()
            .find(|source| line.strip_prefix('[').is_some_and(|l| l.starts_with(source.name())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_right_and_drafts_are_often_wrong() {
        let (mut drafts, mut wrong) = (0, 0);
        for i in 0..4000 {
            let sheet = Worksheet::draw(UNRELIABLE, &mut Stream::new(1, "test", i));
            for fact in sheet.facts() {
                let right = fact.value == fact.problem.answer();
                assert!(right || fact.source == Source::Draft, "{fact:?}");
                assert!(fact.problem.is_of(Part::Documents));
                drafts += usize::from(fact.source == Source::Draft);
                wrong += usize::from(!right);
            }
        }
        assert!((9_600..10_400).contains(&drafts), "{drafts}");
        assert!((5_000..7_500).contains(&wrong), "{wrong}");
        let drafts = |share| {
            let sheet = |i| Worksheet::draw(share, &mut Stream::new(1, "test", i));
            let facts = (0..400).flat_map(|i| sheet(i).facts);
            facts.filter(|fact| fact.source == Source::Draft).count()
        };
        assert_eq!((drafts(0.0), drafts(1.0)), (0, 400 * FACTS));
        assert!((1_340..1_460).contains(&drafts(0.7)), "{}", drafts(0.7));
    }

    #[test]
    fn a_fact_is_found_in_the_text() {
        let sheet = Worksheet::draw(UNRELIABLE, &mut Stream::new(1, "test", 7));
        let text = sheet.text();
        assert_eq!(text.lines().count(), FACTS + 1);
        for fact in sheet.facts() {
            // The first line that states the problem counts, if it stands twice.
            assert!(Worksheet::source_in(&text, fact.problem).is_some(), "{text}");
        }
        let text = "Worksheet:\n[key] 47 mod 5 = 2\n[draft] 7 mod 5 = 1";
        let source = |question| Worksheet::source_in(text, Problem::recognise(question).unwrap());
        assert_eq!(source("47 mod 5"), Some(Source::Key));
        assert_eq!(source("7 mod 5"), Some(Source::Draft));
        assert_eq!(source("4 mod 5"), None);
    }
}
