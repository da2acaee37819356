use std::path::{Path, PathBuf};

use infuser_kernels::{Device, testing::on_threads};
use infuser_model::{
    Accumulate, Batch, Keep, Model, OutputGradient, Tensors, checkpoint,
    generate::{Engine, Options, Request, Sample},
};
use serde_json::Value;

use crate::fixtures::{Golden, distance, fixture, folders_with, shared};

/// Allowed differences to PyTorch in f32, which differs from itself by a tenth of them when it takes
/// another attention kernel.
const LOGITS: f32 = 1e-4;
const LOSS: f32 = 1e-5;
const GRADIENT: f32 = 1e-5;

/// Allowed differences to ourselves under another order of the same batch, as a share of the largest value.
const SLICING: f32 = 1e-6;

fn model_folders() -> Vec<PathBuf> {
    let mut folders = folders_with(&fixture("models"), "golden.safetensors");
    assert!(folders.len() >= 10, "fixtures are missing");
    if let Some(models) = shared("golden/models") {
        folders.extend(folders_with(&models, "golden.safetensors"));
    }
    folders
}

fn sequences(golden: &Golden) -> Vec<Vec<u32>> {
    let (ids, ends) = (golden.integers("packed.input_ids"), golden.integers("packed.cu_seqlens"));
    ends.windows(2).map(|ends| ids[ends[0] as usize..ends[1] as usize].to_vec()).collect()
}

/// What one pass gives: log-probabilities and entropies by sequence, the loss, all gradients.
struct Outcome {
    logp: Vec<Vec<f32>>,
    entropy: Vec<Vec<f32>>,
    loss: f32,
    gradients: Tensors,
}

/// Runs the sequences in the given order and batches; gradients are those of the mean NLL.
fn run(model: &Model, sequences: &[Vec<u32>], batches: &[&[usize]], keep: Keep) -> Outcome {
    let count: usize = sequences.iter().map(|tokens| tokens.len() - 1).sum();
    let mut outcome = Outcome {
        logp: vec![Vec::new(); sequences.len()],
        entropy: vec![Vec::new(); sequences.len()],
        loss: 0.0,
        gradients: Tensors::zeros(model.layout(), Device::Cpu).unwrap(),
    };
    let mut workspace = model.workspace(keep).unwrap();
    let mut sum = 0.0f64;
    for order in batches {
        let tokens: Vec<&Vec<u32>> = order.iter().map(|&i| &sequences[i]).collect();
        let batch = Batch::sequences(Device::Cpu, &tokens).unwrap();
        model.forward(&batch, 1.0, &mut workspace).unwrap();
        let (logp, entropy) = (workspace.logp().unwrap(), workspace.entropy().unwrap());
        for (place, &i) in order.iter().enumerate() {
            outcome.logp[i] = logp[batch.sequence(place)].to_vec();
            outcome.entropy[i] = entropy[batch.sequence(place)].to_vec();
        }
        sum -= logp.iter().map(|x| f64::from(*x)).sum::<f64>();
        let dlogp = vec![-1.0 / count as f32; batch.outputs()];
        let gradient = OutputGradient { logp: &dlogp, entropy: None };
        let sink = &mut Accumulate::new(&mut outcome.gradients);
        model.backward(&batch, gradient, &mut workspace, sink).unwrap();
    }
    outcome.loss = (sum / count as f64) as f32;
    outcome
}

fn check_gradients(name: &str, model: &Model, gradients: &Tensors, golden: &Golden) {
    for (id, param) in model.layout().iter() {
        let want = golden.floats(&format!("grad.{}", param.name));
        let off = distance(&gradients[id].to_f32().unwrap(), want);
        assert!(off <= GRADIENT, "{name}: gradient of {} is off by {off:e}", param.name);
    }
}

/// The golden rows of one value a token, without each sequence's last, which predicts nothing.
fn by_sequence(values: &[f32], sequences: &[Vec<u32>]) -> Vec<Vec<f32>> {
    let mut at = 0;
    let rows = sequences.iter().map(|tokens| {
        at += tokens.len();
        values[at - tokens.len()..at - 1].to_vec()
    });
    rows.collect()
}

