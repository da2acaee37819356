//! The CUDA code path on the emulator: tiny models of two families through forward, backward, optimizer
//! and engine, against PyTorch's values and the same pass on the CPU.

use std::{env, process::Command};

use infuser_kernels::{
    Device, Dtype,
    ops::sample::{self, Draw, Uniform},
    rng::Stream,
    testing::{BF16_FORWARD, BF16_GRADIENT, emulated, emulated_alone, on_gpu, share},
};
use infuser_model::{
    Accumulate, Batch, BatchBuilder, Keep, Model, OutputGradient, Tensors, checkpoint,
    generate::{Counters, Engine, Options, Request, Sample, Sampling},
    optim::{AdamW, Optimizer, OptimizerSettings, Schedule},
};

use crate::fixtures::{Golden, fixture, folders_with};

/// A tied Qwen3 with QK-norm, and a Llama with scaled rotation.
const MODELS: [&str; 2] = ["qwen3_tied", "llama3"];
/// Tokens that an engine draws.
const STEPS: usize = 16;

fn load(name: &str) -> Model {
    checkpoint::load(&fixture("models").join(name), emulated()).unwrap()
}

/// A CPU model with the weights of another, as they are.
fn on_cpu(model: &Model) -> Model {
    let mut weights = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    for (to, from) in weights.buffers_mut().iter_mut().zip(model.weights().buffers()) {
        to.copy_from_f32(&from.to_f32().unwrap()).unwrap();
    }
    Model::new(model.config().clone(), weights).unwrap()
}

fn sequences(golden: &Golden) -> Vec<Vec<u32>> {
    let (ids, ends) = (golden.integers("packed.input_ids"), golden.integers("packed.cu_seqlens"));
    ends.windows(2).map(|ends| ids[ends[0] as usize..ends[1] as usize].to_vec()).collect()
}

/// Log-probabilities, entropies, and the gradients of the mean NLL less a tenth of the mean entropy.
struct Outcome {
    logp: Vec<f32>,
    entropy: Vec<f32>,
    gradients: Tensors,
}

fn pass(model: &Model, batch: &Batch, keep: Keep, entropy: bool) -> Outcome {
    let mut workspace = model.workspace(keep).unwrap();
    model.forward(batch, 1.0, &mut workspace).unwrap();
    let count = batch.outputs();
    let (dlogp, dentropy) = (vec![-1.0 / count as f32; count], vec![-0.1 / count as f32; count]);
    let mut gradients = Tensors::zeros(model.layout(), model.device()).unwrap();
    let gradient = OutputGradient { logp: &dlogp, entropy: entropy.then_some(&dentropy) };
    let sink = &mut Accumulate::new(&mut gradients);
    model.backward(batch, gradient, &mut workspace, sink).unwrap();
    let (logp, entropy) = (workspace.logp().unwrap(), workspace.entropy().unwrap());
    Outcome { logp, entropy, gradients }
}

/// Two outcomes of one batch on two devices.
#[track_caller]
fn assert_near(name: &str, model: &Model, got: &Outcome, want: &Outcome) {
    let off = [share(&got.logp, &want.logp), share(&got.entropy, &want.entropy)];
    assert!(off.iter().all(|off| *off <= BF16_FORWARD), "{name}: outputs are off by {off:?}");
    for (id, param) in model.layout().iter() {
        let [got, want] = [got, want].map(|outcome| outcome.gradients[id].to_f32().unwrap());
        let off = share(&got, &want);
        assert!(off <= BF16_GRADIENT, "{name}: gradient of {} is off by {off:e}", param.name);
    }
}

