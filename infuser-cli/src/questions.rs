//! Questions with answers and rewards, and the model and optimizer they are scored with.

use std::path::Path;

use infuser_influence::{AdamState, Objective, Question, Response, Settings, Weights};
use infuser_model::{
    Keep, Model, ModelConfig, checkpoint,
    optim::{AdamW, Optimizer, OptimizerSettings},
};
use infuser_rl::advantage::{Normalisation, Singleton, normalise};
use serde_json::{Map, Value};

use crate::{
    args::{Advantage, Inputs},
    device,
    encoder::Encoder,
    failure::Failure,
    jsonl::{self, read},
};

/// Everything a score comes from.
pub(crate) struct Loaded {
    pub(crate) model: Model,
    pub(crate) optimizer: Optimizer,
    pub(crate) target: Questions,
    pub(crate) questions: Questions,
    pub(crate) settings: Settings,
}

/// The lines of a file.
pub(crate) struct Questions {
    pub(crate) ids: Vec<Value>,
    pub(crate) list: Vec<Question>,
    pub(crate) objective: Objective,
}

impl Loaded {
    /// Reads and checks everything before anything is computed. `hyper` is of the optimizer.
    pub(crate) fn open(inputs: &Inputs, settings: OptimizerSettings) -> Result<Self, Failure> {
        check(inputs, &settings.adamw)?;
        let config = ModelConfig::read(&inputs.model)?;
        let encoder = Encoder::open(&inputs.model, inputs.chat)?;
        let target = questions(&inputs.target, inputs, &config, &encoder)?;
        let questions = questions(&inputs.questions, inputs, &config, &encoder)?;
        let device = device::open(inputs.on)?;
        let mut model = checkpoint::load(&inputs.model, device.clone())?;
        let mut optimizer = Optimizer::new(model.layout(), device, settings)?;
        if let Some(state) = &inputs.optimizer {
            checkpoint::load_state(state, &mut model, &mut optimizer)?;
        }
        let settings = Settings { batch_tokens: inputs.batch_tokens, keep: Keep::BlockInputs };
        Ok(Self { model, optimizer, target, questions, settings })
    }

    /// The state that scores are computed with.
    pub(crate) fn state(&self) -> AdamState<'_> {
        AdamState::of(&self.optimizer)
    }
}

fn check(inputs: &Inputs, adamw: &AdamW) -> Result<(), Failure> {
    let finite = |value: f64, least: f64| value.is_finite() && value > least;
    let rows = [
        ("--temperature", f64::from(inputs.temperature), finite(inputs.temperature.into(), 0.0)),
        ("--truncate", f64::from(inputs.truncate), finite(inputs.truncate.into(), 0.0)),
        ("--epsilon", adamw.epsilon, finite(adamw.epsilon, 0.0)),
    ];
    if let Some((name, value, _)) = rows.into_iter().find(|(_, _, fits)| !fits) {
        return Err(Failure::bad_input(format!("{name} {value} must be above 0")));
    }
    for (name, beta) in [("--beta1", adamw.beta1), ("--beta2", adamw.beta2)] {
        if !(0.0..1.0).contains(&beta) {
            return Err(Failure::bad_input(format!("{name} {beta} must be at least 0, below 1")));
        }
    }
    Ok(())
}

fn questions(
    path: &Path,
    inputs: &Inputs,
    config: &ModelConfig,
    encoder: &Encoder,
) -> Result<Questions, Failure> {
    let lines = read(path, |mut fields| {
        let id = jsonl::id(&mut fields)?;
        let responses = responses(fields.remove("responses"), inputs, encoder)?;
        let question = Question { prompt: encoder.tokens(&mut fields)?, responses };
        question.check(config)?;
        Ok((id, question))
    })?;
    let (ids, list): (Vec<Value>, Vec<Question>) = lines.into_iter().unzip();
    let objective = Objective::over(&list, inputs.temperature);
    Ok(Questions { ids, list, objective })
}

fn responses(
    list: Option<Value>,
    inputs: &Inputs,
    encoder: &Encoder,
) -> Result<Vec<Response>, String> {
    let Some(Value::Array(list)) = list else {
        return Err("`responses` is missing; give a list of answers".into());
    };
    let mut responses = Vec::new();
    let mut rewards = Vec::new();
    for (i, answer) in list.into_iter().enumerate() {
        let place = |problem| format!("response {i}: {problem}");
        let Value::Object(mut fields) = answer else {
            return Err(place("expected an object".into()));
        };
        rewards.extend(reward(&mut fields).map_err(place)?);
        responses.push(response(fields, inputs, encoder).map_err(place)?);
    }
    match rewards.len() {
        0 if responses.is_empty() => Err("`responses` is empty; give at least one".into()),
        0 => Ok(responses),
        some if some == responses.len() => {
            let rule = match inputs.advantage {
                Advantage::Centred => Normalisation::Centred,
                Advantage::GroupStd => Normalisation::GroupStd,
            };
            let group = vec![0; rewards.len()];
            let advantages = normalise(&rewards, &group, rule, Singleton::Zero)
                .map_err(|error| error.to_string())?;
            let pairs = responses.iter_mut().zip(advantages);
            pairs.for_each(|(response, advantage)| response.advantage = advantage);
            Ok(responses)
        }
        some => Err(format!(
            "{some} of {} responses have a `reward`; give all of them one, or none",
            responses.len()
        )),
    }
}

fn reward(fields: &mut Map<String, Value>) -> Result<Option<f32>, String> {
    match fields.remove("reward") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            let number = value.as_f64().map(|number| number as f32).filter(|x| x.is_finite());
            number.map(Some).ok_or_else(|| format!("`reward` is {value}, expected a number"))
        }
    }
}

fn response(
    mut fields: Map<String, Value>,
    inputs: &Inputs,
    encoder: &Encoder,
) -> Result<Response, String> {
    let mut response = Response::supervised(encoder.answer(&mut fields)?);
    if response.tokens.is_empty() {
        return Err("it has no tokens".into());
    }
    if let Some(value) = fields.remove("logprobs").filter(|value| !value.is_null()) {
        let list = value.as_array().ok_or("`logprobs` is not a list of numbers")?;
        let number = |value: &Value| {
            let number = value.as_f64().ok_or_else(|| format!("`logprobs` holds {value}"))?;
            Ok(number as f32)
        };
        let rollout_logp = list.iter().map(number).collect::<Result<Vec<f32>, String>>()?;
        response.weights = Weights::Truncated { rollout_logp, at_most: inputs.truncate };
    }
    Ok(response)
}
