//! Multiple-choice questions of the world: choices for a problem, dev sets and test sets.

use super::{
    skill::{Method, NUMBERS, Part, Problem, Skill},
    stream::Stream,
};
use crate::{
    question::{Invalid, Question},
    suite::Item,
};

/// Choices of a question.
pub const CHOICES: usize = 4;
/// How often the misconception's result is among the choices.
const TEMPTING: f64 = 0.75;

/// The right answer and others, in any order: usually what the misconception gives, and neighbours.
pub(super) fn choices(problem: Problem, stream: &mut Stream) -> [i32; CHOICES] {
    let (right, wrong) = (problem.answer(), problem.solve(Method::Misconception).value);
    let mut found = vec![right];
    if wrong != right && stream.chance(TEMPTING) {
        found.push(wrong);
    }
    while found.len() < CHOICES {
        let choice = match stream.below(10) {
            0..5 => right + stream.pick(&[-3, -2, -1, 1, 2, 3]),
            5..8 => right + stream.pick(&[-20, -10, 10, 20]),
            _ => wrong + stream.pick(&[-2, -1, 1, 2, 10]),
        };
        if (0..NUMBERS).contains(&choice) && !found.contains(&choice) {
            found.push(choice);
        }
    }
    stream.shuffle(&mut found);
    std::array::from_fn(|i| found[i])
}

/// The question that asks a problem, as questions of the world read.
///
/// # Errors
/// Choices that are alike, or without the answer.
pub(super) fn question(
    problem: Problem,
    choices: &[i32],
    answer: i32,
) -> Result<Question, Invalid> {
    let correct = choices.iter().position(|choice| *choice == answer);
    let correct = correct.ok_or(Invalid::AnswerNotAChoice)?;
    let texts: Vec<String> = choices.iter().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Question::choice(&format!("{} = ?", problem.text()), &texts, correct)
}

/// Up to `count` questions of a target skill, of the dev part or the test part: no problem twice, each
/// problem by chance among those of the part.
pub fn target(skill: Skill, part: Part, count: usize, seed: u64) -> Vec<Item> {
    let (set, split) = ("world", if part == Part::Test { "test" } else { "dev" });
    let mut problems = Problem::all(skill);
    problems.retain(|problem| problem.is_of(part));
    Stream::new(seed, split, 0).shuffle(&mut problems);
    let item = |(i, problem): (usize, &Problem)| {
        let mut stream = Stream::new(seed, split, i as u64 + 1);
        let question = question(*problem, &choices(*problem, &mut stream), problem.answer());
        let question =
            question.unwrap_or_else(|_| unreachable!("choices differ and hold the answer"));
        Item {
            id: format!("{set}-{}-{split}-{i}", skill.name()),
            set: set.into(),
            split: split.into(),
            subject: Some(skill.name().into()),
            question,
        }
    };
    problems.iter().take(count).enumerate().map(item).collect()
}

/// One question of any skill, from the documents' part.
pub(super) fn practice(skill: Skill, stream: &mut Stream) -> (Problem, [i32; CHOICES]) {
    let problem = Problem::draw(skill, Part::Documents, stream);
    let choices = choices(problem, stream);
    (problem, choices)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Answer;

    #[test]
    fn sets_are_large_distinct_and_apart() {
        for skill in [Skill::Remainder, Skill::Sequence] {
            let test = target(skill, Part::Test, 400, 1);
            let dev = target(skill, Part::Dev, 64, 1);
            assert_eq!((test.len(), dev.len()), (400, 64));
            let texts: std::collections::BTreeSet<&str> =
                test.iter().chain(&dev).map(|item| item.question.text()).collect();
            assert_eq!(texts.len(), 464, "no question twice, in one set or in both");
            for item in &test {
                let problem =
                    Problem::recognise(item.question.text().strip_suffix(" = ?").unwrap()).unwrap();
                assert!(problem.is_of(Part::Test) && !problem.is_of(Part::Documents));
                let Answer::Choice { choices, correct } = item.question.answer() else { panic!() };
                assert_eq!(choices[*correct], problem.answer().to_string());
            }
            assert_ne!(target(skill, Part::Test, 400, 2), test, "another seed, other choices");
        }
        assert!(target(Skill::Addition, Part::Test, 10, 1).is_empty());
    }

    #[test]
    fn the_right_choice_stands_anywhere_and_the_misconception_is_often_there() {
        let (mut places, mut tempting) = ([0; CHOICES], 0);
        for i in 0..4000 {
            let mut stream = Stream::new(5, "test", i);
            let (problem, choices) = practice(Skill::Remainder, &mut stream);
            places[choices.iter().position(|c| *c == problem.answer()).unwrap()] += 1;
            tempting += usize::from(choices.contains(&problem.solve(Method::Misconception).value));
        }
        assert!(places.iter().all(|count| (880..1120).contains(count)), "{places:?}");
        assert!((2900..3400).contains(&tempting), "{tempting}");
    }
}
