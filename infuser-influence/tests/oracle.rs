use infuser_influence::{
    AdamState, Objective, Path, Preconditioner, Question, Scorer, Scores, Settings, Similarity,
    Target, gradient,
};
use infuser_kernels::testing::on_threads;
use infuser_model::{Keep, Model, Tensors, Unwatched};

use crate::random::{FAMILIES, mean_squares, model, questions};

/// Allowed distance of two ways to the same score, as a part of what the score would be if the two
/// directions were one.
const SAME: f64 = 1e-5;

const WHOLE: Settings = Settings { batch_tokens: usize::MAX, keep: Keep::Everything };

/// A model, a target of it, an optimizer's state, and questions.
struct Case {
    model: Model,
    target: Target,
    exp_avg_sq: Option<Tensors>,
    questions: Vec<Question>,
    objective: Objective,
}

impl Case {
    fn new(family: &str, seed: u64, live: bool) -> Self {
        let model = model(family, seed);
        let dev = questions(&model, 4, seed + 100);
        let target =
            Target::measure(&model, &dev, &Objective::over(&dev, 0.7), WHOLE, &Unwatched).unwrap();
        let exp_avg_sq = live.then(|| mean_squares(&model, seed));
        let questions = questions(&model, 13, seed + 200);
        let objective = Objective::over(&questions, 0.7);
        Self { model, target, exp_avg_sq, questions, objective }
    }

    fn scorer(&self, settings: Settings) -> Scorer<'_> {
        // Before the first step `Γ` is `g / (|g| + ε)`: with a small ε an element that rounding alone
        // decides jumps from -1 to 1. See `before_the_first_step_the_sign_counts`.
        let (step, epsilon) = if self.exp_avg_sq.is_some() { (7, 1e-8) } else { (0, 1e-5) };
        self.scorer_with(settings, Preconditioner { beta2: 0.999, epsilon, step })
    }

    fn scorer_with(&self, settings: Settings, preconditioner: Preconditioner) -> Scorer<'_> {
        let state = AdamState { exp_avg_sq: self.exp_avg_sq.as_ref(), preconditioner };
        Scorer::new(&self.model, &self.target, state, settings, &Unwatched).unwrap()
    }

    fn tiles(&self, settings: Settings) -> Scores {
        self.scorer(settings).score(&self.questions, &self.objective).unwrap()
    }

    /// One question after the other, each response with its own copy of the prompt, every gradient
    /// stored.
    fn stored(&self) -> Scores {
        let settings = Settings { batch_tokens: 1, keep: Keep::Everything };
        self.scorer(settings).score_by_storing(&self.questions, &self.objective).unwrap()
    }
}

#[track_caller]
fn assert_same(what: &str, got: &Scores, want: &Scores) {
    assert_eq!(got.questions.len(), want.questions.len());
    let norm = want.target_norm;
    for similarity in Similarity::ALL {
        let (gots, wants) = (got.by(similarity), want.by(similarity));
        for (q, (got, want_score)) in gots.iter().zip(&wants).enumerate() {
            let sums = &want.questions[q].sums;
            let whole = match similarity {
                Similarity::Cosine | Similarity::PreconditionedCosine => 1.0,
                Similarity::Dot => sums.gradient_sq.sqrt() * norm,
                Similarity::PreconditionedDot => sums.gamma_sq.sqrt() * norm,
            };
            let gap = (got - want_score).abs();
            let name = similarity.name();
            assert!(gap <= SAME * whole, "{what}, question {q}, {name}: {got}, want {want_score}");
        }
    }
    for (q, (got, want)) in got.questions.iter().zip(&want.questions).enumerate() {
        for (name, got, want) in [
            ("|g|²", got.sums.gradient_sq, want.sums.gradient_sq),
            ("|Γ|²", got.sums.gamma_sq, want.sums.gamma_sq),
        ] {
            assert!((got - want).abs() <= 2.0 * SAME * want, "{what}, question {q}: {name}");
        }
    }
}

/// Sink and oracle for every family, with a live optimizer and before its first step.
#[test]
fn tiles_are_stored_gradients() {
    for (i, family) in FAMILIES.iter().enumerate() {
        for seed in 0..3 {
            for live in [true, false] {
                let case = Case::new(family, 10 * i as u64 + seed, live);
                let want = case.stored();
                let what = format!("{family} {seed} {live}");
                let got = case.tiles(WHOLE);
                assert_same(&what, &got, &want);
                let paths = got.questions.iter().map(|score| score.path);
                assert_eq!(paths.filter(|path| *path == Path::Silent).count(), 2);
            }
        }
    }
}

/// With ε as small as it is in use, where the rows that go into both ways have the same bits: each
/// question in a batch of its own.
#[test]
fn before_the_first_step_the_sign_counts() {
    let preconditioner = Preconditioner { beta2: 0.999, epsilon: 1e-8, step: 0 };
    for family in FAMILIES {
        let case = Case::new(family, 3, false);
        let mut scorer = case.scorer_with(WHOLE, preconditioner);
        for question in &case.questions {
            let one = std::slice::from_ref(question);
            let want = scorer.score_by_storing(one, &case.objective).unwrap();
            let got = scorer.score(one, &case.objective).unwrap();
            assert_same(family, &got, &want);
        }
    }
}

