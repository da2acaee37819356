//! Feeds mutated text to everything that reads model output, and says what panicked and what was slow.
//!
//! `cargo run --release -p infuser-benches --bin fuzz -- --minutes 5 [--seed S] [--target NAME]`. Inputs are
//! cases of public suites and real outputs, spliced, repeated up to 100 kB and damaged by a seeded
//! generator. Exit code 1 if anything panicked or took more than 10 ms again and again.

use std::{
    env,
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use infuser_benches::answers;
use infuser_data::{
    answer::{Submission, math, mcq, numeric, text},
    question::{
        Seeds,
        parse::{Shape, Task, parse_bytes},
    },
};

/// No input of [`MAX_BYTES`] may take longer.
const LIMIT: Duration = Duration::from_millis(10);
const MAX_BYTES: usize = 100_000;

/// An input that takes longer ends the run: it may never end.
const HANG: Duration = Duration::from_secs(10);

/// What is being worked on, since when.
static CURRENT: Mutex<Option<(Instant, String, String)>> = Mutex::new(None);

/// Pieces that graders and parsers look for.
const PIECES: [&str; 72] = [
    "{\"question_text\": \"",
    "\"choices\": [",
    "\"ground_truth\": \"",
    "```json",
    "```",
    "\", \"",
    ": ",
    "\\u",
    "\\boxed{",
    "\\fbox{",
    "\\frac{",
    "\\sqrt{",
    "\\text{",
    "\\left(",
    "\\right)",
    "}",
    "{",
    "(",
    ")",
    "[",
    "]",
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "the answer is ",
    "Answer: ",
    "is correct",
    "option ",
    "choose ",
    "answer",
    "A",
    "b",
    "I",
    " or ",
    " and ",
    "\n",
    "\n\n",
    "####",
    "</think>",
    "<think>",
    "<answer>",
    "<|im_end|>",
    "^",
    "^{",
    "_",
    "!",
    "+",
    "-",
    "*",
    "/",
    "=",
    "<",
    ",",
    ".",
    "%",
    "1",
    "99999999",
    "e",
    "pi",
    "\\infty",
    "\\cup",
    "\\begin{pmatrix}",
    "&",
    "\\\\",
    "sin",
    "\"",
    "é",
    "∞",
    "Question:",
];

struct Target {
    name: &'static str,
    /// The longest of its calls on an input.
    run: fn(&str, &str) -> Duration,
}

/// The time of the slowest call.
fn longest(calls: &[&dyn Fn()]) -> Duration {
    let time = |call: &&dyn Fn()| {
        let start = Instant::now();
        call();
        start.elapsed()
    };
    calls.iter().map(time).max().unwrap_or_default()
}

const TARGETS: [Target; 5] = [
    Target { name: "mcq", run: run_mcq },
    Target { name: "math", run: run_math },
    Target { name: "numeric", run: run_numeric },
    Target { name: "text", run: run_text },
    Target { name: "parse", run: run_parse },
];

fn run_mcq(output: &str, other: &str) -> Duration {
    let end = (0..=other.len().min(200)).rev().find(|at| other.is_char_boundary(*at)).unwrap_or(0);
    let choices = [&other[..end], "A Tale of Two Cities", "C", "the answer", "x^2"];
    longest(&[&|| drop(black_box(mcq::grade(Submission::Response(output), &choices, 1))), &|| {
        drop(black_box(mcq::grade(Submission::Prediction(output), &choices, 1)))
    }])
}

fn run_math(output: &str, other: &str) -> Duration {
    longest(&[&|| drop(black_box(math::grade(Submission::Response(output), other))), &|| {
        drop(black_box(math::grade(Submission::Prediction(output), "x+1")))
    }])
}

fn run_numeric(output: &str, other: &str) -> Duration {
    longest(&[&|| drop(black_box(numeric::grade(Submission::Response(output), other)))])
}

fn run_text(output: &str, other: &str) -> Duration {
    longest(&[&|| drop(black_box(text::grade(Submission::Response(output), other)))])
}

/// A whole output, and one inside an object that is nearly a question.
fn run_parse(output: &str, other: &str) -> Duration {
    let end = (0..=other.len().min(200)).rev().find(|at| other.is_char_boundary(*at)).unwrap_or(0);
    let seeds = Seeds::new([&other[..end]]);
    let task =
        Task { shuffle: Some(1), seeds: Some(&seeds), ..Task::new(Shape::Choice, "document") };
    let object = format!(
        "{{\"question_text\": \"{output}\", \"choices\": [\"a\", \"b\", \"c\", \"{}\"], \"ground_truth\": \"a\"}}",
        &other[..end]
    );
    longest(&[&|| drop(black_box(parse_bytes(output.as_bytes(), &task))), &|| {
        drop(black_box(parse_bytes(object.as_bytes(), &task)))
    }])
}

/// SplitMix64: the same inputs for the same seed.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    fn of<'a>(&mut self, items: &'a [String]) -> &'a str {
        items.get(self.below(items.len())).map_or("", String::as_str)
    }
}

