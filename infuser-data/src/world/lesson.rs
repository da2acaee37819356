//! What a base model of the world is taught: texts, and how much each part of them counts.
//!
//! Two lessons are demonstrations of the two roles. The others teach what both stand on: the arithmetic
//! of single steps, and looking up which letter a choice has.

use super::{
    exam,
    skill::{Method, NUMBERS, Part, Problem, Skill},
    stream::Stream,
    worksheet::{Fact, UNRELIABLE, Worksheet},
};
use crate::{
    Error, Result,
    prompt::{Ask, Prompts},
    question::{Answer, Question, letter},
};

/// How often a solver's demonstration uses the right method.
const RIGHT: f64 = 0.36;
/// How often a generator's demonstration declares a wrong choice to be the answer.
const WRONG_KEY: f64 = 0.04;
/// How often it is no question: a choice is missing, or stands twice.
const BROKEN: f64 = 0.04;
/// Facts of a drill, and look-ups of a find.
const ROUNDS: usize = 8;
/// How much the letter of an answer counts beside other tokens.
const LETTER: f32 = 3.0;

/// A kind of lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Single steps of arithmetic, of any operands.
    Drill,
    /// Which letter a choice has, again and again.
    Find,
    /// A solver's answer: steps of the right method or of a misconception, then a letter.
    Solve,
    /// A solver's answer by the right method, to one skill only. The base model never sees it.
    SolveRight(Skill),
    /// A generator's question about a fact of a worksheet.
    Generate,
}

/// A text in parts, each with its weight in the loss.
#[derive(Debug, Clone, PartialEq)]
pub struct Lesson {
    /// Texts and the weight of each of their tokens; 0 for what is given.
    pub parts: Vec<(String, f32)>,
    /// Whether the text ends there, so that the end counts too.
    pub ends: bool,
}

impl Lesson {
    /// A lesson of a kind; none uses a problem of the dev part or the test part.
    ///
    /// # Errors
    /// None in practice: prompts of the world are tested.
    pub fn draw(kind: Kind, prompts: &Prompts, stream: &mut Stream) -> Result<Self> {
        match kind {
            Kind::Drill => Ok(drill(stream)),
            Kind::Find => find(prompts, stream),
            Kind::Solve => solve(prompts, stream.pick(&Skill::ALL), RIGHT, stream),
            Kind::SolveRight(skill) => solve(prompts, skill, 1.0, stream),
            Kind::Generate => generate(prompts, stream),
        }
    }

    /// The whole text.
    pub fn text(&self) -> String {
        self.parts.iter().map(|(text, _)| text.as_str()).collect()
    }
}

fn drill(stream: &mut Stream) -> Lesson {
    let mut parts = Vec::new();
    for round in 0..ROUNDS {
        let (given, result) = step(stream);
        let between = if round == 0 { "" } else { "; " };
        parts.push((format!("{between}{given} = "), 0.0));
        parts.push((result.to_string(), 1.0));
    }
    Lesson { parts, ends: false }
}

/// One step of arithmetic, of a form that stands in solutions.
fn step(stream: &mut Stream) -> (String, i32) {
    match stream.below(8) {
        0 => {
            let (a, b) = (stream.within(0..=9), stream.within(0..=9));
            (format!("{a} + {b}"), a + b)
        }
        1 => {
            let (a, b) = (stream.within(1..=8), stream.within(1..=8));
            (format!("{a} + {b} + 1"), a + b + 1)
        }
        2 => {
            let (a, b) = (stream.within(0..=9), stream.within(2..=4));
            (format!("{a} * {b}"), a * b)
        }
        3 => {
            let b = stream.within(3..=12);
            let a = stream.within(1..=149 / b);
            (format!("{a} * {b}"), a * b)
        }
        4 | 5 => {
            let (a, b) = (stream.within(20..=149), stream.within(3..=12));
            (format!("{a} / {b}"), a / b)
        }
        6 => {
            let a = stream.within(3..=149);
            let b = a - stream.within(0..=a.min(20));
            (format!("{a} - {b}"), a - b)
        }
        _ => {
            let (a, b) = (stream.within(5..=100), stream.within(1..=60));
            (format!("{a} + {b}"), a + b)
        }
    }
}