#[test]
fn losses_and_gradients_match_pytorch_and_the_cpu() {
    for folder in folders_with(&fixture("models"), "golden.safetensors") {
        let golden = Golden::read(&folder.join("golden.safetensors"));
        let name = folder.file_name().unwrap().to_str().unwrap();
        let model = load(name);
        assert_eq!(model.weights().buffers()[0].dtype(), Dtype::Bf16);
        let sequences = sequences(&golden);
        let batch = Batch::sequences(emulated(), &sequences).unwrap();
        let got = pass(&model, &batch, Keep::Everything, false);
        let loss = -got.logp.iter().sum::<f32>() / got.logp.len() as f32;
        let off = share(&[loss], golden.floats("batch.loss"));
        assert!(off <= BF16_FORWARD, "{name}: loss is off by {off:e}");
        for (id, param) in model.layout().iter() {
            let want = golden.floats(&format!("grad.{}", param.name));
            let off = share(&got.gradients[id].to_f32().unwrap(), want);
            assert!(off <= BF16_GRADIENT, "{name}: gradient of {} is off by {off:e}", param.name);
        }

        // Recomputation changes no bit.
        let again = pass(&model, &batch, Keep::BlockInputs, false);
        assert_eq!((again.logp, again.gradients), (got.logp, got.gradients), "{name}");

        // The entropy in the loss, with the same weights in f32.
        let got = pass(&model, &batch, Keep::BlockInputs, true);
        let cpu = on_cpu(&model);
        let batch = Batch::sequences(Device::Cpu, &sequences).unwrap();
        assert_near(name, &model, &got, &pass(&cpu, &batch, Keep::Everything, true));
    }
}

#[test]
fn logits_match_pytorch() {
    for name in MODELS {
        let golden = Golden::read(&fixture("models").join(name).join("golden.safetensors"));
        let (model, sequences) = (load(name), sequences(&golden));
        let rows: u32 = sequences.iter().map(|tokens| tokens.len() as u32).sum();
        let batch = Batch::sequences(emulated(), &sequences).unwrap();
        let batch = batch.with_output_rows((0..rows).collect()).unwrap();
        let mut workspace = model.workspace(Keep::Nothing).unwrap();
        let logits = model.logits(&batch, &mut workspace).unwrap().to_f32().unwrap();
        let off = share(&logits, golden.floats("packed.logits"));
        assert!(off <= BF16_FORWARD, "{name}: logits are off by {off:e}");
    }
}

#[test]
fn shared_prompts_are_separate_sequences() {
    let model = load("qwen3_tied");
    let responses: [&[u32]; 3] = [&[4, 5, 6, 7], &[8], &[9, 10]];
    let build = |device: Device, shared: bool| {
        let mut builder = BatchBuilder::default();
        let mut prompt = builder.prompt(&[1, 2, 3]);
        for (i, response) in responses.iter().enumerate() {
            if i > 0 && !shared {
                prompt = builder.prompt(&[1, 2, 3]);
            }
            builder.response(&prompt, response);
        }
        builder.sequence(&[11, 12, 13]);
        builder.build(device).unwrap()
    };
    let got = pass(&model, &build(emulated(), true), Keep::Everything, false);
    let separate = pass(&model, &build(emulated(), false), Keep::Everything, false);
    assert_near("separate", &model, &got, &separate);
    let cpu = pass(&on_cpu(&model), &build(Device::Cpu, true), Keep::Everything, false);
    assert_near("cpu", &model, &got, &cpu);
}

