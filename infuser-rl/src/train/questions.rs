//! Questions are written.

use infuser_data::{
    document::{Cursor, Document},
    order,
    prompt::Ask,
    question::{Question, parse::Shape},
    suite::Item,
};
use infuser_model::Monitor;

use super::{Asked, Kept, Metrics, Origin, Place, Sourced, Store, Trainer, answers::shown, kept};
use crate::{
    card::Mixture,
    config::Source,
    error::{Error, Result},
    rollout::{self, Generation, Reading, Writing},
    routing::{Posed, Routing},
};

impl Trainer {
    /// What the generator writes in one update.
    pub(super) fn write(
        &mut self,
        place: Place,
        store: &mut dyn Store,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Sourced>> {
        let (sourced, start) = match self.config.questions.source {
            Source::Documents => {
                let batch = self.next_documents()?;
                let samples = self.config.generator.rollout.samples;
                kept(place, store, batch.len() * samples, || {
                    self.written_from_documents(place, &batch, monitor)
                })?
            }
            Source::Seeded { examples } => {
                let samples = self.config.generator.rollout.samples;
                kept(place, store, self.config.questions.batch * samples, || {
                    self.written_from_seeds(place, examples, monitor)
                })?
            }
            Source::File => {
                let batch = self.config.questions.batch;
                kept(place, store, batch, || self.given_by_file(place))?
            }
        };
        let metrics = self.question_metrics(&sourced);
        store.end(place, start.elapsed().as_secs_f64(), &metrics)?;
        self.guard_questions(place, &sourced)?;
        Ok(sourced)
    }

    fn next_documents(&mut self) -> Result<Vec<usize>> {
        let (Some(pool), Some(cursor)) = (&self.inputs.pool, &mut self.cursor) else {
            return Err(Error::Setting("data.documents is missing".into()));
        };
        if self.config.questions.repeat_batch {
            *cursor = Cursor::new(pool, self.config.run.seed);
        }
        Ok(cursor.next_batch(self.config.questions.batch)?)
    }

    fn written_from_documents(
        &self,
        place: Place,
        batch: &[usize],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Sourced>> {
        let Some(pool) = &self.inputs.pool else {
            return Err(Error::Setting("data.documents is missing".into()));
        };
        let routing = Routing::new(&self.config.questions)?;
        let mut sourced = Vec::with_capacity(batch.len());
        let mut writings = Vec::new();
        for index in batch {
            let document = &pool.documents()[*index];
            match self.posed(&routing, document, monitor)? {
                Posed::Question(question) => {
                    let empty = Generation { prompt: Vec::new(), written: Vec::new() };
                    let plain = Sourced::new(&document.doc_id, Some(*index), empty);
                    let id = format!("verifiable:{}", document.doc_id);
                    let verifiable = Some(Kept::of(&id, &question));
                    sourced.push(Some(Sourced { verifiable, ..plain }));
                }
                Posed::Ask { ask, shape } => {
                    sourced.push(None);
                    writings.push(Writing { source: &document.doc_id, ask, shape });
                }
            }
        }
        let mut written = self.written(place, &writings, monitor)?.into_iter();
        let fill = |(index, slot): (&usize, Option<Sourced>)| {
            slot.or_else(|| {
                let id = &pool.documents()[*index].doc_id;
                written.next().map(|generation| Sourced::new(id, Some(*index), generation))
            })
        };
        Ok(batch.iter().zip(sourced).filter_map(fill).collect())
    }

    /// What a document is for. One that is a question too long for the solver is for the generator.
    fn posed<'a>(
        &self,
        routing: &Routing,
        document: &'a Document,
        monitor: &dyn Monitor,
    ) -> Result<Posed<'a>> {
        let posed = routing.pose(document);
        if let Posed::Question(question) = &posed {
            let prompt = self.solver.voice.prompt(&Ask::Answer(question))?;
            let allowed = self.config.solver.rollout.max_prompt_tokens;
            if prompt.len() > self.solver.speaker(monitor).longest_prompt(allowed) {
                return Ok(routing.ask(document));
            }
        }
        Ok(posed)
    }