#[test]
fn logits_losses_and_gradients_match_pytorch() {
    for folder in model_folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let golden = Golden::read(&folder.join("golden.safetensors"));
        let model = checkpoint::load(&folder, Device::Cpu).unwrap();
        let sequences = sequences(&golden);

        let rows: usize = sequences.iter().map(Vec::len).sum();
        let batch = Batch::sequences(Device::Cpu, &sequences).unwrap();
        let batch = batch.with_output_rows((0..rows as u32).collect()).unwrap();
        let mut workspace = model.workspace(Keep::Nothing).unwrap();
        let logits = model.logits(&batch, &mut workspace).unwrap().to_f32().unwrap();
        let off = distance(&logits, golden.floats("packed.logits"));
        assert!(off <= LOGITS, "{name}: logits are off by {off:e}");

        let packed: &[usize] = &[0, 1, 2, 3, 4];
        let got = run(&model, &sequences, &[packed], Keep::Everything);
        let off = (got.loss - golden.floats("batch.loss")[0]).abs();
        assert!(off <= LOSS, "{name}: loss is off by {off:e}");
        for (field, got) in [("packed.logprobs", &got.logp), ("packed.entropy", &got.entropy)] {
            for (got, want) in got.iter().zip(by_sequence(golden.floats(field), &sequences)) {
                let off = distance(got, &want);
                assert!(off <= LOGITS, "{name}: {field} is off by {off:e}");
            }
        }
        check_gradients(&name, &model, &got.gradients, &golden);

        // One sequence a batch, and all of them in another order.
        for batches in [
            vec![&packed[0..1], &packed[1..2], &packed[2..3], &packed[3..5]],
            vec![&[3, 1, 4, 0, 2][..]],
        ] {
            let other = run(&model, &sequences, &batches, Keep::BlockInputs);
            check_gradients(&name, &model, &other.gradients, &golden);
            for (a, b) in got.logp.iter().zip(&other.logp) {
                assert!(distance(a, b) <= LOGITS, "{name}: batching changes log-probabilities");
            }
        }
    }
}

#[test]
fn rows_that_nobody_asks_for_change_no_bit() {
    for folder in model_folders() {
        let golden = Golden::read(&folder.join("golden.safetensors"));
        let model = checkpoint::load(&folder, Device::Cpu).unwrap();
        let sequences = sequences(&golden);
        let rows = sequences.iter().map(Vec::len).sum::<usize>() as u32;
        let mut workspaces =
            [Keep::Nothing, Keep::Everything].map(|keep| model.workspace(keep).unwrap());
        // Few, then all, then fewer: the memory of one pass is that of the next.
        for asked in [vec![rows - 1, 3, 3, 0], (0..rows).collect(), vec![], vec![rows / 2]] {
            let batch = Batch::sequences(Device::Cpu, &sequences).unwrap();
            let batch = batch.with_output_rows(asked.clone()).unwrap();
            let [few, all] = workspaces
                .each_mut()
                .map(|workspace| model.logits(&batch, workspace).unwrap().to_f32().unwrap());
            assert_eq!(few.len(), asked.len() * model.config().vocab);
            assert_eq!(few, all, "{}: rows {asked:?}", folder.display());
        }
    }
}

#[test]
fn recomputation_threads_and_order_change_nothing_that_matters() {
    for name in ["qwen3_untied", "olmo3_yarn", "qwen2"] {
        let folder = fixture("models").join(name);
        let golden = Golden::read(&folder.join("golden.safetensors"));
        let model = checkpoint::load(&folder, Device::Cpu).unwrap();
        let sequences = sequences(&golden);
        let order: &[usize] = &[0, 1, 2, 3, 4];
        let base = on_threads(1, || run(&model, &sequences, &[order], Keep::Everything));
        let recomputed = on_threads(1, || run(&model, &sequences, &[order], Keep::BlockInputs));
        assert_eq!(base.gradients, recomputed.gradients, "{name}: recomputation");
        let threaded = on_threads(3, || run(&model, &sequences, &[order], Keep::Everything));
        assert_eq!(base.gradients, threaded.gradients, "{name}: threads");
        assert_eq!(base.logp, threaded.logp, "{name}: threads");
        let reordered = run(&model, &sequences, &[&[4, 2, 0, 3, 1]], Keep::Everything);
        for (id, param) in model.layout().iter() {
            let [a, b] = [&base, &reordered].map(|o| o.gradients[id].to_f32().unwrap());
            let size = a.iter().fold(1.0f32, |size, x| size.max(x.abs()));
            assert!(distance(&a, &b) <= SLICING * size, "{name}: order, {}", param.name);
        }
        for (a, b) in base.logp.iter().zip(&reordered.logp) {
            let size = a.iter().fold(1.0f32, |size, x| size.max(x.abs()));
            assert!(distance(a, b) <= SLICING * size, "{name}: order");
        }
    }
}

