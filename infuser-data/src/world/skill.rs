//! What can be asked in the world: six small skills of arithmetic, each with its right method and the
//! misconception that learners of it typically have.

use super::stream::Stream;
use crate::order;

/// All numbers of the world lie below this, results and steps too.
pub const NUMBERS: i32 = 200;

/// What a question asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Skill {
    /// `47 + 38`. Misconception: the carry is forgotten.
    Addition,
    /// `23 * 4`. Misconception: the carry is forgotten.
    Product,
    /// `47 mod 5`. Misconception: the quotient is the answer.
    Remainder,
    /// `next 3, 7, 11`. Misconception: the first term is added, not the difference.
    Sequence,
    /// `max 31, 74, 52`. Misconception: ones are compared, not tens.
    Maximum,
    /// `reverse 47`. Misconception: the first digit is written twice.
    Reversal,
}

/// Whose a question may be. No question is in two parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The held-out test set.
    Test,
    /// The dev set.
    Dev,
    /// Documents, and what the base model learned from.
    Documents,
}

/// A question without choices: a skill and what it is applied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The skill.
    pub skill: Skill,
    /// Its numbers; those that the skill does not use are 0.
    numbers: [i32; 3],
}

/// A way to an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Solution {
    /// The steps, like `7 + 8 = 15; 4 + 3 + 1 = 8`.
    pub steps: String,
    /// Where they lead.
    pub value: i32,
}

/// How an answer is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it should be.
    Right,
    /// As learners typically get it wrong. It can give the right value: there may be no carry to forget.
    Misconception,
}

impl Skill {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Addition,
        Self::Product,
        Self::Remainder,
        Self::Sequence,
        Self::Maximum,
        Self::Reversal,
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Product => "product",
            Self::Remainder => "remainder",
            Self::Sequence => "sequence",
            Self::Maximum => "maximum",
            Self::Reversal => "reversal",
        }
    }

    /// Whether its problems are divided between documents, dev set and test set.
    fn is_target(self) -> bool {
        matches!(self, Self::Remainder | Self::Sequence)
    }

    /// Any problem; a hard one has larger numbers on average.
    fn draw(self, hard: bool, stream: &mut Stream) -> Problem {
        let high = |easy: i32, all: i32| if hard { all } else { easy };
        let numbers = match self {
            Self::Addition => {
                [stream.within(11..=high(49, 89)), stream.within(11..=high(49, 89)), 0]
            }
            Self::Product => [stream.within(12..=high(29, 49)), stream.within(2..=4), 0],
            Self::Remainder => {
                [stream.within(20..=high(79, 149)), stream.within(3..=high(9, 12)), 0]
            }
            Self::Sequence => {
                let (first, step) = (stream.within(1..=high(30, 60)), stream.within(2..=20));
                [first, first + step, first + 2 * step]
            }
            Self::Maximum => {
                let mut numbers = [0; 3].map(|_| stream.within(11..=high(49, 98)));
                while numbers[0] == numbers[1]
                    || numbers[1] == numbers[2]
                    || numbers[0] == numbers[2]
                {
                    numbers = [0; 3].map(|_| stream.within(11..=high(49, 98)));
                }
                numbers
            }
            Self::Reversal => [stream.within(12..=high(49, 98)), 0, 0],
        };
        Problem { skill: self, numbers }
    }
}

impl Problem {
    /// A problem of a part of the world.
    pub fn draw(skill: Skill, part: Part, stream: &mut Stream) -> Self {
        let hard = stream.chance(0.5);
        loop {
            let problem = skill.draw(hard, stream);
            if problem.is_of(part) {
                return problem;
            }
        }
    }

    /// Every problem of a skill that is a target, in a fixed order; none for the other skills.
    pub fn all(skill: Skill) -> Vec<Self> {
        let problem = |numbers| Self { skill, numbers };
        match skill {
            Skill::Remainder => {
                (20..=149).flat_map(|a| (3..=12).map(move |m| problem([a, m, 0]))).collect()
            }
            Skill::Sequence => (1..=60)
                .flat_map(|a| (2..=20).map(move |d| problem([a, a + d, a + 2 * d])))
                .collect(),
            _ => Vec::new(),
        }
    }

    /// Whether it may stand in a part. Only the problems of target skills are divided; the others are
    /// in no dev set and no test set.
    pub fn is_of(self, part: Part) -> bool {
        if !self.skill.is_target() {
            return part == Part::Documents;
        }
        let numbers = self.numbers.map(i32::to_le_bytes);
        let name = self.skill.name().as_bytes();
        let bucket = order::digest(&[b"part", name, numbers.as_flattened()]) % 100;
        part == match bucket {
            0..38 => Part::Test,
            38..48 => Part::Dev,
            _ => Part::Documents,
        }
    }

