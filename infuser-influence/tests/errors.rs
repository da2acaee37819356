use infuser_influence::{
    AdamState, Error, Fingerprint, Objective, Origin, Question, Response, Scorer, Settings, Target,
    Weights,
};
use infuser_kernels::Device;
use infuser_model::{Keep, Model, Tensors, Unwatched, optim::OptimizerSettings};

use crate::random::{model, questions};

const SETTINGS: Settings = Settings { batch_tokens: 64, keep: Keep::BlockInputs };

fn measure(model: &Model, questions: &[Question], settings: Settings) -> Result<Target, Error> {
    Target::measure(model, questions, &Objective::over(questions, 1.0), settings, &Unwatched)
}

fn empty() -> AdamState<'static> {
    AdamState::empty(&OptimizerSettings::default().adamw)
}

#[test]
fn bad_questions_are_named() {
    let model = model("qwen3", 1);
    let good = questions(&model, 1, 2).remove(0);
    let with = |response: Response| Question { prompt: vec![1], responses: vec![response] };
    let supervised = Response::supervised(vec![3, 4]);
    let weighted = |weights| Response { weights, ..supervised.clone() };
    let truncated = Weights::Truncated { rollout_logp: vec![f32::NAN, -1.0], at_most: 2.0 };
    let cases = [
        (with(Response::supervised(vec![999])), "token 999 is outside"),
        (Question { prompt: vec![999], ..with(supervised.clone()) }, "token 999 is outside"),
        (with(Response::supervised(vec![1; 128])), "129 tokens with its prompt"),
        (with(weighted(Weights::Fixed(vec![1.0]))), "1 weights for 2 tokens"),
        (with(weighted(truncated)), "a token weight of NaN"),
        (with(Response { advantage: f32::INFINITY, ..supervised.clone() }), "an advantage of inf"),
    ];
    let target = measure(&model, std::slice::from_ref(&good), SETTINGS).unwrap();
    let mut scorer = Scorer::new(&model, &target, empty(), SETTINGS, &Unwatched).unwrap();
    let objective = Objective { temperature: 1.0, mean_tokens: 3.0 };
    for (question, problem) in cases {
        let questions = [good.clone(), question];
        for error in [
            scorer.score(&questions, &objective).unwrap_err(),
            measure(&model, &questions, SETTINGS).unwrap_err(),
        ] {
            let text = error.to_string();
            assert!(text.starts_with("question 1: ") && text.contains(problem), "{text}");
            assert!(error.is_bad_input());
        }
    }
}

#[test]
fn a_target_without_direction_is_refused() {
    let model = model("qwen3", 1);
    let message =
        |questions: &[Question]| measure(&model, questions, SETTINGS).unwrap_err().to_string();
    assert!(message(&[]).contains("there is no direction"));
    let silent = Response { advantage: 0.0, ..Response::supervised(vec![3, 4]) };
    let silent = Question { prompt: vec![1], responses: vec![silent; 4] };
    assert!(message(&[silent]).contains("no question has a response with an advantage"));
    // Two that cancel.
    let responses =
        [1.0, -1.0].map(|advantage| Response { advantage, ..Response::supervised(vec![3]) });
    let cancelled = Question { prompt: vec![1], responses: responses.to_vec() };
    let text = message(&[cancelled]);
    assert!(text.contains("the gradient is zero"), "{text}");

    let origin = Origin {
        weights: Fingerprint::of_questions(&[]),
        data: Fingerprint::of_questions(&[]),
        gradients: 1,
    };
    let mut broken = Tensors::zeros(model.layout(), Device::Cpu).unwrap();
    let values = broken.buffers()[1].dims().len();
    broken.buffers_mut()[1].copy_from_f32(&vec![f32::NAN; values]).unwrap();
    let text = Target::new(broken, origin).unwrap_err().to_string();
    assert!(text.contains("squared norm is NaN"), "{text}");
}

#[test]
fn a_target_of_another_time_is_refused() {
    let mut model = model("qwen3", 1);
    let target = measure(&model, &questions(&model, 2, 2), SETTINGS).unwrap();
    assert!(Scorer::new(&model, &target, empty(), SETTINGS, &Unwatched).is_ok());
    let values = model.weights().buffers()[1].dims().len();
    model.weights_mut().buffers_mut()[1].copy_from_f32(&vec![1.5; values]).unwrap();
    let text =
        Scorer::new(&model, &target, empty(), SETTINGS, &Unwatched).err().unwrap().to_string();
    assert!(text.contains("other weights than the model has now"), "{text}");
}

#[test]
fn bad_settings_are_named() {
    let model = model("qwen3", 1);
    let questions = questions(&model, 2, 2);
    let message = |settings, objective: Objective| {
        Target::measure(&model, &questions, &objective, settings, &Unwatched)
            .unwrap_err()
            .to_string()
    };
    let good = Objective { temperature: 1.0, mean_tokens: 3.0 };
    assert!(message(Settings { batch_tokens: 0, ..SETTINGS }, good).contains("batch_tokens"));
    let nothing = Settings { keep: Keep::Nothing, ..SETTINGS };
    assert!(message(nothing, good).contains("keeps activations"));
    let cold = Objective { temperature: 0.0, ..good };
    assert!(message(SETTINGS, cold).contains("temperature 0"));
    let endless = Objective { mean_tokens: f64::NAN, ..good };
    assert!(message(SETTINGS, endless).contains("mean_tokens NaN"));
    let mut target = measure(&model, &questions, SETTINGS).unwrap();
    let newer = target.copy().unwrap();
    assert!(target.blend(newer, 1.0).unwrap_err().to_string().contains("momentum beta 1"));
}

#[test]
fn a_gradient_that_is_not_finite_names_its_question() {
    let model = model("qwen3", 1);
    let all = questions(&model, 2, 2);
    let target = measure(&model, &all, SETTINGS).unwrap();
    let mut scorer = Scorer::new(&model, &target, empty(), SETTINGS, &Unwatched).unwrap();
    let huge = Response { advantage: 3e38, ..Response::supervised(vec![3, 4, 5]) };
    let questions = [all[0].clone(), Question { prompt: vec![1], responses: vec![huge; 1] }];
    let objective = Objective { temperature: 0.01, mean_tokens: 1e-3 };
    let error = scorer.score(&questions, &objective).unwrap_err();
    assert!(matches!(error, Error::Question { index: 1, .. }), "{error}");
}
