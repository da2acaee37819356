//! A prompt that its responses share gives what separate full sequences give.

use infuser_kernels::Device;
use infuser_model::{
    Accumulate, Batch, BatchBuilder, Keep, Model, OutputGradient, Tensors, checkpoint,
};

use crate::fixtures::{Golden, distance, fixture};

const TEMPERATURE: f32 = 0.7;

/// Prompts, and responses with the prompt each belongs to.
struct Rollouts {
    prompts: Vec<Vec<u32>>,
    responses: Vec<(usize, Vec<u32>)>,
}

/// Log-probabilities and entropies by response, and the gradients.
struct Outcome {
    logp: Vec<Vec<f32>>,
    entropy: Vec<Vec<f32>>,
    gradients: Tensors,
}

impl Rollouts {
    fn read(golden: &Golden) -> Self {
        let prompt = |i| golden.integers(&format!("prompt{i}")).to_vec();
        let owners = golden.integers("owner").iter().enumerate();
        let responses = owners
            .map(|(j, &owner)| (owner as usize, golden.integers(&format!("response{j}")).to_vec()));
        Self { prompts: vec![prompt(0), prompt(1)], responses: responses.collect() }
    }

    /// One batch in which responses share their prompt's rows.
    fn shared(&self) -> (Batch, Vec<usize>) {
        let mut builder = BatchBuilder::default();
        let mut sequence = vec![0; self.responses.len()];
        for (owner, prompt) in self.prompts.iter().enumerate() {
            let id = builder.prompt(prompt);
            for (j, (_, response)) in
                self.responses.iter().enumerate().filter(|(_, (o, _))| *o == owner)
            {
                sequence[j] = builder.response(&id, response);
            }
        }
        (builder.build(Device::Cpu).unwrap(), sequence)
    }

    /// One batch in which every response has its own copy of the prompt.
    fn separate(&self) -> (Batch, Vec<usize>) {
        let mut builder = BatchBuilder::default();
        let add = |(owner, response): &(usize, Vec<u32>)| {
            let id = builder.prompt(&self.prompts[*owner]);
            builder.response(&id, response)
        };
        let sequence = self.responses.iter().map(add).collect();
        (builder.build(Device::Cpu).unwrap(), sequence)
    }
}

fn run(model: &Model, (batch, sequence): &(Batch, Vec<usize>), weights: &[&[f32]]) -> Outcome {
    let mut workspace = model.workspace(Keep::Everything).unwrap();
    model.forward(batch, TEMPERATURE, &mut workspace).unwrap();
    let pick = |values: Vec<f32>| -> Vec<Vec<f32>> {
        sequence.iter().map(|&s| values[batch.sequence(s)].to_vec()).collect()
    };
    let logp = pick(workspace.logp().unwrap());
    let entropy = pick(workspace.entropy().unwrap());
    let mut dlogp = vec![0.0; batch.outputs()];
    for (&s, weights) in sequence.iter().zip(weights) {
        let to = dlogp[batch.sequence(s)].iter_mut();
        to.zip(*weights).for_each(|(d, w)| *d = -w);
    }
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    let gradient = OutputGradient { logp: &dlogp, entropy: None };
    let sink = &mut Accumulate::new(&mut gradients);
    model.backward(batch, gradient, &mut workspace, sink).unwrap();
    Outcome { logp, entropy, gradients }
}

#[test]
fn shared_prompts_match_pytorch_and_separate_sequences() {
    for name in ["qwen3_tied", "olmo3"] {
        let folder = fixture("models").join(name);
        let golden = Golden::read(&folder.join("shared_prefix.safetensors"));
        let model = checkpoint::load(&folder, Device::Cpu).unwrap();
        let rollouts = Rollouts::read(&golden);
        let responses = rollouts.responses.len();
        let keys: Vec<String> = (0..responses).map(|j| format!("coef.{j}")).collect();
        let weights: Vec<&[f32]> = keys.iter().map(|key| golden.floats(key)).collect();
        for (form, batch) in [("shared", rollouts.shared()), ("separate", rollouts.separate())] {
            let got = run(&model, &batch, &weights);
            let mut loss = 0.0;
            for (j, weights) in weights.iter().enumerate() {
                let logp = golden.floats(&format!("logp.{j}"));
                let off = distance(&got.logp[j], logp);
                assert!(off < 1e-4, "{name}, {form}: response {j}: logp is off by {off:e}");
                let off = distance(&got.entropy[j], golden.floats(&format!("entropy.{j}")));
                assert!(off < 1e-4, "{name}, {form}: response {j}: entropy is off by {off:e}");
                let terms = got.logp[j].iter().zip(*weights).map(|(p, w)| f64::from(p * w));
                loss -= terms.sum::<f64>();
            }
            let off = (loss - f64::from(golden.floats("loss")[0])).abs();
            assert!(off < 1e-4, "{name}, {form}: loss is off by {off:e}");
            for (id, param) in model.layout().iter() {
                let want = golden.floats(&format!("grad.{}", param.name));
                let values = got.gradients[id].to_f32().unwrap();
                let size = want.iter().fold(1.0f32, |size, x| size.max(x.abs()));
                let off = distance(&values, want);
                assert!(off < 1e-5 * size, "{name}, {form}: {} is off by {off:e}", param.name);
            }
        }
    }
}

#[test]
fn entropy_gradients_match_differences() {
    let model = checkpoint::load(&fixture("models/qwen3_tied"), Device::Cpu).unwrap();
    let tokens = vec![vec![3u32, 14, 15, 9, 2, 6]];
    let batch = Batch::sequences(Device::Cpu, &tokens).unwrap();
    let loss = |model: &Model| -> f64 {
        let mut workspace = model.workspace(Keep::Nothing).unwrap();
        model.forward(&batch, 1.3, &mut workspace).unwrap();
        workspace.entropy().unwrap().iter().map(|x| f64::from(*x)).sum()
    };
    let mut workspace = model.workspace(Keep::BlockInputs).unwrap();
    model.forward(&batch, 1.3, &mut workspace).unwrap();
    let mut gradients = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    let (zeros, ones) = (vec![0.0; batch.outputs()], vec![1.0; batch.outputs()]);
    let gradient = OutputGradient { logp: &zeros, entropy: Some(&ones) };
    let sink = &mut Accumulate::new(&mut gradients);
    model.backward(&batch, gradient, &mut workspace, sink).unwrap();
    // Along the gradient itself the derivative is its squared length.
    let mut squared = 0.0f64;
    let step = 1e-3f32;
    let [mut above, mut below] = [model.copy().unwrap(), model.copy().unwrap()];
    for (id, _) in model.layout().iter() {
        let gradient = gradients[id].to_f32().unwrap();
        squared += gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
        for (side, sign) in [(&mut above, step), (&mut below, -step)] {
            let moved: Vec<f32> = model.weights()[id]
                .to_f32()
                .unwrap()
                .iter()
                .zip(&gradient)
                .map(|(w, g)| w + sign * g)
                .collect();
            side.weights_mut()[id].copy_from_f32(&moved).unwrap();
        }
    }
    let difference = (loss(&above) - loss(&below)) / (2.0 * f64::from(step));
    assert!((difference / squared - 1.0).abs() < 1e-2, "{difference} {squared}");
}