    /// The question, without ` = ?`.
    pub fn text(self) -> String {
        let [a, b, c] = self.numbers;
        match self.skill {
            Skill::Addition => format!("{a} + {b}"),
            Skill::Product => format!("{a} * {b}"),
            Skill::Remainder => format!("{a} mod {b}"),
            Skill::Sequence => format!("next {a}, {b}, {c}"),
            Skill::Maximum => format!("max {a}, {b}, {c}"),
            Skill::Reversal => format!("reverse {a}"),
        }
    }

    /// The problem that a text asks, ` = ?` left out; also of numbers that the world would not draw.
    /// `None` if it asks none, or one without an answer.
    pub fn recognise(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let digits = (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten()
        };
        let two = |(a, b): (&str, &str)| Some([number(a)?, number(b)?, 0]);
        let three = |list: &str| {
            let mut numbers = list.split(", ").map(number);
            let three = [numbers.next()??, numbers.next()??, numbers.next()??];
            numbers.next().is_none().then_some(three)
        };
        let (skill, numbers) = if let Some(list) = text.strip_prefix("next ") {
            (Skill::Sequence, three(list)?)
        } else if let Some(list) = text.strip_prefix("max ") {
            (Skill::Maximum, three(list)?)
        } else if let Some(digits) = text.strip_prefix("reverse ") {
            (Skill::Reversal, [number(digits)?, 0, 0])
        } else if let Some(parts) = text.split_once(" + ") {
            (Skill::Addition, two(parts)?)
        } else if let Some(parts) = text.split_once(" * ") {
            (Skill::Product, two(parts)?)
        } else {
            (Skill::Remainder, two(text.split_once(" mod ")?)?)
        };
        let problem = Self { skill, numbers };
        (skill != Skill::Remainder || numbers[1] > 0).then_some(problem)
    }

    /// What is right.
    pub fn answer(self) -> i32 {
        let [a, b, c] = self.numbers;
        match self.skill {
            Skill::Addition => a + b,
            Skill::Product => a * b,
            Skill::Remainder => a % b,
            Skill::Sequence => 2 * c - b,
            Skill::Maximum => a.max(b).max(c),
            Skill::Reversal => {
                let mut digits: Vec<u8> = a.to_string().into_bytes();
                digits.reverse();
                digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'))
            }
        }
    }