#[test]
fn shards_are_the_model_in_one_file() {
    let mut pairs = vec![(fixture("models/qwen3_sharded"), fixture("models/qwen3_untied"))];
    if let Some(models) = shared("golden/models") {
        pairs.push((models.join("qwen3_untied-f32-sharded"), models.join("qwen3_untied-f32")));
    }
    for (shards, single) in pairs {
        let [shards, single] = [shards, single].map(|f| checkpoint::load(&f, Device::Cpu).unwrap());
        assert_eq!(shards.weights(), single.weights());
    }
}

fn tokens(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// Each prompt alone in an engine, or all of them in one, with `fillers` other requests before them.
fn greedy(model: &Model, prompts: &[Vec<u32>], max_tokens: usize, fillers: usize) -> Vec<Sample> {
    let request = |id, prompt: &[u32], max_tokens| Request {
        stop_tokens: Vec::new(),
        ..Request::greedy(id, prompt.to_vec(), max_tokens, model.config())
    };
    let wanted: Vec<Request> =
        (0..).zip(prompts).map(|(id, prompt)| request(id, prompt, max_tokens)).collect();
    let run = |requests: Vec<Request>| {
        let mut engine = Engine::new(model, Options::default()).unwrap();
        engine.run(requests).unwrap()
    };
    if fillers == 0 {
        return wanted.into_iter().flat_map(|request| run(vec![request])).collect();
    }
    let fillers = (0..fillers as u64).map(|i| {
        let prompt = &prompts[i as usize % prompts.len()];
        let prompt = &prompt[..1 + i as usize % prompt.len()];
        request(1000 + i, prompt, 1 + i as usize % max_tokens)
    });
    let samples = run(fillers.chain(wanted).collect());
    samples.into_iter().filter(|sample| sample.request < 1000).collect()
}

#[test]
fn greedy_tokens_match_transformers() {
    let folders = model_folders();
    for folder in folders.iter().filter(|folder| folder.join("generate.json").is_file()) {
        let text = std::fs::read(folder.join("generate.json")).unwrap();
        let golden: Value = serde_json::from_slice(&text).unwrap();
        let model = checkpoint::load(folder, Device::Cpu).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        let prompts: Vec<_> = cases.iter().map(|case| tokens(prompt(case))).collect();
        let new = tokens(chosen(&cases[0])).len();
        let alone = greedy(&model, &prompts, new, 0);
        assert_eq!(greedy(&model, &prompts, new, 64 - prompts.len()), alone);
        for (case, Sample { tokens: got, logprobs, .. }) in cases.iter().zip(alone) {
            assert_eq!(got, tokens(chosen(case)), "{}", folder.display());
            let want: Vec<f32> = case["logprobs"]
                .as_array()
                .unwrap()
                .iter()
                .map(|x| x.as_f64().unwrap() as f32)
                .collect();
            assert!(distance(&logprobs, &want) <= LOGITS, "{}", folder.display());
        }
    }
}

/// The prompt of a case of `generate.json`.
fn prompt(case: &Value) -> &Value {
    &case["prompt"]
}

/// The greedy tokens of a case of `generate.json`.
fn chosen(case: &Value) -> &Value {
    &case["tokens"]
}

#[test]
fn a_really_trained_model_tells_its_story() {
    let folder = fixture("stories260k");
    let text = std::fs::read(folder.join("golden_greedy.json")).unwrap();
    let golden: Value = serde_json::from_slice(&text).unwrap();
    let want = tokens(&golden["greedy_ids"]);
    let model = checkpoint::load(&folder, Device::Cpu).unwrap();
    let prompts = [vec![want[0]]];
    let samples = greedy(&model, &prompts, want.len() - 1, 0);
    assert_eq!(greedy(&model, &prompts, want.len() - 1, 63), samples);
    assert_eq!(samples[0].tokens, want[1..]);
    let nll: Vec<f32> = golden["nll_per_token_first20"]
        .as_array()
        .unwrap()
        .iter()
        .map(|x| -x.as_f64().unwrap() as f32)
        .collect();
    assert!(distance(&samples[0].logprobs[..nll.len()], &nll) < 1e-4);
    assert_folder_is_whole(&folder);
}

/// The licence line travels with the model.
fn assert_folder_is_whole(folder: &Path) {
    assert!(folder.join("SOURCE.txt").is_file());
}
