//! What a generated question is worth, and how its parts become one advantage.

use serde::{Deserialize, Serialize};

use crate::{
    advantage::{Normalisation, Singleton, normalise, whiten},
    error::{self, Error, Result},
};

/// A part of a question's reward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Component {
    /// How much it would improve the solver on the target.
    Influence,
    /// How close the solver's answers are to a coin toss.
    Spice,
    /// What an output gets that is no valid question.
    Invalid,
}

/// How close the variance of the scores is to the target (SPICE, Liu et al. 2025):
/// `exp(−(Var − target)² / scale)`, with the population variance. 1 is the best.
///
/// ```
/// let best = infuser_rl::reward::spice(&[0.0, 1.0, 0.0, 1.0], 0.25, 0.02);
/// assert_eq!(best, 1.0);
/// ```
pub fn spice(scores: &[f64], target: f64, scale: f64) -> f64 {
    let count = scores.len().max(1) as f64;
    let mean = scores.iter().sum::<f64>() / count;
    let variance = scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count;
    (-(variance - target).powi(2) / scale).exp()
}

/// The parts of one generator output's reward. An output that is no valid question has only the last.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Parts {
    /// A question that reached the solver.
    Valid {
        /// Its influence score.
        influence: f32,
        /// Its SPICE reward.
        spice: f32,
    },
    /// Anything else, and its reward.
    Invalid(f32),
}

impl Parts {
    /// One component; what does not apply is 0.
    pub fn get(self, component: Component) -> f32 {
        match (self, component) {
            (Self::Valid { influence, .. }, Component::Influence) => influence,
            (Self::Valid { spice, .. }, Component::Spice) => spice,
            (Self::Invalid(reward), Component::Invalid) => reward,
            _ => 0.0,
        }
    }
}

/// Which documents' influence scores count: those in which questions differ enough.
///
/// A document's spread is the population deviation of the influence of all its rows, those that are
/// no valid question with 0. At or below the threshold, the influence of all its questions becomes 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gate {
    /// All documents.
    Open,
    /// The threshold is the `1 − part` quantile of the spreads (linear between ranks), but at most
    /// `ceiling`.
    TopFraction {
        /// Above 0, at most 1.
        part: f64,
        /// `None` for no ceiling.
        ceiling: Option<f64>,
    },
    /// A fixed threshold.
    Above(f64),
}

impl Gate {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(self) -> Result<()> {
        let problem = match self {
            Self::TopFraction { part, .. } if !(part > 0.0 && part <= 1.0) => {
                format!("the part of documents {part} is not above 0 and at most 1")
            }
            Self::TopFraction { ceiling: Some(ceiling), .. }
                if !(ceiling.is_finite() && ceiling >= 0.0) =>
            {
                format!("the ceiling {ceiling} of the threshold is not a number from 0 on")
            }
            Self::Above(threshold) if !threshold.is_finite() => {
                format!("the threshold {threshold} is not a number")
            }
            _ => return Ok(()),
        };
        Err(Error::Setting(problem))
    }

    /// Sets the influence of gated documents to 0.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::Setting`].
    pub fn apply(self, parts: &[Parts], documents: &[u32]) -> Result<Vec<Parts>> {
        self.check()?;
        error::length("documents", documents.len(), parts.len())?;
        let spreads = spreads(parts, documents);
        let threshold = match self {
            Self::Open => return Ok(parts.to_vec()),
            Self::Above(threshold) => threshold,
            Self::TopFraction { part, ceiling } => {
                let spreads: Vec<f64> = spreads.values().copied().collect();
                quantile(spreads, 1.0 - part).min(ceiling.unwrap_or(f64::INFINITY))
            }
        };
        let gated = |(parts, document): (&Parts, &u32)| match *parts {
            Parts::Valid { spice, .. } if spreads[document] <= threshold => {
                Parts::Valid { influence: 0.0, spice }
            }
            other => other,
        };
        Ok(parts.iter().zip(documents).map(gated).collect())
    }
}

/// The population deviation of each document's influence.
fn spreads(parts: &[Parts], documents: &[u32]) -> std::collections::BTreeMap<u32, f64> {
    let mut rows: std::collections::BTreeMap<u32, Vec<f64>> = std::collections::BTreeMap::new();
    for (parts, document) in parts.iter().zip(documents) {
        rows.entry(*document).or_default().push(parts.get(Component::Influence).into());
    }
    let spread = |values: &Vec<f64>| {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    rows.iter().map(|(document, values)| (*document, spread(values))).collect()
}

/// The value below which a part of the values lies, linear between ranks; 0 of nothing.
fn quantile(mut values: Vec<f64>, part: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.sort_by(f64::total_cmp);
    let rank = part * (values.len() - 1) as f64;
    let (below, above) = (rank.floor() as usize, rank.ceil() as usize);
    values[below] + (values[above] - values[below]) * (rank - rank.floor())
}

/// A component and its weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Term {
    /// Which.
    pub component: Component,
    /// Factor on its reward.
    pub weight: f64,
}

/// Terms that are summed and normalised together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub struct Group {
    /// Factor on the group's advantage.
    pub weight: f64,
    /// The terms.
    pub terms: Vec<Term>,
    /// `None`: DuGRPO if influence is among the terms, else GRPO.
    pub normalisation: Option<Normalisation>,
}