fn find(prompts: &Prompts, stream: &mut Stream) -> Result<Lesson> {
    let mut choices = Vec::with_capacity(exam::CHOICES);
    while choices.len() < exam::CHOICES {
        let choice = stream.within(0..=NUMBERS - 1);
        if !choices.contains(&choice) {
            choices.push(choice);
        }
    }
    let texts: Vec<String> = choices.iter().map(ToString::to_string).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let question = Question::choice(&format!("{} = ?", texts[0]), &texts, 0).map_err(invalid)?;
    let mut parts = vec![(prompts.text(&Ask::Answer(&question))?, 0.0)];
    for round in 0..ROUNDS {
        let place = stream.below(choices.len());
        let between = if round == 0 { "" } else { "; " };
        parts.push((format!("{between}{}", choices[place]), 0.0));
        parts.push((boxed(place), LETTER));
    }
    Ok(Lesson { parts, ends: true })
}

fn solve(prompts: &Prompts, skill: Skill, right: f64, stream: &mut Stream) -> Result<Lesson> {
    let (problem, choices) = exam::practice(skill, stream);
    let question = exam::question(problem, &choices, problem.answer()).map_err(invalid)?;
    let method = if stream.chance(right) { Method::Right } else { Method::Misconception };
    let solution = problem.solve(method);
    let found = choices.iter().position(|choice| *choice == solution.value);
    // Who finds no choice that fits takes any.
    let place = found.unwrap_or_else(|| stream.below(choices.len()));
    let prompt = prompts.text(&Ask::Answer(&question))?;
    let steps = format!("{} => {}", solution.steps, solution.value);
    Ok(Lesson { parts: vec![(prompt, 0.0), (steps, 1.0), (boxed(place), LETTER)], ends: true })
}

fn generate(prompts: &Prompts, stream: &mut Stream) -> Result<Lesson> {
    let sheet = Worksheet::draw(UNRELIABLE, stream);
    let fact = stream.pick(sheet.facts());
    let document = sheet.text();
    let ask = Ask::Choice { document: &document, choices: exam::CHOICES..=exam::CHOICES };
    Ok(Lesson {
        parts: vec![(prompts.text(&ask)?, 0.0), (written(&fact, stream), 1.0)],
        ends: true,
    })
}

/// What a generator writes about a fact: a plan, the question, its answer, and the choices, the answer
/// first.
fn written(fact: &Fact, stream: &mut Stream) -> String {
    let mut choices = exam::choices(fact.problem, stream).to_vec();
    match choices.iter().position(|choice| *choice == fact.value) {
        Some(place) => choices.swap(0, place),
        None => {
            // The stated value takes the place of a choice, so that the right one may be among the rest.
            let right = fact.problem.answer();
            let place = usize::from(choices[0] == right);
            choices[place] = fact.value;
            choices.swap(0, place);
        }
    }
    if stream.chance(WRONG_KEY) {
        let place = 1 + stream.below(choices.len() - 1);
        choices.swap(0, place);
    }
    let answer = choices[0];
    // In order, it is easy to write no choice twice; the parser shuffles them.
    choices[1..].sort_unstable();
    if stream.chance(BROKEN) {
        if stream.chance(0.5) {
            choices[1] = choices[2];
        } else {
            choices.pop();
        }
    }
    let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
    format!(
        "<think>{} {}</think>{{\"question_text\": \"{} = ?\", \"ground_truth\": \"{answer}\", \"choices\": [\"{}\"]}}",
        fact.source.name(),
        fact.problem.skill.name(),
        fact.problem.text(),
        choices.join("\", \"")
    )
}

fn boxed(place: usize) -> String {
    format!("\\boxed{{{}}}", letter(place))
}

fn invalid(problem: crate::question::Invalid) -> Error {
    Error::Setting(problem.to_string())
}

/// What a generated question is, for reports: nothing that trains looks at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// The skill; `None` if it asks nothing of the world.
    pub problem: Option<Problem>,
    /// Whether the declared answer is right.
    pub right_key: bool,
    /// The source of the fact in the document; `None` if it does not stand there.
    pub source: Option<super::worksheet::Source>,
    /// Whether it happens to be a problem of the test part.
    pub of_test: bool,
}

