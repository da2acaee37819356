//! Scores of a model trained on the spot foretell what the optimizer's step does.

use infuser_benches::arithmetic::{questions, train};
use infuser_influence::{Objective, Plan, Question, Settings, Similarity, Step, Trial, validate};
use infuser_kernels::rng::Stream;
use infuser_model::{Keep, Unwatched};

fn loud(questions: Vec<Question>) -> Vec<Question> {
    questions.into_iter().filter(|question| !question.is_silent()).collect()
}

#[test]
fn preconditioned_scores_foretell_the_step() {
    let trained = train(250, 1).unwrap();
    assert!(trained.loss < 2.9, "it has learnt nothing yet: {}", trained.loss);
    let stream = Stream::new(5);
    let dev = loud(questions(&trained.model, 64, |_| false, stream.child(0)).unwrap());
    let asked = loud(questions(&trained.model, 96, |i| i % 2 == 1, stream.child(1)).unwrap());
    assert!(dev.len() > 20 && asked.len() > 20, "too few questions with mixed answers");
    let plan = Plan {
        learning_rates: vec![1e-3, 1e-4, 1e-5, 1e-6],
        steps: vec![Step::Preconditioned, Step::Full],
        settings: Settings { batch_tokens: 4096, keep: Keep::Everything },
    };
    let (dev_objective, objective) = (Objective::over(&dev, 1.0), Objective::over(&asked, 1.0));
    let report = validate(
        &trained.model,
        &trained.optimizer,
        (&dev, &dev_objective),
        (&asked, &objective),
        &plan,
        &Unwatched,
    )
    .unwrap();
    let trials = |step| report.trials.iter().filter(move |trial| trial.step == step);
    let of = |trial: &Trial, similarity| {
        let place = Similarity::ALL.iter().position(|known| *known == similarity).unwrap();
        trial.agreements[place]
    };
    // The step that the score is about: the smaller it is, the better it is foretold.
    let mut off = f64::INFINITY;
    for trial in trials(Step::Preconditioned) {
        let agreement = of(trial, Similarity::PreconditionedDot);
        let slope = (agreement.slope.unwrap() - 1.0).abs();
        assert!(slope < 0.5 * off, "{:e}: {agreement:?}", trial.learning_rate);
        off = slope;
    }
    let smallest = trials(Step::Preconditioned).next_back().unwrap();
    let agreement = of(smallest, Similarity::PreconditionedDot);
    assert!(off < 0.01, "{agreement:?}");
    assert!(agreement.pearson.unwrap() > 0.99 && agreement.spearman.unwrap() > 0.99);
    assert!(agreement.same_sign.unwrap() > 0.95, "{agreement:?}");
    // What leaving out the optimizer loses.
    let plain = of(smallest, Similarity::Dot);
    assert!(plain.pearson.unwrap() < agreement.pearson.unwrap() - 0.02, "{plain:?}");
    assert!(plain.spearman.unwrap() < agreement.spearman.unwrap() - 0.02, "{plain:?}");
    // The real step has momentum, decay and clipping as well.
    for trial in trials(Step::Full) {
        let agreement = of(trial, Similarity::PreconditionedDot);
        let both = [agreement.pearson.unwrap(), agreement.spearman.unwrap()];
        assert!(both.iter().all(|r| *r >= 0.95), "{:e}: {agreement:?}", trial.learning_rate);
    }
}
