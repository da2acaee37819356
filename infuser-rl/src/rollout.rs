//! Rollouts: questions answered and graded, documents turned into questions.

use std::{collections::BTreeMap, ops::RangeInclusive};

use infuser_data::{
    answer::{Reason, Submission, Verdict, grade},
    order,
    prompt::Ask,
    question::{
        Question, Seeds,
        parse::{Generated, Limits, Shape, Task, parse},
    },
};
use infuser_model::{
    Model, Monitor,
    generate::{Engine, FinishReason, Options, Request, Sampling},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::{
    error::{Error, Result},
    voice::Voice,
};

/// How a role samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decoding {
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// Samples of a prompt.
    pub samples: usize,
    /// New tokens of a sample, at most.
    pub max_tokens: usize,
    /// Memory for keys and values, in bytes.
    pub cache_bytes: usize,
}

/// Who speaks, and who watches.
#[derive(Clone, Copy)]
pub struct Speaker<'a> {
    /// The model.
    pub model: &'a Model,
    /// Its tokenizer and prompts.
    pub voice: &'a Voice,
    /// Told of every sample, and asked whether to stop.
    pub monitor: &'a dyn Monitor,
}

impl Speaker<'_> {
    /// A prompt of so many tokens still leaves room for an answer.
    pub(crate) fn longest_prompt(&self, allowed: usize) -> usize {
        allowed.min(self.model.config().max_positions.saturating_sub(1))
    }
}

/// One sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sampled {
    /// The new tokens, the end token included if there was one.
    pub tokens: Vec<u32>,
    /// The engine's log-probability of each.
    pub logp: Vec<f32>,
    /// Their text.
    pub text: String,
    /// Whether it ended by itself rather than at the token limit.
    pub stopped: bool,
}

/// Samples of many prompts at once, in the order of the prompts. Draws are keyed by `seed`, each prompt's
/// key, and the number of the sample: no other prompt, and no place among them, changes them. Prompts of
/// one key are told apart by how many of that key came before.
///
/// # Errors
/// A prompt that leaves no room for an answer; no memory; [`Error::Interrupted`].
pub fn sample(
    speaker: Speaker<'_>,
    prompts: &[(u64, Vec<u32>)],
    decoding: &Decoding,
    seed: u64,
) -> Result<Vec<Vec<Sampled>>> {
    let Speaker { model, voice, monitor } = speaker;
    let mut seen: BTreeMap<u64, u64> = BTreeMap::new();
    let request = |(key, prompt): &(u64, Vec<u32>)| {
        let before = seen.entry(*key).or_default();
        let id = order::digest(&[b"rollout", &key.to_le_bytes(), &before.to_le_bytes()]);
        *before += 1;
        let greedy = Request::greedy(id, prompt.clone(), decoding.max_tokens, model.config());
        let Decoding { sampling, samples, .. } = *decoding;
        Request { sampling, samples, seed, ..greedy }
    };
    let requests: Vec<Request> = prompts.iter().map(request).collect();
    let places: BTreeMap<u64, usize> =
        requests.iter().enumerate().map(|(place, request)| (request.id, place)).collect();
    let options = Options::default().with_cache_for(&requests, model, decoding.cache_bytes);
    let mut engine = Engine::new(model, options)?;
    for request in requests {
        engine.submit(request)?;
    }
    let mut samples: Vec<Vec<Option<Sampled>>> = vec![vec![None; decoding.samples]; prompts.len()];
    while !engine.is_idle() {
        if monitor.interrupted() {
            return Err(Error::Interrupted);
        }
        for sample in engine.step()? {
            monitor.advance(1, sample.tokens.len());
            if let FinishReason::Error(problem) = sample.finish_reason {
                return Err(Error::Setting(problem));
            }
            let place = places[&sample.request];
            samples[place][sample.sample] = Some(Sampled {
                stopped: sample.finish_reason == FinishReason::Stop,
                text: String::new(),
                tokens: sample.tokens,
                logp: sample.logprobs,
            });
        }
    }
    let told = |group: Vec<Option<Sampled>>| {
        let texts = group.into_iter().flatten();
        texts.map(|one| Sampled { text: voice.text(&one.tokens), ..one }).collect()
    };
    Ok(samples.into_par_iter().map(told).collect())
}

/// A question with its graded answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answered {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The answers.
    pub answers: Vec<Answer>,
}

/// A graded answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was said.
    #[serde(flatten)]
    pub sampled: Sampled,
    /// 1 for right, else 0.
    pub score: f32,
    /// Whether an answer was found in it.
    pub answered: bool,
}