#[test]
fn batch_size_and_recomputation_do_not_show() {
    for family in ["qwen3_tied", "olmo3", "llama_tied_bias"] {
        let case = Case::new(family, 77, true);
        let want = case.stored();
        for keep in [Keep::Everything, Keep::BlockInputs] {
            for batch_tokens in [1, 7, 20, 50, 130, usize::MAX] {
                let got = case.tiles(Settings { batch_tokens, keep });
                assert_same(&format!("{family} {batch_tokens} {keep:?}"), &got, &want);
            }
        }
        let keeps = [Keep::Everything, Keep::BlockInputs];
        let [all, inputs] = keeps.map(|keep| case.tiles(Settings { batch_tokens: 50, keep }));
        assert_eq!(all.questions, inputs.questions, "recomputation has the same bits");
    }
}

#[test]
fn a_question_too_long_for_a_batch_says_so() {
    let case = Case::new("qwen2", 5, true);
    let long =
        case.questions.iter().filter(|question| question.rows() > 20 && !question.is_silent());
    let long = long.count();
    let got = case.tiles(Settings { batch_tokens: 20, keep: Keep::BlockInputs });
    let stored =
        got.questions.iter().filter(|score| matches!(score.path, Path::Stored { batches: 2.. }));
    let stored = stored.count();
    assert!(stored > 0 && stored <= long, "{stored} of {long}");
    assert_same("long", &got, &case.stored());
}

#[test]
fn order_does_not_show() {
    let mut case = Case::new("qwen3_swa", 6, true);
    let want = case.tiles(WHOLE);
    let order: Vec<usize> = (0..13).map(|i| (i * 5 + 3) % 13).collect();
    let all = case.questions.clone();
    case.questions = order.iter().map(|q| all[*q].clone()).collect();
    let mut got = case.tiles(Settings { batch_tokens: 60, ..WHOLE });
    let shuffled = got.questions.clone();
    order.iter().zip(shuffled).for_each(|(q, score)| got.questions[*q] = score);
    assert_same("order", &got, &want);
}

#[test]
fn the_number_of_threads_does_not_show() {
    for family in ["qwen3_tied", "olmo2"] {
        let case = Case::new(family, 8, true);
        let one = on_threads(1, || case.tiles(WHOLE));
        assert_eq!(on_threads(2, || case.tiles(WHOLE)), one);
        assert_eq!(on_threads(5, || case.tiles(WHOLE)), one);
    }
}

/// A vocabulary that goes through the head in several parts, and a weight of several tiles.
#[test]
fn large_vocabularies_go_part_by_part() {
    use infuser_kernels::ops::head::SCRATCH_BYTES;

    let model = crate::random::wide_model();
    let dev = questions(&model, 2, 1);
    let objective = Objective::over(&dev, 1.0);
    let target = Target::measure(&model, &dev, &objective, WHOLE, &Unwatched).unwrap();
    let mut questions = questions(&model, 3, 2);
    for question in &mut questions {
        for response in &mut question.responses {
            response.tokens = response.tokens.repeat(9);
            response.weights = infuser_influence::Weights::One;
        }
    }
    let outputs: usize = questions.iter().flat_map(|q| &q.responses).map(|r| r.tokens.len()).sum();
    let vocab = model.config().vocab;
    assert!(outputs * vocab * 4 > SCRATCH_BYTES, "{outputs} outputs fit in one part");
    let exp_avg_sq = Some(mean_squares(&model, 4));
    let case =
        Case { objective: Objective::over(&questions, 1.0), model, target, exp_avg_sq, questions };
    assert_same("wide", &case.tiles(WHOLE), &case.stored());
}

/// The passes that score also add up the gradient of all questions, whichever way each one takes, and
/// no score changes for it.
#[test]
fn the_shared_gradient_is_that_of_all_questions() {
    for family in FAMILIES {
        let mut case = Case::new(family, 5, true);
        let responses = case.questions.iter().map(|question| question.responses.len()).max();
        case.questions.retain(|question| question.responses.len() == responses.unwrap());
        for batch_tokens in [30, 130, usize::MAX] {
            let settings = Settings { batch_tokens, keep: Keep::Everything };
            let (scores, shared) =
                case.scorer(settings).score_and_share(&case.questions, &case.objective).unwrap();
            assert_eq!(scores, case.tiles(settings), "{family} {batch_tokens}");
            let rows = shared.divisor / case.objective.mean_tokens;
            assert_eq!(rows as usize, responses.unwrap());
            let (all, objective) = (&case.questions, &case.objective);
            let want = gradient(&case.model, all, objective, rows, WHOLE, &Unwatched).unwrap();
            let (mut apart, mut whole) = (0.0, 0.0);
            for (got, want) in shared.gradient.buffers().iter().zip(want.buffers()) {
                for (got, want) in got.to_f32().unwrap().iter().zip(want.to_f32().unwrap()) {
                    apart += f64::from(got - want).powi(2);
                    whole += f64::from(want).powi(2);
                }
            }
            assert!(
                whole > 0.0 && apart.sqrt() <= SAME * whole.sqrt(),
                "{family}: {apart} {whole}"
            );
            for (question, seen) in case.questions.iter().zip(&shared.logp) {
                let counting = question.responses.iter().filter(|r| r.advantage != 0.0);
                let lengths: Vec<usize> =
                    counting.map(|r| r.tokens.len()).filter(|length| *length > 0).collect();
                assert_eq!(seen.len(), lengths.len(), "{family}");
            }
        }
    }
}