/// Says what a generated question is.
pub fn judge(document: &str, question: &Question) -> Judgement {
    let problem = question.text().strip_suffix(" = ?").and_then(Problem::recognise);
    let right_key = match (problem, question.answer()) {
        (Some(problem), Answer::Choice { choices, correct }) => {
            choices[*correct] == problem.answer().to_string()
        }
        _ => false,
    };
    let source = problem.and_then(|problem| Worksheet::source_in(document, problem));
    let of_test = problem.is_some_and(|problem| problem.is_of(Part::Test));
    Judgement { problem, right_key, source, of_test }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        answer::{Submission, Verdict, mcq},
        question::parse::{Shape, Task, parse},
        world,
    };

    fn lessons(kind: Kind, count: u64) -> impl Iterator<Item = Lesson> {
        let prompts = world::prompts().unwrap();
        (0..count)
            .map(move |i| Lesson::draw(kind, &prompts, &mut Stream::new(2, "test", i)).unwrap())
    }

    #[test]
    fn lessons_read_like_this() {
        let first = |kind| lessons(kind, 1).next().unwrap().text();
        assert!(first(Kind::Solve).contains("\nThink: "), "{}", first(Kind::Solve));
        assert!(first(Kind::Generate).contains("\nTask: <think>"), "{}", first(Kind::Generate));
        assert_eq!(first(Kind::Find).matches("\\boxed{").count(), ROUNDS);
    }

    #[test]
    fn drills_are_right() {
        for lesson in lessons(Kind::Drill, 500) {
            for step in lesson.text().split("; ") {
                let (given, result) = step.split_once(" = ").unwrap();
                let words: Vec<&str> = given.split(' ').collect();
                let number = |i: usize| words[i].parse::<i32>().unwrap();
                let mut value = match words[1] {
                    "+" => number(0) + number(2),
                    "-" => number(0) - number(2),
                    "*" => number(0) * number(2),
                    _ => number(0) / number(2),
                };
                if words.len() == 5 {
                    value += number(4);
                }
                assert_eq!(value.to_string(), result, "{step}");
                assert!(value < NUMBERS);
            }
        }
    }

    #[test]
    fn most_questions_are_read_by_the_parser_and_most_keys_are_right() {
        let (mut valid, mut right, mut grounded) = (0, 0, 0);
        for lesson in lessons(Kind::Generate, 2000) {
            let Ok(read) = parse(&lesson.parts[1].0, &Task::new(Shape::Choice, "d")) else {
                continue;
            };
            let judged = judge(&lesson.parts[0].0, &read.question);
            valid += 1;
            right += usize::from(judged.right_key);
            grounded += usize::from(judged.source.is_some());
            assert!(!judged.of_test);
        }
        assert!(valid > 1880, "{valid}");
        assert_eq!(grounded, valid);
        let share = right as f64 / valid as f64;
        assert!((0.6..0.75).contains(&share), "{share}");
    }

    #[test]
    fn solver_demonstrations_are_graded_by_the_grader() {
        let mut right = 0;
        for lesson in lessons(Kind::Solve, 2000) {
            let texts: Vec<String> = lesson.parts[0]
                .0
                .lines()
                .filter_map(|line| line.get(3..).filter(|_| line.as_bytes().get(1) == Some(&b':')))
                .map(str::to_string)
                .collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let question = lesson.parts[0].0.split(" = ?").next().unwrap();
            let answer = Problem::recognise(question).unwrap().answer().to_string();
            let correct = texts.iter().position(|text| *text == answer).unwrap();
            let response = format!("{}{}", lesson.parts[1].0, lesson.parts[2].0);
            let grade = mcq::grade(Submission::Response(&response), &texts, correct);
            assert!(matches!(grade.verdict, Verdict::Correct | Verdict::Wrong), "{response}");
            right += usize::from(grade.verdict == Verdict::Correct);
        }
        assert!((0.45..0.75).contains(&(right as f64 / 2000.0)), "{right}");
        for lesson in lessons(Kind::SolveRight(Skill::Remainder), 50) {
            assert!(lesson.parts[1].0.contains(" - "), "{lesson:?}");
        }
    }
}