/// Asks questions, each under a key, and grades what comes back. A prompt of more than
/// `max_prompt_tokens`, or as long as the model's positions, gets no answers.
///
/// # Errors
/// As [`sample`].
pub fn answer(
    speaker: Speaker<'_>,
    questions: &[(u64, &Question)],
    max_prompt_tokens: usize,
    decoding: &Decoding,
    seed: u64,
) -> Result<Vec<Answered>> {
    let prompts = questions
        .par_iter()
        .map(|(key, question)| Ok((*key, speaker.voice.prompt(&Ask::Answer(question))?)))
        .collect::<Result<Vec<_>>>()?;
    let most = speaker.longest_prompt(max_prompt_tokens);
    let (fitting, short) = fitting(&prompts, most);
    let samples = sample(speaker, &short, decoding, seed)?;
    let mut answered: Vec<Answered> =
        prompts.into_iter().map(|(_, prompt)| Answered { prompt, answers: Vec::new() }).collect();
    let grade = |(place, group): (&usize, Vec<Sampled>)| {
        let question = questions[*place].1;
        (*place, group.into_iter().map(|sampled| graded(sampled, question)).collect::<Vec<_>>())
    };
    let graded: Vec<_> = fitting.par_iter().zip(samples).map(grade).collect();
    for (place, answers) in graded {
        answered[place].answers = answers;
    }
    Ok(answered)
}

fn graded(sampled: Sampled, question: &Question) -> Answer {
    let verdict = grade(question, Submission::Response(&sampled.text)).verdict;
    let score = if verdict == Verdict::Correct { 1.0 } else { 0.0 };
    let answered = verdict != Verdict::Unparsable(Reason::NoAnswer);
    Answer { sampled, score, answered }
}

/// The share of right answers; 0 of none.
pub fn accuracy(answered: &[Answered]) -> f64 {
    let all = answered.iter().flat_map(|question| &question.answers);
    let (right, count) =
        all.fold((0.0, 0), |(sum, n), answer| (sum + f64::from(answer.score), n + 1));
    if count == 0 { 0.0 } else { right / f64::from(count) }
}

/// What one question is to be written from.
#[derive(Debug, Clone)]
pub struct Writing<'a> {
    /// The name of the document, or of the question it is like.
    pub source: &'a str,
    /// The prompt.
    pub ask: Ask<'a>,
    /// The kind of question.
    pub shape: Shape,
}

/// How what is written is read.
#[derive(Debug, Clone)]
pub struct Reading<'a> {
    /// Fewest and most choices.
    pub choices: RangeInclusive<usize>,
    /// Refuse questions that refer to their document.
    pub self_contained: bool,
    /// Questions that must not be repeated.
    pub seeds: Option<&'a Seeds>,
}

/// What a generator wrote, and the question in it or why there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What was written.
    pub sampled: Sampled,
    /// The question, or the reason's name and text.
    pub question: std::result::Result<Generated, (String, String)>,
}

/// Prompt and outputs of one source.
#[derive(Debug, Clone, PartialEq)]
pub struct Generation {
    /// The prompt's tokens.
    pub prompt: Vec<u32>,
    /// The outputs; none if the prompt was too long.
    pub written: Vec<Written>,
}

/// Has questions written. A prompt of more than `max_prompt_tokens` gets no outputs.
///
/// # Errors
/// As [`sample`].
pub fn generate(
    speaker: Speaker<'_>,
    writings: &[Writing<'_>],
    reading: &Reading<'_>,
    max_prompt_tokens: usize,
    decoding: &Decoding,
    seed: u64,
) -> Result<Vec<Generation>> {
    let keyed = writings.par_iter().map(|writing| {
        let key = order::digest(&[b"source", writing.source.as_bytes()]);
        Ok((key, speaker.voice.prompt(&writing.ask)?))
    });
    let prompts = keyed.collect::<Result<Vec<_>>>()?;
    let most = speaker.longest_prompt(max_prompt_tokens);
    let (fitting, short) = fitting(&prompts, most);
    let samples = sample(speaker, &short, decoding, seed)?;
    let mut generations: Vec<Generation> =
        prompts.into_iter().map(|(_, prompt)| Generation { prompt, written: Vec::new() }).collect();
    let read = |(place, group): (&usize, Vec<Sampled>)| {
        let Writing { source, shape, .. } = writings[*place];
        let limits = Limits { choices: reading.choices.clone(), ..Limits::default() };
        let Reading { seeds, self_contained, .. } = *reading;
        let task =
            Task { limits, seeds, self_contained, shuffle: Some(seed), ..Task::new(shape, source) };
        let one = |sampled: Sampled| {
            let question = parse(&sampled.text, &task);
            let question =
                question.map_err(|reject| (reject.name().to_string(), reject.to_string()));
            Written { sampled, question }
        };
        (*place, group.into_iter().map(one).collect::<Vec<_>>())
    };
    let read: Vec<_> = fitting.par_iter().zip(samples).map(read).collect();
    for (place, written) in read {
        generations[place].written = written;
    }
    Ok(generations)
}

/// The places of the prompts that fit, and these prompts.
fn fitting(prompts: &[(u64, Vec<u32>)], most: usize) -> (Vec<usize>, Vec<(u64, Vec<u32>)>) {
    let fits = |(_, (_, prompt)): &(usize, &(u64, Vec<u32>))| prompt.len() <= most;
    let kept = prompts.iter().enumerate().filter(fits);
    kept.map(|(place, prompt)| (place, prompt.clone())).unzip()
}
