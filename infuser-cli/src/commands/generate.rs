//! `infuser generate`.

use infuser_data::tokenizer::Controls;
use infuser_kernels::Device;
use infuser_model::{
    ModelConfig, checkpoint,
    generate::{Options, Sampling, generate},
};
use serde::Serialize;
use serde_json::Value;

use crate::{
    args::Generate,
    encoder::Encoder,
    failure::Failure,
    jsonl::{Output, read_sequences},
    report::progress,
};

#[derive(Serialize)]
struct Line<'a> {
    id: &'a Value,
    sample: usize,
    tokens: &'a [u32],
    logprobs: &'a [f32],
    finish_reason: &'static str,
    /// If the model has a tokenizer.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

pub(crate) fn run(args: &Generate) -> Result<(), Failure> {
    let config = ModelConfig::read(&args.model)?;
    let options = options(args, &config)?;
    let encoder = Encoder::open(&args.model, args.chat)?;
    let sequences = read_sequences(&args.input, &config, &encoder)?;
    let model = checkpoint::load(&args.model, Device::Cpu)?;
    let mut output = Output::open(args.output.as_deref())?;
    let (ids, prompts): (Vec<Value>, Vec<Vec<u32>>) =
        sequences.into_iter().map(|sequence| (sequence.id, sequence.tokens)).unzip();
    let bar = progress(prompts.len() * options.samples, "samples");
    generate(&model, &prompts, &options, |sample| {
        bar.inc(1);
        // A model's vocabulary may be padded beyond its tokenizer's: such tokens have no text.
        let text =
            encoder.tokenizer().and_then(|text| text.decode(&sample.tokens, Controls::Hide).ok());
        output.line(&Line {
            id: &ids[sample.prompt],
            sample: sample.sample,
            tokens: &sample.tokens,
            logprobs: &sample.logprobs,
            finish_reason: sample.finish_reason.name(),
            text,
        })
    })?;
    bar.finish_and_clear();
    output.finish()
}

fn options(args: &Generate, config: &ModelConfig) -> Result<Options, Failure> {
    let (temperature, top_p, top_k) = (args.temperature, args.top_p, args.top_k);
    let random = Sampling::Random { temperature, top_p, top_k };
    let sampling = if temperature == 0.0 {
        // The other two values must make sense even where they cannot matter.
        Sampling::Random { temperature: 1.0, top_p, top_k }.check()?;
        Sampling::Greedy
    } else {
        random.check()?;
        random
    };
    let stop_tokens = if args.ignore_eos { Vec::new() } else { config.eos_tokens.clone() };
    Ok(Options {
        sampling,
        max_tokens: args.max_tokens,
        samples: args.samples,
        stop_tokens,
        seed: args.seed,
    })
}