    fn written_from_seeds(
        &self,
        place: Place,
        examples: usize,
        monitor: &dyn Monitor,
    ) -> Result<Vec<Sourced>> {
        let seeds = &self.inputs.seeds;
        if seeds.len() <= examples {
            let len = seeds.len();
            let problem =
                "questions.source.seeded.examples needs more seed questions than it shows";
            return Err(Error::Setting(format!("{problem}: {examples} of {len}")));
        }
        let batch = self.given_batch(place, seeds.len());
        let seed = place.seed(self.config.run.seed).to_le_bytes();
        let shown: Vec<(String, Vec<Question>)> = batch
            .iter()
            .enumerate()
            .map(|(slot, anchor)| {
                let key: [&[u8]; 3] = [b"examples", &seed, &(slot as u64).to_le_bytes()];
                let others = order::permutation(&key, seeds.len()).into_iter();
                let others = others.filter(|other| other != anchor).take(examples);
                let name = format!("seed:{anchor}:{slot}");
                (name, others.map(|other| seeds[other].clone()).collect())
            })
            .collect();
        let (fewest, most) = self.config.questions.choices;
        let writing = |(source, examples): &'_ (String, Vec<Question>)| -> Result<_> {
            Ok((source.clone(), examples.clone()))
        };
        let shown = shown.iter().map(writing).collect::<Result<Vec<_>>>()?;
        let writings: Vec<Writing<'_>> = shown
            .iter()
            .map(|(source, examples)| Writing {
                source,
                ask: Ask::Seeded { examples, choices: fewest..=most },
                shape: Shape::Choice,
            })
            .collect();
        let written = self.written(place, &writings, monitor)?;
        let sourced = shown.iter().zip(written);
        Ok(sourced.map(|((source, _), written)| Sourced::new(source, None, written)).collect())
    }

    /// Places of a list for this update: the list again and again, each time in another order.
    fn given_batch(&self, place: Place, len: usize) -> Vec<usize> {
        let batch = self.config.questions.batch as u64;
        let updates = self.config.run.generator_updates as u64;
        let number = (place.iteration - 1) * updates + place.update as u64;
        let first = if self.config.questions.repeat_batch { 0 } else { number * batch };
        let seed = self.config.run.seed.to_le_bytes();
        order::walk(&[b"given", &seed], len, first, batch as usize)
    }

    fn given_by_file(&self, place: Place) -> Result<Vec<Sourced>> {
        let questions = &self.inputs.questions;
        if questions.is_empty() {
            return Err(Error::Setting("data.questions holds no question".into()));
        }
        let sourced = |index: usize| {
            let Item { id, question, .. } = &questions[index];
            let empty = Generation { prompt: Vec::new(), written: Vec::new() };
            let verifiable = Some(Kept::of(id, question));
            Sourced { verifiable, ..Sourced::new(id, None, empty) }
        };
        Ok(self.given_batch(place, questions.len()).into_iter().map(sourced).collect())
    }

    fn written(
        &self,
        place: Place,
        writings: &[Writing<'_>],
        monitor: &dyn Monitor,
    ) -> Result<Vec<Generation>> {
        let Some(generator) = &self.generator else {
            return Err(Error::Setting("no generator".into()));
        };
        let (fewest, most) = self.config.questions.choices;
        let self_contained = self.config.questions.self_contained;
        let reading =
            Reading { choices: fewest..=most, self_contained, seeds: self.seeds.as_ref() };
        let rollout = self.config.generator.rollout;
        rollout::generate(
            generator.speaker(monitor),
            writings,
            &reading,
            rollout.max_prompt_tokens,
            &rollout.decoding(),
            place.seed(self.config.run.seed),
        )
    }

    /// The questions among what was written, and those that were given.
    pub(super) fn asked(&self, sourced: &[Sourced], update: usize) -> Result<Vec<Asked>> {
        let mut asked = Vec::new();
        for (source, from) in sourced.iter().enumerate() {
            for (output, written) in from.outputs.iter().enumerate() {
                if let Some(kept) = &written.question {
                    let id = format!("{}:{update}:{source}:{output}", kept.id);
                    let origin = Origin::Written { source, output };
                    asked.push(Asked { id, question: kept.question()?, origin });
                }
            }
            if let Some(kept) = &from.verifiable {
                let id = format!("{}:{update}:{source}", kept.id);
                let origin = Origin::Given { source };
                asked.push(Asked { id, question: kept.question()?, origin });
            }
        }
        Ok(asked)
    }

    fn question_metrics(&self, sourced: &[Sourced]) -> Metrics {
        let mut metrics = Metrics::default();
        let name = |key: &str| format!("gen_question_rollout/{key}");
        let outputs: Vec<_> = sourced.iter().flat_map(|from| &from.outputs).collect();
        let valid = outputs.iter().filter(|output| output.question.is_some()).count();
        let too_long =
            sourced.iter().filter(|f| f.outputs.is_empty() && f.verifiable.is_none()).count();
        metrics.count(name("num_documents"), sourced.len());
        metrics.count(name("num_too_long"), too_long);
        let given = sourced.iter().filter(|from| from.verifiable.is_some()).count();
        metrics.count(name("num_verifiable"), given);
        metrics.count(name("num_generated_questions"), outputs.len());
        metrics.count(name("num_valid_questions"), valid);
        metrics.count(name("num_invalid_questions"), outputs.len() - valid);
        metrics.set(name("frac_valid_questions"), valid as f64 / outputs.len() as f64);
        let cut = outputs.iter().filter(|output| !output.sampled.stopped).count();
        metrics.set(name("frac_truncated"), cut as f64 / outputs.len() as f64);
        for (reason, _) in outputs.iter().filter_map(|output| output.reject.as_ref()) {
            let key = name(&format!("reject/{reason}"));
            let before = metrics.get(&key).unwrap_or(0.0);
            metrics.set(key, before + 1.0);
        }
        let lengths = outputs.iter().map(|output| output.sampled.tokens.len() as f64);
        metrics.spread(&name("response_length_tokens"), lengths);
        if let (true, Some(pool)) = (self.inputs.world, &self.inputs.pool) {
            let questions: Vec<(usize, Question)> = sourced
                .iter()
                .filter_map(|from| Some((from.document?, from)))
                .flat_map(|(document, from)| {
                    let kept = from.outputs.iter().filter_map(|output| output.question.as_ref());
                    kept.filter_map(move |kept| Some((document, kept.question().ok()?)))
                })
                .collect();
            let texts = questions
                .iter()
                .map(|(document, question)| (&pool.documents()[*document].content[..], question));
            for (key, share) in Mixture::of(outputs.len(), texts).named() {
                metrics.set(format!("world/{key}"), share);
            }
        }
        metrics
    }

    /// Stops the run where there is nothing to learn from.
    fn guard_questions(&self, place: Place, sourced: &[Sourced]) -> Result<()> {
        let outputs: Vec<_> = sourced.iter().flat_map(|from| &from.outputs).collect();
        let valid = outputs.iter().filter(|output| output.question.is_some()).count();
        let given = sourced.iter().any(|from| from.verifiable.is_some());
        if outputs.is_empty() && !given {
            return Err(Error::Guard(format!(
                "{place}: every prompt is longer than generator.rollout.max_prompt_tokens = {} (or than the model's \
                 positions); raise it, or use shorter documents",
                self.config.generator.rollout.max_prompt_tokens
            )));
        }
        let floor = self.config.guard.min_valid;
        if outputs.is_empty() || valid as f64 >= floor * outputs.len() as f64 {
            return Ok(());
        }
        let rejects = outputs.iter().filter_map(|output| {
            output.reject.as_ref().map(|(_, why)| format!("{}: {why}", shown(&output.sampled.text)))
        });
        let rejects: Vec<String> = rejects.take(3).collect();
        Err(Error::Guard(format!(
            "{place}: {valid} of {} outputs are questions, less than guard.min_valid = {floor}; the generator does \
             not follow its prompt, so rewards would be zeros. Look at models.prompts, \
             generator.rollout.max_tokens and the model. What it wrote:\n{}",
            outputs.len(),
            rejects.join("\n")
        )))
    }
}