    /// The steps of a method, and where they lead. For the problems that the world draws.
    pub fn solve(self, method: Method) -> Solution {
        let right = method == Method::Right;
        let [a, b, c] = self.numbers;
        let (steps, value) = match self.skill {
            Skill::Addition => {
                let (ones, tens) = (a % 10 + b % 10, a / 10 + b / 10);
                let carry = if right { ones / 10 } else { 0 };
                let plus = if carry > 0 { " + 1" } else { "" };
                let sum = tens + carry;
                let steps = format!(
                    "{} + {} = {ones}; {} + {}{plus} = {sum}",
                    a % 10,
                    b % 10,
                    a / 10,
                    b / 10
                );
                (steps, sum * 10 + ones % 10)
            }
            Skill::Product => {
                let (ones, tens) = (a % 10 * b, a / 10 * b);
                let carry = if right { ones / 10 } else { 0 };
                let mut steps = format!("{} * {b} = {ones}; {} * {b} = {tens}", a % 10, a / 10);
                if carry > 0 {
                    steps += &format!("; {tens} + {carry} = {}", tens + carry);
                }
                (steps, (tens + carry) * 10 + ones % 10)
            }
            Skill::Remainder => {
                let quotient = a / b;
                let product = quotient * b;
                let rest = format!("; {quotient} * {b} = {product}; {a} - {product} = {}", a % b);
                let steps = format!("{a} / {b} = {quotient}{}", if right { &rest } else { "" });
                (steps, if right { a % b } else { quotient })
            }
            Skill::Sequence => {
                let difference = b - a;
                let added = if right { difference } else { a };
                let steps = format!("{b} - {a} = {difference}; {c} + {added} = {}", c + added);
                (steps, c + added)
            }
            Skill::Maximum => {
                let digit = |n: i32| if right { n / 10 } else { n % 10 };
                let best = if right {
                    self.answer()
                } else {
                    let most = self.numbers.map(digit).into_iter().max().unwrap_or(0);
                    self.numbers.into_iter().find(|n| digit(*n) == most).unwrap_or(a)
                };
                let [x, y, z] = self.numbers.map(digit);
                (format!("{x}, {y}, {z} > {}", digit(best)), best)
            }
            Skill::Reversal => {
                let (tens, ones) = (a / 10, a % 10);
                let first = if right { ones } else { tens };
                (format!("{first}; {tens}"), first * 10 + tens)
            }
        };
        Solution { steps, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn() -> impl Iterator<Item = Problem> {
        Skill::ALL.into_iter().flat_map(|skill| {
            (0..2000)
                .map(move |i| Problem::draw(skill, Part::Documents, &mut Stream::new(3, "test", i)))
        })
    }

    #[test]
    fn right_steps_lead_to_the_answer_and_every_number_is_of_the_world() {
        for problem in drawn() {
            assert_eq!(problem.solve(Method::Right).value, problem.answer(), "{problem:?}");
            for method in [Method::Right, Method::Misconception] {
                let Solution { steps, value } = problem.solve(method);
                let text = format!("{} = {value} by {steps}", problem.text());
                let numbers = text.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
                for number in numbers {
                    assert!(number.parse::<i32>().unwrap() < NUMBERS, "{text}");
                }
            }
        }
    }

    #[test]
    fn misconceptions_are_usually_wrong() {
        for skill in Skill::ALL {
            let mine = drawn().filter(|problem| problem.skill == skill);
            let (mut wrong, mut all) = (0, 0);
            for problem in mine {
                all += 1;
                wrong +=
                    usize::from(problem.solve(Method::Misconception).value != problem.answer());
            }
            assert!(wrong * 10 > all * 3, "{skill:?}: {wrong} of {all}");
        }
    }

    #[test]
    fn what_is_asked_is_recognised() {
        for problem in drawn() {
            assert_eq!(Problem::recognise(&problem.text()), Some(problem));
        }
        for text in [
            "",
            "next 1, 2",
            "next 1, 2, 3, 4",
            "7 mod 0",
            "max 1,2,3",
            "47 mod",
            "a + b",
            "1 - 2",
            "9999 + 1",
        ] {
            assert_eq!(Problem::recognise(text), None, "{text}");
        }
        assert_eq!(Problem::recognise("reverse 120").unwrap().answer(), 21);
    }

    #[test]
    fn some_solutions_by_hand() {
        let steps = |text: &str, method| {
            let Solution { steps, value } = Problem::recognise(text).unwrap().solve(method);
            format!("{steps} => {value}")
        };
        use Method::{Misconception, Right};
        assert_eq!(steps("47 + 38", Right), "7 + 8 = 15; 4 + 3 + 1 = 8 => 85");
        assert_eq!(steps("47 + 38", Misconception), "7 + 8 = 15; 4 + 3 = 7 => 75");
        assert_eq!(steps("23 * 4", Right), "3 * 4 = 12; 2 * 4 = 8; 8 + 1 = 9 => 92");
        assert_eq!(steps("23 * 4", Misconception), "3 * 4 = 12; 2 * 4 = 8 => 82");
        assert_eq!(steps("47 mod 5", Right), "47 / 5 = 9; 9 * 5 = 45; 47 - 45 = 2 => 2");
        assert_eq!(steps("47 mod 5", Misconception), "47 / 5 = 9 => 9");
        assert_eq!(steps("next 3, 7, 11", Right), "7 - 3 = 4; 11 + 4 = 15 => 15");
        assert_eq!(steps("next 3, 7, 11", Misconception), "7 - 3 = 4; 11 + 3 = 14 => 14");
        assert_eq!(steps("max 31, 74, 58", Right), "3, 7, 5 > 7 => 74");
        assert_eq!(steps("max 31, 74, 58", Misconception), "1, 4, 8 > 8 => 58");
        assert_eq!(steps("reverse 47", Right), "7; 4 => 74");
        assert_eq!(steps("reverse 47", Misconception), "4; 4 => 44");
    }

    #[test]
    fn parts_do_not_meet_and_are_large_enough() {
        for skill in [Skill::Remainder, Skill::Sequence] {
            let all = Problem::all(skill);
            let count = |part| all.iter().filter(|problem| problem.is_of(part)).count();
            let (test, dev, rest) = (count(Part::Test), count(Part::Dev), count(Part::Documents));
            assert_eq!(test + dev + rest, all.len(), "each is in one part");
            assert!(test >= 400 && dev >= 64 && rest >= 500, "{skill:?}: {test} {dev} {rest}");
        }
    }
}
