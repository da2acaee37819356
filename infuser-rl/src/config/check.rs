//! Combinations that make no sense are refused before anything is loaded; both keys are named.

use super::{Config, Curriculum, Mode, Rollout, Source, Update};
use crate::{
    advantage::Normalisation,
    error::{Error, Result},
    loss::Clip,
    reduce::Reduction,
    reward::{Component, Gate},
    routing::Routing,
    select::Filter,
};

/// Of one prompt.
const MOST_SAMPLES: usize = 1 << 16;

impl Config {
    /// Checks every number and combination.
    ///
    /// # Errors
    /// [`Error::Setting`] naming the keys.
    pub fn check(&self) -> Result<()> {
        self.modes()?;
        self.idle()?;
        self.rewards()?;
        self.sharing()?;
        self.files()?;
        self.numbers()?;
        self.reward.structure.check()?;
        self.reward.gate.check()?;
        self.solver.filter.check()?;
        self.correction.check()?;
        Routing::new(&self.questions).map(|_| ())
    }

    fn modes(&self) -> Result<()> {
        let Self { run, questions, dev, solver, .. } = self;
        let dev_only = run.mode == Mode::DevOnly;
        let from_file = questions.source == Source::File;
        refuse(
            run.mode == Mode::Cotrain && from_file,
            "run.mode = \"cotrain\" needs a generator, but questions.source = \"file\" uses none; \
             use run.mode = \"fixed_generator\"",
        )?;
        refuse(
            run.mode == Mode::FixedSolver && from_file,
            "run.mode = \"fixed_solver\" trains only the generator, but questions.source = \"file\" \
             uses none",
        )?;
        refuse(
            dev_only && run.generator_updates != 1,
            "run.mode = \"dev_only\" writes no questions, but run.generator_updates is not 1",
        )?;
        refuse(
            dev_only && solver.filter != Filter::All,
            "run.mode = \"dev_only\" learns from the whole dev set, but solver.filter is not \"all\"",
        )?;
        refuse(
            dev_only && questions.verifiable.is_some(),
            "run.mode = \"dev_only\" uses no documents, but questions.verifiable is set",
        )?;
        refuse(
            dev.subsample.is_some() && dev.curriculum.is_some(),
            "dev.subsample and dev.curriculum both choose the dev questions; set one",
        )?;
        refuse(
            dev.curriculum.is_some() && !self.needs_dev(),
            "dev.curriculum watches the dev set, which run.mode and reward.structure leave unanswered",
        )?;
        refuse(
            matches!(questions.source, Source::Seeded { .. })
                && (questions.verifiable.is_some() || !questions.routes.is_empty()),
            "questions.source = \"seeded\" uses no documents, but questions.routes or \
             questions.verifiable is set",
        )?;
        refuse(
            from_file && (questions.verifiable.is_some() || !questions.routes.is_empty()),
            "questions.source = \"file\" uses no documents, but questions.routes or \
             questions.verifiable is set",
        )?;
        let by_document =
            matches!(solver.filter, Filter::TopPerDocument(_) | Filter::RandomPerDocument(_));
        refuse(
            from_file && by_document,
            "solver.filter keeps questions by document, but those of questions.source = \"file\" are \
             of no document; use top_fraction or random_fraction",
        )
    }

    /// Settings of what does not happen would be passed over in silence.
    fn idle(&self) -> Result<()> {
        let Self { run, dev, solver, reward, .. } = self;
        refuse(
            dev.subsample.is_some() && !self.needs_dev(),
            "dev.subsample chooses dev questions, which run.mode and reward.structure leave unanswered",
        )?;
        let fixed_solver = run.mode == Mode::FixedSolver;
        refuse(
            fixed_solver
                && matches!(
                    solver.filter,
                    Filter::RandomPerDocument(_) | Filter::RandomFraction(_)
                ),
            "solver.filter chooses what the solver learns from, but run.mode = \"fixed_solver\" teaches it \
             nothing",
        )?;
        refuse(
            fixed_solver && solver.mid_eos_penalty != 0.0,
            "solver.mid_eos_penalty is for the solver's update, which run.mode = \"fixed_solver\" leaves out",
        )?;
        let rewarded = self.generator_learns();
        refuse(
            !rewarded && reward.shuffle,
            "reward.shuffle is for the generator's reward, but with this run.mode it does not learn",
        )?;
        refuse(
            !rewarded && reward.gate != Gate::Open,
            "reward.gate is for the generator's reward, but with this run.mode it does not learn",
        )
    }

