//! The steps of a policy update.

use infuser_kernels::Device;
use infuser_model::{Model, Unwatched, checkpoint, optim::Optimizer};
use infuser_rl::{
    config::Update,
    correction::Correction,
    policy::{Group, Report, Row, update},
    reduce::Reduction,
};

use crate::world::{base, config};

/// Prompts and responses of different lengths, of tokens that mean nothing.
fn groups() -> Vec<Group> {
    let token = |i: usize| 5 + (i * 7 % 60) as u32;
    let row = |g: usize, r: usize| {
        let tokens: Vec<u32> = (0..3 + (g + 2 * r) % 5).map(|t| token(g + r * 11 + t)).collect();
        let rollout_logp = vec![0.0; tokens.len()];
        Row { tokens, rollout_logp, advantage: [1.0, -0.5, 0.25][(g + r) % 3] }
    };
    let group = |g: usize| Group {
        prompt: (0..4 + g).map(|t| token(g * 3 + t)).collect(),
        rows: (0..2 + g % 2).map(|r| row(g, r)).collect(),
    };
    (0..5).map(group).collect()
}

fn learned(groups: &[Group], change: impl FnOnce(&mut Update)) -> Report {
    // A step of this size changes no weight in f32: every step sees the same model.
    let mut settings = Update { learning_rate: 1e-12, max_norm: None, ..config().solver.update };
    settings.weight_decay = 0.0;
    change(&mut settings);
    let mut model: Model = checkpoint::load(&base(), Device::Cpu).unwrap();
    let mut optimizer =
        Optimizer::new(model.layout(), model.device(), settings.optimizer()).unwrap();
    let plain = Correction { truncation: None, rejection: None, veto: None };
    update(&mut model, &mut optimizer, groups, 0.7, &settings, &plain, &Unwatched).unwrap()
}

/// Each mini-batch takes the step that it would take alone, with the divisor of the whole update: the
/// mean length of all responses, times the responses of the largest mini-batch. A row that was compared
/// with another row's old log-probabilities would have another ratio, and another gradient.
#[test]
fn mini_batches_step_one_after_the_other() {
    let groups = groups();
    let tokens = |groups: &[Group]| -> usize {
        groups.iter().flat_map(|group| &group.rows).map(|row| row.tokens.len()).sum()
    };
    let rows = |groups: &[Group]| -> usize { groups.iter().map(|group| group.rows.len()).sum() };
    let parts = [&groups[..1], &groups[1..3], &groups[3..]];
    let largest = parts.iter().map(|part| rows(part)).max().unwrap();
    let divisor = tokens(&groups) as f64 / rows(&groups) as f64 * largest as f64;
    // Cut anywhere, also within a prompt's rows.
    for batch_tokens in [8192, 20, 1] {
        let whole = learned(&groups, |settings| {
            settings.prompts_per_step = 2;
            settings.batch_tokens = batch_tokens;
        });
        assert_eq!((whole.steps.len(), whole.tokens), (3, tokens(&groups)));
        let mut loss = 0.0;
        for (part, step) in parts.iter().zip(&whole.steps) {
            let alone = learned(part, |settings| {
                settings.reduction = Some(Reduction::Constant(divisor));
            });
            let (want, got) = (alone.steps[0].gradient_norm, step.gradient_norm);
            assert!(want > 0.0 && (got / want - 1.0).abs() < 1e-5, "{got}, want {want}");
            loss += alone.loss / 3.0;
        }
        assert!((whole.loss - loss).abs() < 1e-9, "{}, want {loss}", whole.loss);
        assert_eq!(whole.counts.clipped, 0, "every ratio is 1");
    }
}

/// A second epoch takes the same steps once more.
#[test]
fn epochs_repeat_the_steps() {
    let report = learned(&groups(), |settings| {
        settings.prompts_per_step = 2;
        settings.epochs = 2;
    });
    let norms: Vec<f64> = report.steps.iter().map(|step| step.gradient_norm).collect();
    assert_eq!(norms.len(), 6);
    assert_eq!(norms[..3], norms[3..]);
}
