//! `infuser logprobs`.

use infuser_model::{Batch, Keep, ModelConfig, checkpoint};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::Logprobs,
    device,
    encoder::Encoder,
    failure::Failure,
    jsonl::{Output, Sequence, read_sequences},
    report::progress,
};

#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    logprobs: &'a [f32],
    entropy: &'a [f32],
    sum: f64,
    /// Null for a single token.
    mean: Option<f64>,
}

pub(crate) fn run(args: &Logprobs) -> Result<(), Failure> {
    if !(args.temperature > 0.0 && args.temperature.is_finite()) {
        let problem = format!("--temperature {} must be above 0", args.temperature);
        return Err(Failure::bad_input(problem));
    }
    let config = ModelConfig::read(&args.model)?;
    let encoder = Encoder::open(&args.model, args.chat)?;
    let sequences = read_sequences(&args.input, &config, &encoder, 0)?;
    let model = checkpoint::load(&args.model, device::open(args.on)?)?;
    let mut output = Output::open(args.output.as_deref())?;
    let mut workspace = model.workspace(Keep::Nothing)?;
    let bar = progress(sequences.len(), "logprobs");
    for group in groups(&sequences, args.batch_tokens) {
        let tokens: Vec<&[u32]> = group.iter().map(|sequence| &sequence.tokens[..]).collect();
        let batch = Batch::sequences(model.device(), &tokens)?;
        model.forward(&batch, args.temperature, &mut workspace)?;
        let (logp, entropy) = (workspace.logp()?, workspace.entropy()?);
        for (i, sequence) in group.iter().enumerate() {
            let outputs = batch.sequence(i);
            let logprobs = &logp[outputs.clone()];
            // Not `sum`, which is -0.0 for nothing.
            let sum = logprobs.iter().fold(0.0, |sum, x| sum + f64::from(*x));
            let mean = (!logprobs.is_empty()).then(|| sum / logprobs.len() as f64);
            let entropy = &entropy[outputs];
            output.line(&Line { id: &sequence.id, logprobs, entropy, sum, mean })?;
        }
        bar.inc(group.len() as u64);
    }
    bar.finish_and_clear();
    output.finish()
}

/// Consecutive sequences of at most `limit` tokens together; a longer one goes alone.
fn groups(sequences: &[Sequence], limit: usize) -> Vec<&[Sequence]> {
    let (mut groups, mut start, mut used) = (Vec::new(), 0, 0);
    for (i, sequence) in sequences.iter().enumerate() {
        if i > start && used + sequence.tokens.len() > limit {
            groups.push(&sequences[start..i]);
            (start, used) = (i, 0);
        }
        used += sequence.tokens.len();
    }
    groups.push(&sequences[start..]);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_keep_order_and_stay_within_the_limit() {
        let sequences: Vec<Sequence> = [3, 4, 9, 1, 1, 5]
            .iter()
            .map(|&len| Sequence { id: Value::Null, tokens: vec![0; len] })
            .collect();
        let sizes = |limit| groups(&sequences, limit).iter().map(|g| g.len()).collect::<Vec<_>>();
        assert_eq!(sizes(7), [2, 1, 3]);
        assert_eq!(sizes(1), [1, 1, 1, 1, 1, 1]);
        assert_eq!(sizes(100), [6]);
    }
}
