use infuser_kernels::{Device, ops::advantage as kernel};
use infuser_rl::{
    advantage::{EPSILON, Normalisation, Singleton, normalise, whiten},
    correction::Correction,
    loss::{self, Clip, Estimator, Gates, Loss, Tokens},
    reduce::{Divisor, Reduction},
};
use proptest::prelude::*;

const MODES: [Normalisation; 4] = [
    Normalisation::GroupStd,
    Normalisation::DualStd,
    Normalisation::BatchStd,
    Normalisation::Centred,
];

fn mode() -> impl Strategy<Value = Normalisation> {
    (0..4usize).prop_map(|i| MODES[i])
}

fn singleton() -> impl Strategy<Value = Singleton> {
    prop_oneof![Just(Singleton::Zero), Just(Singleton::Raw)]
}

/// Rewards in eighths, so that shifts and equal groups are exact, with the group of each.
fn batch() -> impl Strategy<Value = (Vec<f32>, Vec<u32>)> {
    prop::collection::vec((-16i32..16, 0u32..6), 0..40)
        .prop_map(|rows| rows.into_iter().map(|(r, g)| (r as f32 / 8.0, g)).unzip())
}

fn of(rewards: &[f32], groups: &[u32], mode: Normalisation, singleton: Singleton) -> Vec<f32> {
    normalise(rewards, groups, mode, singleton).unwrap()
}

#[track_caller]
fn near(a: &[f32], b: &[f32], bound: f32) {
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() <= bound * a.abs().max(b.abs()).max(1.0), "{a} {b}");
    }
}

proptest! {
    #[test]
    fn a_shift_of_all_rewards_changes_nothing(
        (rewards, groups) in batch(), mode in mode(), shift in -64i32..64,
    ) {
        let shifted: Vec<f32> = rewards.iter().map(|r| r + shift as f32).collect();
        let [a, b] = [&rewards, &shifted].map(|r| of(r, &groups, mode, Singleton::Zero));
        near(&a, &b, 1e-6);
    }

    #[test]
    fn each_group_may_shift_by_itself(
        (rewards, groups) in batch(), mode in mode(), shifts in prop::array::uniform6(-64i32..64),
    ) {
        let shifted: Vec<f32> =
            rewards.iter().zip(&groups).map(|(r, g)| r + shifts[*g as usize] as f32).collect();
        let [a, b] = [&rewards, &shifted].map(|r| of(r, &groups, mode, Singleton::Zero));
        near(&a, &b, 1e-6);
    }

    /// Scaling shows in centred advantages alone; elsewhere only ε knows the size of rewards.
    #[test]
    fn scale_shows_where_nothing_is_divided(
        (rewards, groups) in batch(), mode in mode(), power in -3i32..8,
    ) {
        let scale = 2.0f32.powi(power);
        let scaled: Vec<f32> = rewards.iter().map(|r| r * scale).collect();
        let [a, b] = [&rewards, &scaled].map(|r| of(r, &groups, mode, Singleton::Zero));
        match mode {
            Normalisation::Centred => {
                let want: Vec<f32> = a.iter().map(|a| a * scale).collect();
                near(&b, &want, 1e-6);
            }
            // The least deviation is 0.02 · 2⁻³ here: ε is a thousandth of it at most.
            _ => near(&a, &b, 1e-3),
        }
    }

    #[test]
    fn rows_may_come_in_any_order(
        (rewards, groups) in batch(), mode in mode(), singleton in singleton(), key in any::<u64>(),
    ) {
        let mut order: Vec<usize> = (0..rewards.len()).collect();
        order.sort_by_key(|i| (*i as u64 + 1).wrapping_mul(key | 1));
        let rows: (Vec<f32>, Vec<u32>) = order.iter().map(|i| (rewards[*i], groups[*i])).unzip();
        let got = of(&rows.0, &rows.1, mode, singleton);
        let want = of(&rewards, &groups, mode, singleton);
        let want: Vec<f32> = order.iter().map(|i| want[*i]).collect();
        near(&got, &want, 1e-6);
    }

    #[test]
    fn groups_may_have_any_names(
        (rewards, groups) in batch(), mode in mode(), singleton in singleton(), offset in any::<u32>(),
    ) {
        let named: Vec<u32> =
            groups.iter().map(|g| g.wrapping_mul(0x9E37_79B1).wrapping_add(offset)).collect();
        let [a, b] = [&groups, &named].map(|g| of(&rewards, g, mode, singleton));
        near(&a, &b, 1e-6);
    }

    /// Whatever their value: a deviation of rounding noise must not count.
    #[test]
    fn equal_rewards_give_exact_zeros(value in any::<f32>(), n in 1usize..20, mode in mode()) {
        prop_assume!(value.is_finite());
        let mut rewards = vec![value; n];
        let mut groups = vec![0; n];
        prop_assert_eq!(of(&rewards, &groups, mode, Singleton::Zero), vec![0.0; n]);
        // Nor do they change what others get by the mean deviation.
        let alone = of(&[0.0, 1.0], &[1, 1], Normalisation::DualStd, Singleton::Zero);
        rewards.extend([0.0, 1.0]);
        groups.extend([1, 1]);
        let both = of(&rewards, &groups, Normalisation::DualStd, Singleton::Zero);
        prop_assert_eq!(&both[n..], &alone[..]);
    }

    #[test]
    fn any_finite_reward_has_a_finite_advantage(
        rows in prop::collection::vec((any::<f32>(), 0u32..4), 0..20), mode in mode(),
        singleton in singleton(),
    ) {
        let (rewards, groups): (Vec<f32>, Vec<u32>) =
            rows.into_iter().filter(|(r, _)| r.is_finite()).unzip();
        let got = of(&rewards, &groups, mode, singleton);
        prop_assert!(got.iter().all(|a| a.is_finite()), "{got:?}");
    }

    #[test]
    fn the_kernel_agrees(
        rows in prop::collection::vec((-1e6f32..1e6, 0u32..6), 0..40), exact in batch(),
        mode in mode(), singleton in singleton(),
    ) {
        for (rewards, groups) in [rows.into_iter().unzip(), exact] {
            let want = of(&rewards, &groups, mode, singleton);
            let n = rewards.len();
            let rewards = Device::Cpu.upload_f32(rewards, &[n]).unwrap();
            let groups = Device::Cpu.upload_u32(groups).unwrap();
            let mut out = Device::Cpu.zeros_f32(&[n]).unwrap();
            kernel::normalise(rewards.view(), groups.view(), mode, singleton, out.view_mut())
                .unwrap();
            // Both sum in f64; near a tie of large rewards the difference keeps a few digits less.
            near(&out.to_f32().unwrap(), &want, 1e-5);
        }
    }

    #[test]
    fn whitened_values_have_mean_zero_and_deviation_one(
        values in prop::collection::vec(-100i32..100, 2..30),
    ) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let got = whiten(&values);
        let mean = got.iter().sum::<f64>() / got.len() as f64;
        prop_assert!(mean.abs() < 1e-9);
        let squares: f64 = got.iter().map(|x| x * x).sum::<f64>() / (got.len() - 1) as f64;
        let constant = values.iter().all(|x| *x == values[0]);
        prop_assert!((squares - if constant { 0.0 } else { 1.0 }).abs() < 1e-6, "{squares}");
    }
}

