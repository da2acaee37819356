//! A dev set that moves with the solver: questions that nobody or everybody answers make room.

use std::collections::{BTreeMap, BTreeSet};

use infuser_data::order;
use serde::{Deserialize, Serialize};

use super::Trainer;
use crate::config::Curriculum;

/// The questions in use, and what is known of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Indices into the pool of dev questions.
    pub current: Vec<usize>,
    /// Indices that went, for good.
    pub used: BTreeSet<usize>,
    /// Accuracy in each iteration since a question came in.
    pub history: BTreeMap<usize, Vec<f64>>,
    /// Iterations since the last change.
    pub since: u64,
}

impl State {
    /// The first questions of a pool of `len`.
    pub fn new(settings: &Curriculum, len: usize, seed: u64) -> Self {
        let mut current = order::permutation(&[b"curriculum", &seed.to_le_bytes(), b"first"], len);
        current.truncate(settings.questions);
        Self { current, used: BTreeSet::new(), history: BTreeMap::new(), since: 0 }
    }

    /// Notes the accuracy of questions in use.
    pub fn note(&mut self, question: usize, accuracy: f64) {
        self.history.entry(question).or_default().push(accuracy);
    }

    /// An iteration begins; after `every` of them the hardest and easiest questions go, and others of the
    /// pool come in.
    pub fn advance(&mut self, settings: &Curriculum, len: usize, seed: u64, iteration: u64) {
        if iteration == 0 || self.since < settings.every {
            self.since += 1;
            return;
        }
        self.since = 1;
        let mean = |question: &usize| {
            let history = self.history.get(question).filter(|history| !history.is_empty());
            history.map_or(0.5, |history| history.iter().sum::<f64>() / history.len() as f64)
        };
        let mut ranked: Vec<(f64, usize)> =
            self.current.iter().map(|question| (mean(question), *question)).collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let share = |part: f64| (part * ranked.len() as f64).floor() as usize;
        let (hard, easy) = (share(settings.hardest), share(settings.easiest));
        let stays = hard..ranked.len() - easy.min(ranked.len() - hard);
        for (place, (_, question)) in ranked.iter().enumerate() {
            if !stays.contains(&place) {
                self.used.insert(*question);
                self.history.remove(question);
            }
        }
        self.current = ranked[stays].iter().map(|(_, question)| *question).collect();
        let key: [&[u8]; 3] = [b"curriculum", &seed.to_le_bytes(), &iteration.to_le_bytes()];
        let free = order::permutation(&key, len)
            .into_iter()
            .filter(|question| !self.used.contains(question) && !self.current.contains(question));
        let wanted = settings.questions.saturating_sub(self.current.len());
        let new: Vec<usize> = free.take(wanted).collect();
        self.current.extend(new);
    }
}

impl Trainer {
    pub(super) fn refresh_curriculum(&mut self) {
        let (seed, len, iteration) = (self.config.run.seed, self.inputs.dev.len(), self.iteration);
        if let (Some(state), Some(settings)) = (&mut self.curriculum, &self.config.dev.curriculum) {
            state.advance(settings, len, seed, iteration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extremes_go_for_good_and_others_come() {
        let settings = Curriculum { questions: 10, every: 2, easiest: 0.2, hardest: 0.1 };
        let mut state = State::new(&settings, 40, 1);
        let first = state.current.clone();
        assert_eq!(first.len(), 10);
        state.advance(&settings, 40, 1, 0);
        for (rank, question) in first.iter().enumerate() {
            state.note(*question, rank as f64 / 10.0);
        }
        state.advance(&settings, 40, 1, 1);
        assert_eq!(state.current, first, "not before its time");
        state.advance(&settings, 40, 1, 2);
        assert_eq!(state.used, BTreeSet::from([first[0], first[8], first[9]]));
        assert_eq!(state.current[..7], first[1..8]);
        assert_eq!(state.current.len(), 10);
        assert!(state.current.iter().all(|question| !state.used.contains(question)));
        // The next change is as many iterations later as the first was.
        let second = state.current.clone();
        state.advance(&settings, 40, 1, 3);
        assert_eq!(state.current, second);
        state.advance(&settings, 40, 1, 4);
        assert_ne!(state.current, second);
        assert!(!state.history.contains_key(&first[9]));
        assert_ne!(State::new(&settings, 40, 2).current, first);
    }

    #[test]
    fn a_small_pool_runs_dry_without_harm() {
        let settings = Curriculum { questions: 3, every: 1, easiest: 0.5, hardest: 0.5 };
        let mut state = State::new(&settings, 3, 1);
        for iteration in 0..6 {
            state.advance(&settings, 3, 1, iteration);
        }
        assert!(state.current.len() <= 3);
    }
}
