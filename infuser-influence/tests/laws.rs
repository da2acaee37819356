use infuser_influence::{
    AdamState, Objective, Path, Preconditioner, Question, Response, Scorer, Scores, Settings,
    Similarity, Target, Weights,
};
use infuser_model::{Keep, Model, Unwatched};

use crate::random::{mean_squares, model, questions};

const SETTINGS: Settings = Settings { batch_tokens: 512, keep: Keep::Everything };

/// Responses whose weights do not move with the model.
fn dev(model: &Model) -> Vec<Question> {
    let mut dev = questions(model, 3, 1);
    let responses = dev.iter_mut().flat_map(|question| &mut question.responses);
    responses.for_each(|response| response.weights = Weights::One);
    dev
}

fn scores(model: &Model, target: &Target, questions: &[Question], epsilon: f64) -> Scores {
    let exp_avg_sq = mean_squares(model, 2);
    let preconditioner = Preconditioner { beta2: 0.999, epsilon, step: 5 };
    let state = AdamState { exp_avg_sq: Some(&exp_avg_sq), preconditioner };
    let mut scorer = Scorer::new(model, target, state, SETTINGS, &Unwatched).unwrap();
    scorer.score(questions, &Objective { temperature: 1.0, mean_tokens: 5.0 }).unwrap()
}

fn target(model: &Model, dev: &[Question]) -> Target {
    Target::measure(model, dev, &Objective::over(dev, 1.0), SETTINGS, &Unwatched).unwrap()
}

fn scaled(question: &Question, factor: f32) -> Question {
    let mut question = question.clone();
    question.responses.iter_mut().for_each(|response| response.advantage *= factor);
    question
}

#[test]
fn the_target_itself_scores_one_and_its_opposite_minus_one() {
    let model = model("qwen3_tied", 1);
    let dev = dev(&model)[..1].to_vec();
    let target = target(&model, &dev);
    let got = scores(&model, &target, &[scaled(&dev[0], 3.0), scaled(&dev[0], -0.5)], 1e-8);
    let cosines = got.by(Similarity::Cosine);
    assert!((cosines[0] - 1.0).abs() < 1e-6 && (cosines[1] + 1.0).abs() < 1e-6, "{cosines:?}");
    let preconditioned = got.by(Similarity::PreconditionedCosine);
    assert!(preconditioned[0] > 0.0 && preconditioned[1] < 0.0, "{preconditioned:?}");
}

#[test]
fn scale_shows_in_dots_alone() {
    let model = model("olmo2", 2);
    let target = target(&model, &dev(&model));
    let question = &questions(&model, 1, 9)[0];
    let got = scores(&model, &target, &[question.clone(), scaled(question, 8.0)], 1e-8);
    let [dots, cosines] = [Similarity::Dot, Similarity::Cosine].map(|s| got.by(s));
    assert!((dots[1] / dots[0] - 8.0).abs() < 1e-5, "{dots:?}");
    assert!((cosines[1] - cosines[0]).abs() < 1e-6, "{cosines:?}");
    // The mean square of the optimizer does not scale with the question.
    let gammas = got.by(Similarity::PreconditionedDot);
    assert!((gammas[1] / gammas[0] - 8.0).abs() > 1e-3, "{gammas:?}");
}

#[test]
fn a_huge_epsilon_makes_the_preconditioner_a_constant() {
    let model = model("llama", 3);
    let target = target(&model, &dev(&model));
    let got = scores(&model, &target, &questions(&model, 5, 9), 1e9);
    for (plain, preconditioned) in
        got.by(Similarity::Cosine).iter().zip(got.by(Similarity::PreconditionedCosine))
    {
        assert!((plain - preconditioned).abs() < 1e-9, "{plain} {preconditioned}");
    }
}

#[test]
fn a_question_without_gradient_scores_exactly_zero() {
    let model = model("qwen2", 4);
    let target = target(&model, &dev(&model));
    let silent = Question {
        prompt: vec![1, 2],
        responses: vec![Response { advantage: 0.0, ..Response::supervised(vec![3, 4]) }; 3],
    };
    // Nothing predicts a first token.
    let unpredicted =
        Question { prompt: vec![], responses: vec![Response::supervised(vec![3]); 2] };
    let questions = [silent, unpredicted, Question::default()];
    let got = scores(&model, &target, &questions, 1e-8);
    for similarity in Similarity::ALL {
        assert_eq!(got.by(similarity), [0.0; 3]);
    }
    let paths: Vec<Path> = got.questions.iter().map(|score| score.path).collect();
    assert_eq!(paths, [Path::Silent, Path::Tiles, Path::Silent]);
}

#[test]
fn momentum_is_an_average_of_gradients() {
    let model = model("qwen3", 5);
    let all = dev(&model);
    let [first, second] = [0, 1].map(|i| target(&model, &all[i..=i]));
    let mut blended = first.copy().unwrap();
    blended.blend(second.copy().unwrap(), 0.75).unwrap();
    for (id, _) in model.layout().iter() {
        let [a, b, got] =
            [&first, &second, &blended].map(|target| target.gradient()[id].to_f32().unwrap());
        for ((a, b), got) in a.iter().zip(b).zip(got) {
            let (a, b) = (0.75 * f64::from(*a), 0.25 * f64::from(b));
            // Three roundings of f32.
            assert!((f64::from(got) - a - b).abs() <= 2e-7 * (a.abs() + b.abs()) + 1e-44);
        }
    }
    assert_eq!(blended.origin().gradients, 2);
    assert_ne!(blended.origin().data, first.origin().data);
    assert_eq!(blended.origin().weights, second.origin().weights);
}
