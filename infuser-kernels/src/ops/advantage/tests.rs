use proptest::prelude::*;

use super::*;
use crate::testing::{Tolerance, assert_close, buffer, hard_values, poison, widen};

const ALL: [Normalisation; 4] = [
    Normalisation::GroupStd,
    Normalisation::DualStd,
    Normalisation::BatchStd,
    Normalisation::Centred,
];

fn run(rewards: &[f32], groups: &[u32], by: Normalisation, singleton: Singleton) -> Vec<f32> {
    let n = rewards.len();
    let (rewards, groups) = (buffer(rewards, &[n]), Device::Cpu.upload_u32(groups.to_vec()));
    let mut out = poison(&[n]);
    normalise(rewards.view(), groups.unwrap().view(), by, singleton, out.view_mut()).unwrap();
    out.to_f32().unwrap()
}

#[test]
fn published_values_are_met() {
    let text = include_str!("../../../fixtures/advantage.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    for case in cases {
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let by = match case["mode"].as_str().unwrap() {
            "group_std" => Normalisation::GroupStd,
            "hybrid_std" => Normalisation::DualStd,
            "batch_std" => Normalisation::BatchStd,
            _ => Normalisation::Centred,
        };
        let rewards: Vec<f32> = numbers("rewards").iter().map(|&r| r as f32).collect();
        let groups: Vec<u32> = numbers("groups").iter().map(|&g| g as u32).collect();
        let got = run(&rewards, &groups, by, Singleton::Raw);
        let (name, want) = (case["name"].as_str().unwrap(), numbers("advantages"));
        // torch works in f32: its errors are relative to the largest advantage of the batch.
        let size = want.iter().fold(0.0f64, |size, a| size.max(a.abs()));
        assert_close(name, &got, &want, Tolerance { absolute: 1e-6 * size, relative: 0.0 });
    }
}

#[test]
fn large_batches_match_the_reference() {
    for (n, groups_of) in [(0, 1), (1, 1), (2, 2), (37, 5), (1001, 8)] {
        let rewards = hard_values(7, n);
        // Interleaved and with gaps between the ids.
        let count = (n / groups_of).max(1);
        let groups: Vec<u32> = (0..n).map(|i| (i % count) as u32 * 3 + 1).collect();
        for by in ALL {
            for singleton in [Singleton::Zero, Singleton::Raw] {
                let got = run(&rewards, &groups, by, singleton);
                let want = reference::normalise(&widen(&rewards), &groups, by, singleton);
                assert_close(&format!("{by:?}"), &got, &want, Tolerance::F32);
            }
        }
    }
}

#[test]
fn a_group_of_one_is_zero_or_raw() {
    let (rewards, groups) = ([5.0, 1.0, 3.0], [9, u32::MAX, u32::MAX]);
    for by in ALL {
        assert_eq!(run(&rewards, &groups, by, Singleton::Zero)[0], 0.0);
    }
    assert_eq!(run(&rewards, &groups, Normalisation::Centred, Singleton::Raw), [5.0, -1.0, 1.0]);
    // σ of the pair is √2: alone in the mean deviation, or averaged with the 1 of the single row.
    let (pair, close) = (2f64.sqrt(), Tolerance::F32);
    let zero = run(&rewards, &groups, Normalisation::DualStd, Singleton::Zero);
    assert_close("zero", &zero[2..], &[1.0 / (2.0 * pair + 1e-6)], close);
    let raw = run(&rewards, &groups, Normalisation::DualStd, Singleton::Raw);
    let shared = (pair + 1.0) / 2.0;
    let want = [5.0 / (1.0 + shared + 1e-6), 0.0, 1.0 / (pair + shared + 1e-6)];
    assert_close("raw", &[raw[0], 0.0, raw[2]], &want, close);
}

#[test]
fn equal_rewards_that_are_not_dyadic_do_not_dilute_the_mean_deviation() {
    let rewards = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0, 1.0];
    let groups = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    let got = run(&rewards, &groups, Normalisation::DualStd, Singleton::Zero);
    assert_eq!(got[..8], [0.0; 8]);
    assert_close("pair", &got[9..], &[0.5 / (2.0 * 0.5f64.sqrt() + 1e-6)], Tolerance::F32);
}

#[test]
fn extreme_rewards_saturate() {
    let top = f32::MAX;
    let got = run(&[top, top, -top], &[0; 3], Normalisation::Centred, Singleton::Zero);
    assert_eq!(got[2], -top);
    assert_eq!(run(&[1e38], &[0], Normalisation::BatchStd, Singleton::Raw), [top]);
    let got = run(&[1e38, -1e38], &[0; 2], Normalisation::GroupStd, Singleton::Zero);
    assert_close("pair", &got, &[0.5f64.sqrt(), -0.5f64.sqrt()], Tolerance::F32);
    // The smallest denormal apart: not equal, so the group varies.
    let got = run(&[0.0, f32::from_bits(1)], &[0; 2], Normalisation::DualStd, Singleton::Zero);
    assert!(got.iter().all(|a| a.abs() < 1e-38), "{got:?}");
}