/// Packed responses with everything that losses read.
#[derive(Debug, Clone)]
struct Rollouts {
    lengths: Vec<usize>,
    columns: Vec<[f32; 5]>,
}

impl Rollouts {
    fn column(&self, i: usize) -> Vec<f32> {
        self.columns.iter().map(|row| row[i]).collect()
    }

    /// Responses `range` of them.
    fn slice(&self, range: std::ops::Range<usize>) -> Self {
        let before: usize = self.lengths[..range.start].iter().sum();
        let tokens: usize = self.lengths[range.clone()].iter().sum();
        Self {
            lengths: self.lengths[range].to_vec(),
            columns: self.columns[before..before + tokens].to_vec(),
        }
    }

    fn run(&self, kind: usize, divisor: Divisor) -> Loss {
        let [logp, old, advantages, weights, reference] = [0, 1, 2, 3, 4].map(|i| self.column(i));
        let tokens = Tokens {
            lengths: &self.lengths,
            logp: &logp,
            old_logp: &old,
            advantages: &advantages,
            weights: Some(&weights),
        };
        let clip = Clip::default();
        let of_term = |(value, dlogp)| Loss { value, dlogp, counts: Default::default() };
        let pair = [&logp[..], &reference];
        match kind {
            0 => loss::clipped(&tokens, &clip, divisor),
            1 => loss::reinforce(&tokens, divisor),
            2 => loss::gspo(&tokens, &clip, divisor),
            3 => loss::cispo(&tokens, &clip, divisor),
            4 => loss::sapo(&tokens, &Gates { positive: 1.0, negative: 1.05 }, divisor),
            5 => loss::geometric_mean(&tokens, &clip, divisor),
            6 => loss::entropy_bonus(&self.lengths, &logp, 0.01, divisor).map(of_term),
            _ => loss::kl_penalty(&self.lengths, pair, Estimator::K3, 0.1, divisor).map(of_term),
        }
        .unwrap()
    }
}

fn rollouts() -> impl Strategy<Value = Rollouts> {
    prop::collection::vec(0usize..6, 1..9).prop_flat_map(|lengths| {
        let tokens = lengths.iter().sum::<usize>();
        let row = (-3f32..-0.1, -0.8f32..0.8, -2f32..2.0, 0.0f32..2.0, -0.5f32..0.5).prop_map(
            |(logp, gap, advantage, weight, far)| [logp, logp + gap, advantage, weight, logp + far],
        );
        (Just(lengths), prop::collection::vec(row, tokens))
            .prop_map(|(lengths, columns)| Rollouts { lengths, columns })
    })
}