impl Group {
    fn normalisation(&self) -> Normalisation {
        let influence = self.terms.iter().any(|term| term.component == Component::Influence);
        let usual = if influence { Normalisation::DualStd } else { Normalisation::GroupStd };
        self.normalisation.unwrap_or(usual)
    }

    fn reward(&self, parts: Parts) -> f32 {
        let term = |term: &Term| term.weight * f64::from(parts.get(term.component));
        self.terms.iter().map(term).sum::<f64>() as f32
    }
}

/// How components become an advantage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Structure {
    /// All components are summed, then normalised.
    Summed {
        /// The terms.
        terms: Vec<Term>,
        /// How.
        normalisation: Normalisation,
    },
    /// Each group is normalised by itself, the advantages are summed with the groups' weights, and
    /// the sum is whitened over the batch (GDPO).
    Decoupled(Vec<Group>),
}

impl Structure {
    /// Checks weights, and that each component is used once.
    ///
    /// # Errors
    /// [`Error::Setting`] saying which.
    pub fn check(&self) -> Result<()> {
        let groups = match self {
            Self::Summed { terms, .. } => vec![(1.0, &terms[..])],
            Self::Decoupled(groups) => {
                groups.iter().map(|group| (group.weight, &group.terms[..])).collect()
            }
        };
        let problem = |problem: String| Err(Error::Setting(problem));
        if groups.is_empty() || groups.iter().any(|(_, terms)| terms.is_empty()) {
            return problem("a reward needs at least one component in each group".into());
        }
        let mut seen = Vec::new();
        for (i, (weight, terms)) in groups.iter().enumerate() {
            if !weight.is_finite() {
                return problem(format!("the weight of reward group {i} is {weight}"));
            }
            for Term { component, weight } in *terms {
                if !weight.is_finite() {
                    return problem(format!("the weight of {component:?} is {weight}"));
                }
                if seen.contains(component) {
                    return problem(format!("{component:?} appears twice in the reward"));
                }
                seen.push(*component);
            }
        }
        Ok(())
    }

    /// Rewards and advantages of generator outputs, `documents` naming the document of each.
    ///
    /// A document in which nothing varies says nothing: its rows are left out. With summed rewards
    /// that is asked of each component, with decoupled ones of each group's sum. Variation is asked
    /// of the values themselves: rows of one value do not vary, whatever rounding says.
    ///
    /// # Errors
    /// [`Error::Length`], [`Error::NotFinite`], [`Error::Setting`].
    pub fn advantages(
        &self,
        parts: &[Parts],
        documents: &[u32],
        singleton: Singleton,
    ) -> Result<Shaped> {
        self.check()?;
        error::length("documents", documents.len(), parts.len())?;
        let signals = self.signals(parts);
        let varying = varying(&signals, documents);
        let rows: Vec<usize> =
            (0..parts.len()).filter(|i| varying.contains(&documents[*i])).collect();
        let kept = |values: &[f32]| rows.iter().map(|i| values[*i]).collect::<Vec<_>>();
        let documents: Vec<u32> = rows.iter().map(|i| documents[*i]).collect();
        match self {
            Self::Summed { terms, normalisation } => {
                let group = Group { weight: 1.0, terms: terms.clone(), normalisation: None };
                let all: Vec<f32> = parts.iter().map(|parts| group.reward(*parts)).collect();
                let rewards = kept(&all);
                let advantages = normalise(&rewards, &documents, *normalisation, singleton)?;
                Ok(Shaped { rows, rewards, advantages })
            }
            Self::Decoupled(groups) => {
                let mut total = vec![0.0; rows.len()];
                let mut rewards = vec![0.0; rows.len()];
                for (group, signal) in groups.iter().zip(&signals) {
                    let own = kept(signal);
                    let advantages = normalise(&own, &documents, group.normalisation(), singleton)?;
                    for (i, advantage) in advantages.iter().enumerate() {
                        total[i] += group.weight * f64::from(*advantage);
                        rewards[i] += (group.weight * f64::from(own[i])) as f32;
                    }
                }
                let advantages = whiten(&total).into_iter().map(|value| value as f32).collect();
                Ok(Shaped { rows, rewards, advantages })
            }
        }
    }

    /// The values whose variation counts: components, or sums of groups.
    fn signals(&self, parts: &[Parts]) -> Vec<Vec<f32>> {
        match self {
            Self::Summed { terms, .. } => terms
                .iter()
                .map(|term| parts.iter().map(|parts| parts.get(term.component)).collect())
                .collect(),
            Self::Decoupled(groups) => groups
                .iter()
                .map(|group| parts.iter().map(|parts| group.reward(*parts)).collect())
                .collect(),
        }
    }
}

/// Rows that survived, with what they got.
#[derive(Debug, Clone, PartialEq)]
pub struct Shaped {
    /// Indices into the input.
    pub rows: Vec<usize>,
    /// The summed reward of each.
    pub rewards: Vec<f32>,
    /// The advantage of each.
    pub advantages: Vec<f32>,
}

/// Documents in which some signal takes two values.
fn varying(signals: &[Vec<f32>], documents: &[u32]) -> std::collections::BTreeSet<u32> {
    let mut found = std::collections::BTreeSet::new();
    for signal in signals {
        let mut first = std::collections::BTreeMap::new();
        for (value, document) in signal.iter().zip(documents) {
            if *first.entry(document).or_insert(value) != value {
                found.insert(*document);
            }
        }
    }
    found
}