#[test]
fn what_has_no_advantage_is_an_error_value() {
    let groups = Device::Cpu.upload_u32(vec![0; 3]).unwrap();
    let fail = |rewards: &[f32], groups: View<'_>| {
        let (rewards, mut out) = (buffer(rewards, &[rewards.len()]), buffer(&[7.0; 3], &[3]));
        let by = Normalisation::GroupStd;
        let result = normalise(rewards.view(), groups, by, Singleton::Zero, out.view_mut());
        assert_eq!(out.to_f32().unwrap(), [7.0; 3]);
        result.unwrap_err().to_string()
    };
    let nan = fail(&[0.0, f32::NAN, f32::INFINITY], groups.view());
    assert_eq!(nan, "advantage::normalise: the reward of row 1 is NaN, expected a number");
    assert!(fail(&[0.0, 0.0, f32::NEG_INFINITY], groups.view()).contains("row 2 is -inf"));
    let shape = fail(&[0.0; 2], groups.view());
    assert_eq!(shape, "advantage::normalise: `groups` has shape [3], expected [2]");
    let dtype = fail(&[0.0; 3], poison(&[3]).view());
    assert_eq!(dtype, "advantage::normalise: `groups` holds f32, expected u32");
}

fn modes() -> impl Strategy<Value = Normalisation> {
    prop::sample::select(ALL.to_vec())
}

fn singletons() -> impl Strategy<Value = Singleton> {
    prop::sample::select(vec![Singleton::Zero, Singleton::Raw])
}

/// Rows of eighths between -3 and 3, so that sums and shifts are exact, in up to six groups.
fn batches() -> impl Strategy<Value = Vec<(f32, u32)>> {
    prop::collection::vec(((-24i8..=24).prop_map(|e| f32::from(e) / 8.0), 0..6u32), 0..24)
}

fn split(rows: &[(f32, u32)]) -> (Vec<f32>, Vec<u32>) {
    rows.iter().copied().unzip()
}

fn close(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-6 * (1.0 + a.abs()))
}

proptest! {
    #[test]
    fn a_shift_of_a_group_changes_nothing(
        rows in batches(), shifts in prop::array::uniform6(-100i8..100), by in modes()
    ) {
        let (rewards, groups) = split(&rows);
        let shifted: Vec<f32> =
            rows.iter().map(|(r, g)| r + f32::from(shifts[*g as usize])).collect();
        let before = run(&rewards, &groups, by, Singleton::Zero);
        let after = run(&shifted, &groups, by, Singleton::Zero);
        prop_assert!(close(&before, &after), "{before:?} {after:?}");
    }

    #[test]
    fn reordering_rows_reorders_advantages(
        (rows, order) in batches().prop_flat_map(|rows| {
            let order: Vec<usize> = (0..rows.len()).collect();
            (Just(rows), Just(order).prop_shuffle())
        }),
        by in modes(),
        singleton in singletons(),
    ) {
        let (rewards, groups) = split(&rows);
        let mixed: Vec<_> = order.iter().map(|&i| rows[i]).collect();
        let (mixed_rewards, mixed_groups) = split(&mixed);
        let plain = run(&rewards, &groups, by, singleton);
        let got = run(&mixed_rewards, &mixed_groups, by, singleton);
        let want: Vec<f32> = order.iter().map(|&i| plain[i]).collect();
        prop_assert_eq!(got, want);
    }

    #[test]
    fn the_names_of_groups_do_not_matter(
        rows in batches(),
        names in Just(vec![0, 7, 8, 1 << 20, u32::MAX - 1, u32::MAX]).prop_shuffle(),
        by in modes(),
        singleton in singletons(),
    ) {
        let (rewards, groups) = split(&rows);
        let renamed: Vec<u32> = groups.iter().map(|&g| names[g as usize]).collect();
        let (a, b) = (run(&rewards, &groups, by, singleton), run(&rewards, &renamed, by, singleton));
        prop_assert!(close(&a, &b), "{a:?} {b:?}");
    }

    #[test]
    fn finite_rewards_give_finite_advantages_and_equal_ones_zero(
        rows in prop::collection::vec((any::<f32>(), 0..4u32), 1..20),
        equal in any::<f32>(),
        by in modes(),
        singleton in singletons(),
    ) {
        let finite = |x: f32| if x.is_finite() { x } else { f32::MAX };
        let mut rows: Vec<_> = rows.iter().map(|&(r, g)| (finite(r), g)).collect();
        rows.extend([(finite(equal), 4); 3]);
        let (rewards, groups) = split(&rows);
        let got = run(&rewards, &groups, by, singleton);
        prop_assert!(got.iter().all(|a| a.is_finite()), "{got:?}");
        prop_assert_eq!(&got[rows.len() - 3..], &[0.0; 3]);
    }
}
