//! The influence sink on the CUDA code path, on the emulator, against the CPU with the same weights.

use infuser_influence::{
    AdamState, Objective, Path, Preconditioner, Question, Scorer, Scores, Settings, Similarity,
    Sums, Target,
};
use infuser_kernels::{
    Device,
    testing::{BF16_GRADIENT, emulated, on_gpu, share},
};
use infuser_model::{Keep, Model, Tensors, Unwatched};

use crate::random::{mean_squares, model, questions};

/// Tied with QK-norm, plain, tied with biases; of widths that nothing divides.
const FAMILIES: [&str; 3] = ["qwen3_tied", "llama", "qwen2"];

/// How far bf16 turns a question's gradient against the target's: each moves by up to 0.05 of its length
/// ([`BF16_GRADIENT`]), but in a direction of its own, so that a cosine moves by far less. Measured: up to 0.005.
const COSINE: f64 = 0.01;

/// How far the scores of a question by storing may be from those by tiles. Both ways add the same f32 gradients
/// up, in f64. But on a GPU they are gradients of batches with other numbers of rows, for which cuBLASLt may add
/// in another order: then the ways differ as one of them differs from the CPU.
fn between_ways(similarity: Similarity, stored: &Scores, question: usize) -> f64 {
    let Sums { gradient_sq, gamma_sq, .. } = stored.questions[question].sums;
    let of_length = |squares: f64| BF16_GRADIENT * squares.sqrt() * stored.target_norm;
    match similarity {
        _ if !on_gpu() => 1e-9 * stored.by(similarity)[question].abs().max(1.0),
        Similarity::Dot => of_length(gradient_sq),
        Similarity::PreconditionedDot => of_length(gamma_sq),
        Similarity::Cosine | Similarity::PreconditionedCosine => COSINE,
    }
}

/// The same values on another device, as weights or in f32.
fn moved(model: &Model, tensors: &Tensors, device: &Device, weights: bool) -> Tensors {
    let layout = model.layout();
    let zeros = if weights { Tensors::zero_weights } else { Tensors::zeros };
    let mut moved = zeros(layout, device.clone()).unwrap();
    for (to, from) in moved.buffers_mut().iter_mut().zip(tensors.buffers()) {
        to.copy_from_f32(&from.to_f32().unwrap()).unwrap();
    }
    moved
}

fn moved_model(model: &Model, device: &Device) -> Model {
    let weights = moved(model, model.weights(), device, true);
    Model::new(model.config().clone(), weights).unwrap()
}

/// Scores in three batches: several questions each; and one, in its own, by storing.
fn scores(model: &Model, target: &Target, v: Option<&Tensors>, all: &[Question]) -> [Scores; 2] {
    let objective = Objective::over(all, 0.7);
    let (step, epsilon) = if v.is_some() { (7, 1e-8) } else { (0, 1e-5) };
    let preconditioner = Preconditioner { beta2: 0.999, epsilon, step };
    let state = AdamState { exp_avg_sq: v, preconditioner };
    let settings = Settings { batch_tokens: 90, keep: Keep::BlockInputs };
    let mut scorer = Scorer::new(model, target, state, settings, &Unwatched).unwrap();
    let tiles = scorer.score(all, &objective).unwrap();
    assert!(tiles.questions.iter().any(|score| score.path == Path::Tiles));
    [tiles, scorer.score_by_storing(all, &objective).unwrap()]
}

#[test]
fn scores_are_those_of_the_cpu() {
    for family in FAMILIES {
        let device = emulated();
        let cuda = moved_model(&model(family, 1), &device);
        let cpu = moved_model(&cuda, &Device::Cpu);
        let dev = questions(&cpu, 4, 101);
        let objective = Objective::over(&dev, 0.7);
        let settings = Settings { batch_tokens: 200, keep: Keep::Everything };
        let measure =
            |model: &Model| Target::measure(model, &dev, &objective, settings, &Unwatched).unwrap();
        let (target, want_target) = (measure(&cuda), measure(&cpu));
        let pairs = target.gradient().buffers().iter().zip(want_target.gradient().buffers());
        for (got, want) in pairs {
            let off = share(&got.to_f32().unwrap(), &want.to_f32().unwrap());
            assert!(off <= BF16_GRADIENT, "{family}: the target is off by {off:e}");
        }
        let v = mean_squares(&cpu, 1);
        let v_cuda = moved(&cuda, &v, &device, false);
        let all = questions(&cpu, 7, 201);
        for live in [false, true] {
            let [tiles, stored] = scores(&cuda, &target, live.then_some(&v_cuda), &all);
            let [want, _] = scores(&cpu, &want_target, live.then_some(&v), &all);
            for similarity in Similarity::ALL {
                let ways = tiles.by(similarity).into_iter().zip(stored.by(similarity));
                for (question, (by_tiles, by_storing)) in ways.enumerate() {
                    let (off, name) = ((by_tiles - by_storing).abs(), similarity.name());
                    let bound = between_ways(similarity, &stored, question);
                    assert!(off <= bound, "{family}, {name}: {by_tiles}, stored {by_storing}");
                }
            }
            let cosines = [Similarity::Cosine, Similarity::PreconditionedCosine];
            for similarity in cosines {
                for (got, want) in tiles.by(similarity).iter().zip(want.by(similarity)) {
                    let off = (got - want).abs();
                    assert!(off <= COSINE, "{family}, {}: {got}, want {want}", similarity.name());
                }
            }
        }
    }
}