    fn rewards(&self) -> Result<()> {
        let Self { reward, influence, .. } = self;
        let uses_influence = reward.components().contains(&Component::Influence);
        refuse(
            reward.gate != Gate::Open && !uses_influence,
            "reward.gate acts on influence, which reward.structure does not use",
        )?;
        refuse(
            influence.momentum.is_some() && !self.needs_influence(),
            "influence.momentum is set, but run.mode, reward.structure and solver.filter use no \
             influence",
        )?;
        refuse(
            reward.shuffle && !uses_influence,
            "reward.shuffle shuffles influence, which reward.structure does not use",
        )?;
        refuse(
            reward.invalid != 0.0 && !reward.components().contains(&Component::Invalid),
            "reward.invalid is set, but reward.structure does not use the component \"invalid\"",
        )
    }

    /// A shared gradient is that of the update only if the update is one plain step on what is scored.
    fn sharing(&self) -> Result<()> {
        let Self { run, questions, influence, solver, correction, .. } = self;
        if !influence.share_gradient {
            return Ok(());
        }
        let clash = |wrong: bool, other: &str| {
            refuse(
                wrong,
                &format!(
                    "influence.share_gradient serves one plain step of the solver, but {other}"
                ),
            )
        };
        let update = &solver.update;
        let written =
            if questions.source == Source::File { 1 } else { self.generator.rollout.samples };
        let most = questions.batch * written;
        let normalised = correction.truncation.is_some_and(|truncation| truncation.normalise);
        clash(
            !self.needs_influence(),
            "run.mode, reward.structure and solver.filter use no influence",
        )?;
        clash(!self.solver_learns(), "run.mode = \"fixed_solver\" takes none")?;
        clash(run.generator_updates != 1, "run.generator_updates is not 1")?;
        clash(solver.filter != Filter::All, "solver.filter is not \"all\"")?;
        clash(solver.mid_eos_penalty != 0.0, "solver.mid_eos_penalty is not 0")?;
        clash(
            solver.normalisation == Normalisation::BatchStd,
            "solver.normalisation = \"batch_std\" depends on which questions there are",
        )?;
        clash(update.epochs != 1, "solver.update.epochs is not 1")?;
        clash(update.entropy != 0.0, "solver.update.entropy is not 0")?;
        clash(
            update.reduction == Some(Reduction::MeanOfMeans),
            "solver.update.reduction = \"mean_of_means\" divides each answer by another number",
        )?;
        clash(normalised, "correction.truncation.normalise depends on which answers there are")?;
        clash(
            questions.verifiable.is_some(),
            "questions.verifiable adds questions that are not scored",
        )?;
        clash(
            update.prompts_per_step < most,
            &format!(
                "solver.update.prompts_per_step = {} is less than the {most} questions that an iteration can have (questions.batch times generator.rollout.samples)",
                update.prompts_per_step
            ),
        )
    }

    fn files(&self) -> Result<()> {
        let Self { run, models, data, questions, .. } = self;
        let needs = |missing: bool, key: &str, why: &str| {
            refuse(missing, &format!("{key} is missing: {why}"))
        };
        needs(models.solver.is_none(), "models.solver", "the folder of the model to train")?;
        needs(
            self.needs_dev() && data.dev.is_none(),
            "data.dev",
            "the questions that say what the solver should become better at",
        )?;
        if run.mode == Mode::DevOnly {
            return Ok(());
        }
        match questions.source {
            Source::Documents => needs(
                data.documents.is_none(),
                "data.documents",
                "a pool of documents; `infuser docs build` makes one",
            ),
            Source::Seeded { .. } => needs(
                data.seeds.is_none(),
                "data.seeds",
                "the questions that questions.source = \"seeded\" writes others like",
            ),
            Source::File => needs(
                data.questions.is_none(),
                "data.questions",
                "the questions that questions.source = \"file\" takes",
            ),
        }
    }

    fn numbers(&self) -> Result<()> {
        let Self { run, questions, dev, influence, guard, evaluation, checkpoint, .. } = self;
        at_least_one("run.iterations", run.iterations as usize)?;
        at_least_one("run.generator_updates", run.generator_updates)?;
        at_least_one("questions.batch", questions.batch)?;
        at_least_one("evaluation.every", evaluation.every as usize)?;
        at_least_one("evaluation.samples", evaluation.samples)?;
        not_absurd("evaluation.samples", evaluation.samples)?;
        at_least_one("checkpoint.every", checkpoint.every as usize)?;
        at_least_one("checkpoint.keep", checkpoint.keep)?;
        if let Source::Seeded { examples } = questions.source {
            at_least_one("questions.source.seeded.examples", examples)?;
        }
        let (fewest, most) = questions.choices;
        refuse(
            fewest < 2 || fewest > most || most > 26,
            &format!("questions.choices = [{fewest}, {most}]: expected 2 to 26, the fewer first"),
        )?;
        if let Some(count) = dev.subsample {
            at_least_one("dev.subsample", count)?;
        }
        if let Some(Curriculum { questions, every, easiest, hardest }) = dev.curriculum {
            at_least_one("dev.curriculum.questions", questions)?;
            at_least_one("dev.curriculum.every", every as usize)?;
            within("dev.curriculum.easiest", easiest)?;
            within("dev.curriculum.hardest", hardest)?;
            refuse(
                easiest + hardest > 1.0,
                "dev.curriculum.easiest and dev.curriculum.hardest together are more than all",
            )?;
        }
        if let Some(beta) = influence.momentum {
            refuse(
                !(0.0..1.0).contains(&beta),
                &format!("influence.momentum is {beta}, expected one in [0, 1)"),
            )?;
        }
        within("guard.min_valid", guard.min_valid)?;
        within("guard.min_answered", guard.min_answered)?;
        for (role, rollout, update) in [
            ("solver", &self.solver.rollout, &self.solver.update),
            ("generator", &self.generator.rollout, &self.generator.update),
        ] {
            sampling(role, rollout)?;
            learning(role, update)?;
        }
        refuse(!self.reward.invalid.is_finite(), "reward.invalid is not a number")?;
        more_than_zero("reward.spice.scale", self.reward.spice.scale)?;
        let target = self.reward.spice.target_variance;
        refuse(!target.is_finite(), "reward.spice.target_variance is not a number")?;
        refuse(!self.solver.mid_eos_penalty.is_finite(), "solver.mid_eos_penalty is not a number")
    }
}

