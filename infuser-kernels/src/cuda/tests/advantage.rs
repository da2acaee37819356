//! `advantage.cu` against [`crate::ops::advantage`] and the published values.

use super::*;
use crate::{
    Device, Error,
    cuda::{
        Kernel,
        advantage::{self as cuda, Groups},
    },
    ops::advantage::{self as cpu, Normalisation, Singleton},
    testing::{Tolerance, assert_close, buffer, poison},
};

const ALL: [Normalisation; 4] = [
    Normalisation::GroupStd,
    Normalisation::DualStd,
    Normalisation::BatchStd,
    Normalisation::Centred,
];

fn run(
    driver: &Driver,
    rewards: &[f32],
    groups: &[u32],
    by: Normalisation,
    singleton: Singleton,
) -> Vec<f32> {
    let groups = Groups::upload(driver, groups).unwrap();
    let mut out = Memory::<f32>::unset(driver, rewards.len()).unwrap();
    let rewards = up(driver, rewards);
    cuda::normalise(driver, rewards.slice(), &groups, by, singleton, out.slice_mut()).unwrap();
    out.download().unwrap()
}

fn run_cpu(rewards: &[f32], groups: &[u32], by: Normalisation, singleton: Singleton) -> Vec<f32> {
    let n = rewards.len();
    let (rewards, groups) = (buffer(rewards, &[n]), Device::Cpu.upload_u32(groups.to_vec()));
    let mut out = poison(&[n]);
    cpu::normalise(rewards.view(), groups.unwrap().view(), by, singleton, out.view_mut()).unwrap();
    out.to_f32().unwrap()
}

/// Rewards and groups: none, one row, a pair, ragged groups whose ids leave gaps and whose rows lie
/// apart, one group larger than a warp, more groups than the last block has threads, equal rewards
/// beside a group that varies, and both ends of the range.
fn cases() -> Vec<(Vec<f32>, Vec<u32>)> {
    let mut cases: Vec<(Vec<f32>, Vec<u32>)> =
        [(0, 1), (1, 1), (2, 1), (37, 7), (1001, 300), (777, 5)]
            .into_iter()
            .map(|(n, count)| {
                (hard_values(7, n), (0..n).map(|i| (i % count) as u32 * 3 + 1).collect())
            })
            .collect();
    let mut equal = vec![0.1f32; 70];
    (equal[68], equal[69]) = (0.0, 1.0);
    cases.push((equal, (0..70).map(|i| u32::from(i >= 68)).collect()));
    // One row that differs, last of its group and past the first turn of a warp.
    let mut late = vec![0.3f32; 65];
    late[64] = 0.300_000_04;
    cases.push((late, vec![0; 65]));
    let top = f32::MAX;
    cases.push((vec![top, top, -top, 1e38, 0.0, f32::from_bits(1)], vec![0, 0, 0, 9, 4, 4]));
    cases.push((vec![1e8, 1e8 + 8.0, 1e8 - 8.0, 1e-8], vec![2, 2, 2, u32::MAX]));
    cases
}

pub(super) fn check(driver: &Driver) {
    for (rewards, groups) in cases() {
        for by in ALL {
            for singleton in [Singleton::Zero, Singleton::Raw] {
                let got = run(driver, &rewards, &groups, by, singleton);
                let want = run_cpu(&rewards, &groups, by, singleton);
                tolerance::check(Kernel::AdvantageApply, "out", &got, &want);
            }
        }
    }
    check_nan(driver);
}

/// A reward that is no number spoils its own group, whatever the group's size, and no other.
fn check_nan(driver: &Driver) {
    let (mut rewards, groups) = (hard_values(3, 50), (0..50).map(|i| i % 5).collect::<Vec<u32>>());
    rewards[7] = f32::NAN;
    rewards.push(f32::NAN);
    let groups = [groups, vec![9]].concat();
    for by in [Normalisation::GroupStd, Normalisation::Centred] {
        for singleton in [Singleton::Zero, Singleton::Raw] {
            let got = run(driver, &rewards, &groups, by, singleton);
            let spoilt = got.iter().map(|advantage| advantage.is_nan());
            let want = groups.iter().map(|group| [2, 9].contains(group));
            assert!(spoilt.eq(want), "{by:?}, {singleton:?}: {got:?}");
        }
    }
}

#[test]
fn advantages_equal_the_cpu_op() {
    ORDERS.into_iter().for_each(|order| check(&driver(order)));
}

#[test]
fn published_values_are_met() {
    let text = include_str!("../../../fixtures/advantage.json");
    let fixture: serde_json::Value = serde_json::from_str(text).unwrap();
    let cases = fixture["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 12);
    let driver = driver(Order::Forward);
    for case in cases {
        let numbers = |key: &str| -> Vec<f64> {
            case[key].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
        };
        let by = serde_json::from_value(match case["mode"].as_str().unwrap() {
            "hybrid_std" => "dual_std".into(),
            "none" => "centred".into(),
            mode => mode.into(),
        });
        let rewards: Vec<f32> = numbers("rewards").iter().map(|&r| r as f32).collect();
        let groups: Vec<u32> = numbers("groups").iter().map(|&g| g as u32).collect();
        let got = run(&driver, &rewards, &groups, by.unwrap(), Singleton::Raw);
        let (name, want) = (case["name"].as_str().unwrap(), numbers("advantages"));
        // torch works in f32: its errors are relative to the largest advantage of the batch.
        let size = want.iter().fold(0.0f64, |size, a| size.max(a.abs()));
        assert_close(name, &got, &want, Tolerance { absolute: 1e-6 * size, relative: 0.0 });
    }
}

#[test]
fn equal_rewards_give_exactly_zero_and_do_not_dilute_the_mean_deviation() {
    let driver = driver(Order::Reverse);
    let mut rewards = vec![0.1f32; 70];
    (rewards[68], rewards[69]) = (0.0, 1.0);
    let groups: Vec<u32> = (0..70).map(|i| u32::from(i >= 68)).collect();
    let got = run(&driver, &rewards, &groups, Normalisation::DualStd, Singleton::Zero);
    assert_eq!(got[..68], [0.0; 68]);
    let want = [0.5 / (2.0 * 0.5f64.sqrt() + 1e-6)];
    assert_close("pair", &got[69..], &want, Tolerance::F32);
}

#[test]
fn a_result_does_not_depend_on_the_order_of_threads() {
    let (rewards, groups) = cases().swap_remove(4);
    for by in ALL {
        let all = ORDERS.map(|order| run(&driver(order), &rewards, &groups, by, Singleton::Zero));
        assert!(all.iter().all(|one| one == &all[0]));
    }
}

#[test]
fn a_wrong_length_names_the_tensor() {
    let driver = driver(Order::Forward);
    let groups = Groups::upload(&driver, &[0, 0, 1]).unwrap();
    let (rewards, mut out) = (up(&driver, &[1.0f32; 3]), up(&driver, &[7.0f32; 2]));
    let (by, singleton) = (Normalisation::GroupStd, Singleton::Zero);
    let out = out.slice_mut();
    let error = cuda::normalise(&driver, rewards.slice(), &groups, by, singleton, out).unwrap_err();
    assert!(matches!(error, Error::Shape { tensor: "out", .. }), "{error}");
}