fn settings() -> OptimizerSettings {
    let adamw =
        AdamW { learning_rate: 1e-3, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    let schedule =
        Schedule::Cosine { warmup_steps: 2, total_steps: 9, min_ratio: 0.1, cycles: 0.5 };
    OptimizerSettings { adamw, schedule, max_norm: Some(0.5) }
}

#[test]
fn steps_are_those_of_the_cpu_on_f32_weights() {
    for name in MODELS {
        let mut model = load(name);
        let mut cpu = on_cpu(&model);
        let mut optimizer = Optimizer::new(model.layout(), emulated(), settings()).unwrap();
        let mut wanted = Optimizer::new(model.layout(), Device::Cpu, settings()).unwrap();
        assert!(optimizer.master().is_none());
        let mut gradients = Tensors::zeros(model.layout(), emulated()).unwrap();
        for step in 0..3 {
            let batch = Batch::sequences(Device::Cpu, &[vec![step, 5, 9, 2 + step]]).unwrap();
            let want = pass(&cpu, &batch, Keep::Everything, false).gradients;
            for (to, from) in gradients.buffers_mut().iter_mut().zip(want.buffers()) {
                to.copy_from_f32(&from.to_f32().unwrap()).unwrap();
            }
            let got = optimizer.step(model.weights_mut(), &gradients).unwrap();
            let want = wanted.step(cpu.weights_mut(), &want).unwrap();
            assert!((got.gradient_norm / want.gradient_norm - 1.0).abs() < 1e-12);
            assert_eq!(
                (got.clip_factor, got.learning_rate),
                (want.clip_factor, want.learning_rate)
            );
        }
        let master = optimizer.master().unwrap();
        let pairs = [
            (master, cpu.weights()),
            (optimizer.exp_avg(), wanted.exp_avg()),
            (optimizer.exp_avg_sq(), wanted.exp_avg_sq()),
        ];
        for (got, want) in pairs {
            for (got, want) in got.buffers().iter().zip(want.buffers()) {
                // A few roundings of f32 a step, as `tolerance.rs` of the kernels says.
                let off = share(&got.to_f32().unwrap(), &want.to_f32().unwrap());
                assert!(off < 1e-6, "{name}: off by {off:e}");
            }
        }
        // The model reads the master weights, rounded once.
        let mut rounded = Tensors::zero_weights(model.layout(), emulated()).unwrap();
        for (to, from) in rounded.buffers_mut().iter_mut().zip(master.buffers()) {
            to.copy_from_f32(&from.to_f32().unwrap()).unwrap();
        }
        assert!(&rounded == model.weights(), "{name}: the weights are not the rounded master");
        assert!(rounded.widened().unwrap() != *master, "{name}: the master holds more than bf16");
    }
}

#[test]
fn a_norm_that_is_not_finite_skips_the_step() {
    let mut model = load("llama3");
    let before = model.copy().unwrap();
    let mut optimizer = Optimizer::new(model.layout(), emulated(), settings()).unwrap();
    let mut gradients = Tensors::zeros(model.layout(), emulated()).unwrap();
    let last = gradients.buffers_mut().last_mut().unwrap();
    let mut values = last.to_f32().unwrap();
    values[3] = f32::NAN;
    last.copy_from_f32(&values).unwrap();
    assert!(optimizer.step(model.weights_mut(), &gradients).unwrap().skipped);
    assert_eq!((optimizer.steps(), model.weights()), (0, before.weights()));
}

#[test]
fn a_saved_run_continues_bit_for_bit() {
    let train = |model: &mut Model, optimizer: &mut Optimizer, steps: u64| {
        while optimizer.steps() < steps {
            let first = optimizer.steps() as u32;
            let tokens = [vec![first, 7, 3, 9, 1], vec![2, first + 20, 4]];
            let batch = Batch::sequences(emulated(), &tokens).unwrap();
            let gradients = pass(model, &batch, Keep::BlockInputs, false).gradients;
            assert!(!optimizer.step(model.weights_mut(), &gradients).unwrap().skipped);
        }
    };
    let start = || {
        let model = load("qwen3_tied");
        let optimizer = Optimizer::new(model.layout(), emulated(), settings()).unwrap();
        (model, optimizer)
    };
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state.safetensors");
    let (mut model, mut optimizer) = start();
    train(&mut model, &mut optimizer, 2);
    checkpoint::save_state(&state, &model, &optimizer).unwrap();
    train(&mut model, &mut optimizer, 4);
    let (mut other, mut resumed) = start();
    checkpoint::load_state(&state, &mut other, &mut resumed).unwrap();
    train(&mut other, &mut resumed, 4);
    assert_eq!(other.weights(), model.weights());
    assert_eq!(resumed.master().unwrap(), optimizer.master().unwrap());
    assert_eq!(resumed.exp_avg(), optimizer.exp_avg());
    assert_eq!(resumed.exp_avg_sq(), optimizer.exp_avg_sq());
    // A folder for others holds the bf16 weights exactly.
    let saved = folder.path().join("model");
    let source = &fixture("models/qwen3_tied");
    let options = checkpoint::SaveOptions {
        dtype: checkpoint::SaveDtype::Bf16,
        shard_bytes: usize::MAX,
        source,
    };
    checkpoint::save(&model, &saved, &options).unwrap();
    assert_eq!(checkpoint::load(&saved, emulated()).unwrap().weights(), model.weights());
}

/// Log-probabilities of a sample's tokens in a CPU pass with the same weights.
fn recomputed(cpu: &Model, prompt: &[u32], sample: &Sample, temperature: f32) -> Vec<f32> {
    let mut builder = BatchBuilder::default();
    let id = builder.prompt(prompt);
    let response = builder.response(&id, &sample.tokens);
    let batch = builder.build(Device::Cpu).unwrap();
    let mut workspace = cpu.workspace(Keep::Nothing).unwrap();
    cpu.forward(&batch, temperature, &mut workspace).unwrap();
    workspace.logp().unwrap()[batch.sequence(response)].to_vec()
}

#[test]
fn an_engine_draws_with_the_log_probabilities_of_a_pass() {
    for name in MODELS {
        let model = load(name);
        let cpu = on_cpu(&model);
        let prompts: [&[u32]; 2] = [&[77, 41, 53, 17], &[5; 40]];
        let greedy = (0..).zip(prompts).map(|(id, prompt)| Request {
            stop_tokens: Vec::new(),
            ..Request::greedy(id, prompt.to_vec(), STEPS, model.config())
        });
        let temperature = 0.8;
        let sampling = Sampling::Random { temperature, top_k: Some(40), top_p: 0.95, min_p: 0.01 };
        let random =
            Request { sampling, samples: 3, seed: 5, id: 9, ..greedy.clone().last().unwrap() };
        let requests: Vec<Request> = greedy.chain([random]).collect();
        // Prompts in two steps, blocks that fork, and two of the random samples begin with the third.
        let options = Options { step_tokens: 24, ..Options::default() };
        let samples = Engine::new(&model, options).unwrap().run(requests.clone()).unwrap();
        assert_eq!(samples.len(), 5);
        for sample in &samples {
            assert_eq!(sample.tokens.len(), STEPS, "{name}");
            let request = requests.iter().find(|r| r.id == sample.request).unwrap();
            let temperature = request.sampling.temperature();
            let want = recomputed(&cpu, &request.prompt, sample, temperature);
            let off = share(&sample.logprobs, &want);
            assert!(off <= BF16_FORWARD, "{name}: log-probabilities are off by {off:e}");
        }
        if on_gpu() {
            continue;
        }
        // A sample is its request's, whatever else runs.
        let alone = Engine::new(&model, Options::default()).unwrap();
        let alone = { alone }.run(vec![requests[2].clone()]).unwrap();
        assert_eq!(alone, samples[2..], "{name}");
    }
}

/// Batches that grow by forking and arriving and shrink as samples end, at widths that no power of two is;
/// prompts that need more memory than what was recorded; a cache too small for all.
fn arrivals_and_ends(model: &Model, decode_graphs: bool) -> (Vec<Sample>, Counters) {
    let request = |id: u64, len: usize, max_tokens, samples| Request {
        sampling: Sampling::Random { temperature: 0.9, top_k: None, top_p: 1.0, min_p: 0.0 },
        stop_tokens: Vec::new(),
        seed: 3,
        samples,
        entropy: true,
        ..Request::greedy(id, vec![id as u32 + 1; len], max_tokens, model.config())
    };
    let options = Options {
        cache_tokens: 32 * 9,
        step_tokens: 60,
        max_sequences: 6,
        decode_graphs,
        ..Options::default()
    };
    let mut engine = Engine::new(model, options).unwrap();
    engine.submit(request(1, 3, 9, 3)).unwrap();
    let mut samples = Vec::new();
    for step in 0.. {
        match step {
            4 => engine.submit(request(2, 5, 30, 1)).unwrap(),
            8 => engine.submit(request(3, 50, 12, 2)).unwrap(),
            30 => engine.submit(request(4, 20, 6, 5)).unwrap(),
            _ if step > 30 && engine.is_idle() => break,
            _ => {}
        }
        samples.extend(engine.step().unwrap());
    }
    (samples, engine.counters())
}

#[test]
fn a_device_that_cannot_record_decodes_all_the_same() {
    let device = emulated_alone();
    let Device::Cuda(driver) = &device else { unreachable!("the emulator is a CUDA device") };
    let uploads = driver.record(|| device.upload_f32(vec![1.0], &[1]).map(drop)).unwrap();
    let fault = uploads.unwrap_err();
    let model = checkpoint::load(&fixture("models").join(MODELS[0]), device.clone()).unwrap();
    let ((got, tried), (want, direct)) =
        (arrivals_and_ends(&model, true), arrivals_and_ends(&model, false));
    assert_eq!((got, tried.replayed_steps, tried), (want, 0, direct));
    assert_eq!(device.graph_fault(), Some(fault));
}

#[test]
fn decode_steps_are_the_same_from_graphs() {
    let device = emulated_alone();
    for name in [MODELS[0], MODELS[1], "qwen3_swa"] {
        let model = checkpoint::load(&fixture("models").join(name), device.clone()).unwrap();
        let ((got, replayed), (want, direct)) =
            (arrivals_and_ends(&model, true), arrivals_and_ends(&model, false));
        assert_eq!(got, want, "{name}");
        assert_eq!((got.len(), direct.replayed_steps), (11, 0), "{name}");
        assert!(replayed.replayed_steps > 10, "{name}: {replayed:?}");
        assert_eq!(Counters { replayed_steps: 0, ..replayed }, direct, "{name}");
        assert_eq!(device.graph_fault(), None, "{name}");
        // Nothing of a graph is left.
        drop(model);
        assert_eq!(device.memory_use().unwrap().total().live_bytes, 0, "{name}");
    }
}

#[test]
fn greedy_tokens_match_transformers() {
    let mut equal = 0;
    for name in MODELS {
        let text = std::fs::read(fixture("models").join(name).join("generate.json")).unwrap();
        let golden: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let model = load(name);
        for case in golden["cases"].as_array().unwrap() {
            let list = |key: &str| -> Vec<u32> {
                let ids = case[key].as_array().unwrap().iter();
                ids.map(|id| id.as_u64().unwrap() as u32).collect()
            };
            let request = Request {
                stop_tokens: Vec::new(),
                ..Request::greedy(1, list("prompt"), STEPS, model.config())
            };
            let samples = Engine::new(&model, Options::default()).unwrap().run(vec![request]);
            let sample = &samples.unwrap()[0];
            let want = list("tokens");
            // Where two tokens are nearly equal, bf16 may choose the other one: from there on, it is
            // another text. Up to that choice, and in it, all log-probabilities are the same.
            let same =
                sample.tokens.iter().zip(&want).take_while(|(got, want)| got == want).count();
            let upto = STEPS.min(same + 1);
            let logprobs = case["logprobs"].as_array().unwrap().iter();
            let logprobs: Vec<f32> = logprobs.map(|x| x.as_f64().unwrap() as f32).collect();
            let off = share(&sample.logprobs[..upto], &logprobs[..upto]);
            assert!(off <= BF16_FORWARD, "{name}: {same} tokens are the same, off by {off:e}");
            equal += same;
        }
    }
    // Of six texts of 16 tokens, in all of which the closest choice is within 2⁻⁵ of another.
    assert!(equal >= 72, "{equal} tokens are those of transformers");
}

#[test]
fn the_sampler_draws_what_the_cpu_draws_from_the_same_logits() {
    let model = load("qwen3_tied");
    let batch = Batch::sequences(emulated(), &[vec![1, 2, 3, 4, 5, 6]]).unwrap();
    let mut workspace = model.workspace(Keep::Nothing).unwrap();
    let logits = model.logits(&batch, &mut workspace).unwrap();
    let on_cpu = Device::Cpu.upload_f32(logits.to_f32().unwrap(), logits.dims().axes()).unwrap();
    let stream = Stream::new(3);
    let seen = [4, 9, 4];
    let draws: Vec<Draw<'_>> = (0..40)
        .map(|i| Draw {
            row: i % 5,
            sampling: Sampling::Random {
                temperature: 0.5 + i as f32 / 20.0,
                top_k: (i % 3 == 0).then_some(7),
                top_p: if i % 4 == 1 { 0.8 } else { 1.0 },
                min_p: 0.0,
            },
            uniform: Uniform::Of(stream, i as u64),
            penalty: (i % 5 == 2).then_some((1.3, &seen[..])),
        })
        .collect();
    let got = sample::draw(logits.view(), &draws).unwrap();
    let want = sample::draw(on_cpu.view(), &draws).unwrap();
    let ids = |drawn: &[sample::Drawn]| drawn.iter().map(|one| one.token).collect::<Vec<u32>>();
    assert_eq!(ids(&got), ids(&want));
    let given = Draw { uniform: Uniform::Given(0.5), ..draws[0] };
    let error = sample::draw(logits.view(), &[given]).unwrap_err().to_string();
    assert!(error.contains("cuda draws its own"), "{error}");
}

#[test]
fn a_batch_of_another_device_is_an_error_that_names_it() {
    let model = load("qwen3_tied");
    let mut workspace = model.workspace(Keep::Nothing).unwrap();
    let batch = Batch::sequences(Device::Cpu, &[vec![1, 2, 3]]).unwrap();
    let error = model.forward(&batch, 1.0, &mut workspace).unwrap_err().to_string();
    assert_eq!(error, "embedding::gather: `ids` is on cpu, expected cuda");
    let cpu = on_cpu(&model);
    let batch = Batch::sequences(emulated(), &[vec![1, 2, 3]]).unwrap();
    let mut workspace = cpu.workspace(Keep::Nothing).unwrap();
    let error = cpu.forward(&batch, 1.0, &mut workspace).unwrap_err().to_string();
    assert_eq!(error, "embedding::gather: `ids` is on cuda, expected cpu");
    // A token outside the vocabulary is found on the host, as on the CPU.
    let batch = Batch::sequences(emulated(), &[vec![1, 96, 3]]).unwrap();
    let mut workspace = model.workspace(Keep::Nothing).unwrap();
    let error = model.forward(&batch, 1.0, &mut workspace).unwrap_err().to_string();
    assert!(error.contains("`ids`[1] is 96"), "{error}");
}

/// Tests that together run every kernel of a model, in a process of their own on kernels that see an access
/// one byte too far: the sanitizer's library must be the first one loaded.
#[test]
fn no_kernel_leaves_its_memory() {
    const INSIDE: &str = "INFUSER_SIMT_SANITIZER";
    const TESTS: [&str; 3] = ["losses_and_gradients", "a_saved_run", "an_engine_draws"];
    if on_gpu() || env::var_os(INSIDE).is_some() {
        return;
    }
    let compiler = env::var("CXX").unwrap_or_else(|_| "c++".into());
    let library = Command::new(compiler).arg("-print-file-name=libasan.so").output();
    let library = library.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let Some(library) = library.filter(|path| path.contains('/')) else {
        eprintln!("skipped: the compiler has no AddressSanitizer");
        return;
    };
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(TESTS.map(|test| format!("cuda::{test}")));
    command.env("LD_PRELOAD", library.trim()).env(INSIDE, "address");
    // Loaded kernels are kept for good on purpose.
    let output = command.env("ASAN_OPTIONS", "detect_leaks=0").output().unwrap();
    let [ran, said] = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(output.status.success() && ran.contains("3 passed"), "{said}{ran}");
}