fn sampling(role: &str, rollout: &Rollout) -> Result<()> {
    let key = |name: &str| format!("{role}.rollout.{name}");
    at_least_one(&key("samples"), rollout.samples)?;
    not_absurd(&key("samples"), rollout.samples)?;
    at_least_one(&key("max_tokens"), rollout.max_tokens)?;
    at_least_one(&key("max_prompt_tokens"), rollout.max_prompt_tokens)?;
    at_least_one(&key("cache_mib"), rollout.cache_mib)?;
    match rollout.decoding().sampling.problem() {
        Some(problem) => Err(Error::Setting(format!("{role}.rollout: {problem}"))),
        None => Ok(()),
    }
}

fn learning(role: &str, update: &Update) -> Result<()> {
    let key = |name: &str| format!("{role}.update.{name}");
    at_least_one(&key("prompts_per_step"), update.prompts_per_step)?;
    at_least_one(&key("epochs"), update.epochs)?;
    at_least_one(&key("batch_tokens"), update.batch_tokens)?;
    more_than_zero(&key("learning_rate"), update.learning_rate)?;
    more_than_zero(&key("epsilon"), update.epsilon)?;
    if let Some(norm) = update.max_norm {
        more_than_zero(&key("max_norm"), norm)?;
    }
    if let Some(Reduction::Constant(tokens)) = update.reduction {
        more_than_zero(&key("reduction.constant"), tokens)?;
    }
    clip(&key("clip"), update.clip)?;
    for (name, beta) in [("beta1", update.beta1), ("beta2", update.beta2)] {
        let problem = format!("{} is {beta}, expected one in [0, 1)", key(name));
        refuse(!(0.0..1.0).contains(&beta), &problem)?;
    }
    let problem = format!("{} is not a number from 0 on", key("weight_decay"));
    refuse(!(update.weight_decay >= 0.0 && update.weight_decay.is_finite()), &problem)?;
    refuse(!update.entropy.is_finite(), &format!("{} is not a number", key("entropy")))
}

/// The ratio 1 is always within the bounds; the dual clip begins above it.
fn clip(key: &str, Clip { low, high, dual }: Clip) -> Result<()> {
    for (name, width) in [("low", low), ("high", high)] {
        let problem = format!("{key}.{name} is {width}, expected a number from 0 on");
        refuse(!(width >= 0.0 && width.is_finite()), &problem)?;
    }
    match dual {
        Some(bound) if !(bound > 1.0 && bound.is_finite()) => {
            Err(Error::Setting(format!("{key}.dual is {bound}, expected more than 1")))
        }
        _ => Ok(()),
    }
}

fn more_than_zero(key: &str, value: f64) -> Result<()> {
    let problem = format!("{key} is {value}, expected more than 0");
    refuse(!(value > 0.0 && value.is_finite()), &problem)
}

fn refuse(wrong: bool, problem: &str) -> Result<()> {
    if wrong { Err(Error::Setting(problem.to_string())) } else { Ok(()) }
}

fn at_least_one(key: &str, count: usize) -> Result<()> {
    refuse(count == 0, &format!("{key} is 0, expected at least 1"))
}

/// A slip of the finger would ask for all memory before the first token.
fn not_absurd(key: &str, count: usize) -> Result<()> {
    refuse(count > MOST_SAMPLES, &format!("{key} is {count}, expected at most {MOST_SAMPLES}"))
}

fn within(key: &str, part: f64) -> Result<()> {
    refuse(!(0.0..=1.0).contains(&part), &format!("{key} is {part}, expected one in 0 to 1"))
}