proptest! {
    /// The loss of a mini-batch, and its gradient, do not depend on how it is cut into micro-batches.
    #[test]
    fn losses_add_up_over_any_slices(
        rollouts in rollouts(), kind in 0usize..8, cut in 0usize..9, other in 0usize..9,
        reduction in 0usize..4,
    ) {
        let reduction = [
            Reduction::TokenMean,
            Reduction::MeanOfSums,
            Reduction::MeanOfMeans,
            Reduction::Constant(7.0),
        ][reduction];
        let divisor = reduction.divisor(&rollouts.lengths);
        let whole = rollouts.run(kind, divisor);
        let n = rollouts.lengths.len();
        let (a, b) = (cut.min(other).min(n), cut.max(other).min(n));
        let mut value = 0.0;
        let mut dlogp = Vec::new();
        let mut counts = loss::Counts::default();
        for range in [0..a, a..b, b..n] {
            let part = rollouts.slice(range).run(kind, divisor);
            value += part.value;
            dlogp.extend(part.dlogp);
            counts.add(&part.counts);
        }
        prop_assert!((value - whole.value).abs() <= 1e-12 * value.abs().max(1.0));
        prop_assert_eq!(dlogp, whole.dlogp);
        prop_assert_eq!(counts.clipped, whole.counts.clipped);
        prop_assert_eq!(counts.tokens, whole.counts.tokens);
    }

    /// Where the policy has not moved, clipping and plain policy gradient are one.
    #[test]
    fn without_a_move_clipping_is_plain(rollouts in rollouts()) {
        let mut still = rollouts;
        still.columns.iter_mut().for_each(|row| row[1] = row[0]);
        let divisor = Reduction::TokenMean.divisor(&still.lengths);
        prop_assert_eq!(still.run(0, divisor).dlogp, still.run(1, divisor).dlogp);
        prop_assert_eq!(still.run(0, divisor).counts.clipped, 0);
    }

    #[test]
    fn importance_weights_stay_within_their_bound(
        pairs in prop::collection::vec((-60f32..0.0, -60f32..0.0), 1..30),
    ) {
        let (old, rollout): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        let got = Correction::default().apply(&[old.len()], &old, &rollout).unwrap();
        let weights = got.weights.unwrap();
        prop_assert!(weights.iter().all(|w| (0.0..=2.0).contains(w)), "{weights:?}");
        prop_assert!(got.mismatch.named().iter().all(|(_, value)| value.is_finite()));
        let same = Correction::default().apply(&[old.len()], &old, &old).unwrap();
        prop_assert_eq!(same.weights.unwrap(), vec![1.0; old.len()]);
    }
}

#[test]
fn deviations_are_those_of_the_formulas() {
    let (rewards, groups) = ([0.0, 1.0, 3.0, 3.0], [0, 0, 1, 1]);
    let sigma = 0.5f64.sqrt();
    let cases = [
        (Normalisation::GroupStd, 0.5 / (sigma + EPSILON)),
        // The second group does not vary, and does not count.
        (Normalisation::DualStd, 0.5 / (2.0 * sigma + EPSILON)),
        // Of -0.5, 0.5, 0, 0 with ddof 1.
        (Normalisation::BatchStd, 0.5 / ((0.5f64 / 3.0).sqrt() + EPSILON)),
        (Normalisation::Centred, 0.5),
    ];
    for (mode, want) in cases {
        let got = of(&rewards, &groups, mode, Singleton::Zero);
        near(&got, &[-want as f32, want as f32, 0.0, 0.0], 1e-7);
    }
}

/// The table of the specification: three groups, the last of one row, as the published code has it.
#[test]
fn a_worked_table() {
    let rewards = [0.2, 0.0, -0.1, 0.3, 0.0, 0.0, 0.05, 0.0, 0.1];
    let groups = [0, 0, 0, 0, 1, 1, 1, 1, 2];
    let table: [(Normalisation, [f64; 9]); 3] = [
        (
            Normalisation::GroupStd,
            [
                0.547720, -0.547720, -1.095439, 1.095439, -0.499980, -0.499980, 1.499940,
                -0.499980, 0.1,
            ],
        ),
        (
            Normalisation::DualStd,
            [
                0.170911, -0.170911, -0.341822, 0.341822, -0.029238, -0.029238, 0.087714,
                -0.029238, 0.071300,
            ],
        ),
        (
            Normalisation::BatchStd,
            [
                0.849850, -0.849850, -1.699700, 1.699700, -0.106231, -0.106231, 0.318694,
                -0.106231, 0.849850,
            ],
        ),
    ];
    for (mode, want) in table {
        near(&of(&rewards, &groups, mode, Singleton::Raw), &want.map(|x| x as f32), 1e-6);
    }
}