fn mutated(seeds: &[String], draws: &mut Draws) -> String {
    let mut bytes = draws.of(seeds).as_bytes().to_vec();
    for _ in 0..1 + draws.below(8) {
        let at = draws.below(bytes.len() + 1);
        match draws.below(7) {
            0 => drop(bytes.splice(at..at, PIECES[draws.below(PIECES.len())].bytes())),
            1 => {
                let other = draws.of(seeds).as_bytes();
                let from = draws.below(other.len());
                drop(bytes.splice(at..at, other[from..].iter().copied()));
            }
            2 => {
                let end = (at + draws.below(40)).min(bytes.len());
                bytes.drain(at..end);
            }
            3 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << draws.below(8)),
            4 => bytes.truncate(at),
            5 => {
                // A piece or a part, very often.
                let part = if draws.below(2) == 0 {
                    PIECES[draws.below(PIECES.len())].as_bytes().to_vec()
                } else {
                    let end = (at + 1 + draws.below(30)).min(bytes.len());
                    bytes[at..end].to_vec()
                };
                let room = MAX_BYTES.saturating_sub(bytes.len()) / part.len().max(1);
                let times = if draws.below(4) == 0 { room } else { draws.below(room.min(200) + 1) };
                drop(bytes.splice(at..at, part.repeat(times)));
            }
            _ => {
                for _ in 0..draws.below(30) {
                    let at = draws.below(bytes.len() + 1);
                    drop(bytes.splice(at..at, PIECES[draws.below(PIECES.len())].bytes()));
                }
            }
        }
    }
    bytes.truncate(MAX_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

fn option(name: &str) -> Option<String> {
    let arguments: Vec<String> = env::args().collect();
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).cloned()
}

fn main() -> ExitCode {
    let minutes: f64 = option("--minutes").and_then(|text| text.parse().ok()).unwrap_or(1.0);
    let mut draws = Draws(option("--seed").and_then(|text| text.parse().ok()).unwrap_or(0));
    let chosen = option("--target");
    let mut seeds = vec![String::new()];
    for set in [answers::fixtures(), answers::real_outputs()].into_iter().flatten() {
        seeds.extend(set.math.into_iter().flat_map(|pair| [pair.output, pair.gold]));
        seeds.extend(set.mcq.into_iter().map(|answer| answer.output));
    }
    thread::spawn(watch);
    let mut failed = false;
    let targets: Vec<_> = TARGETS
        .iter()
        .filter(|target| chosen.as_deref().is_none_or(|name| name == target.name))
        .collect();
    for target in &targets {
        failed |= !fuzz(
            target,
            &seeds,
            &mut draws,
            Duration::from_secs_f64(minutes * 60.0 / targets.len() as f64),
        );
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

/// Ends the run with the input that hangs.
fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        let Ok(current) = CURRENT.lock() else { return };
        if let Some((_, output, other)) =
            current.as_ref().filter(|(start, ..)| start.elapsed() > HANG)
        {
            println!("no end within {} s: {output:?} with {other:?}", HANG.as_secs());
            std::process::exit(1);
        }
    }
}

/// Whether nothing panicked and nothing was too slow.
fn fuzz(target: &Target, seeds: &[String], draws: &mut Draws, budget: Duration) -> bool {
    let start = Instant::now();
    let (mut inputs, mut slowest, mut slow_input) = (0_u64, Duration::ZERO, String::new());
    let mut fine = true;
    while start.elapsed() < budget {
        let (output, other) = (mutated(seeds, draws), mutated(seeds, draws));
        inputs += 1;
        if let Ok(mut current) = CURRENT.lock() {
            *current = Some((Instant::now(), output.clone(), other.clone()));
        }
        let time = |output: &str, other: &str| {
            catch_unwind(AssertUnwindSafe(|| (target.run)(output, other)))
        };
        match time(&output, &other) {
            Err(_) => {
                fine = false;
                println!("{}: panicked on {output:?} with {other:?}", target.name);
            }
            Ok(first) if first > slowest => {
                // A busy machine is no fault of the input: the best of several counts.
                let again =
                    (0..4).filter_map(|_| time(&output, &other).ok()).min().unwrap_or(first);
                if again.min(first) > slowest {
                    (slowest, slow_input) = (again.min(first), output);
                }
            }
            Ok(_) => {}
        }
    }
    fine &= slowest <= LIMIT;
    let head: String = slow_input.chars().take(200).collect();
    let (micros, length) = (slowest.as_micros(), slow_input.len());
    println!("{}: {inputs} inputs, slowest {micros} µs on {length} bytes: {head:?}", target.name);
    fine
}
