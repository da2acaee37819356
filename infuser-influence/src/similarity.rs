//! From sums over parameters to one score.

use serde::{Deserialize, Serialize};

use infuser_kernels::ops::influence::Sums;

/// Norms below this count as this, so that nothing is divided by zero: a question without a gradient
/// scores 0.
const MIN_NORM: f64 = 1e-12;

/// How the gradient `g` of a question is compared with the reference gradient `m`.
///
/// Both are gradients of losses: a positive score says that a step on the question lowers the loss
/// on the target too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Similarity {
    /// `⟨g, m⟩`: what a step of plain gradient descent would change, to first order.
    Dot,
    /// `⟨g, m⟩ / (|g| |m|)`.
    Cosine,
    /// `⟨Γ, m⟩`: what a step of the optimizer would change, to first order.
    PreconditionedDot,
    /// `⟨Γ, m⟩ / (|Γ| |m|)`, the score of the paper.
    PreconditionedCosine,
}

impl Similarity {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::Dot, Self::Cosine, Self::PreconditionedDot, Self::PreconditionedCosine];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dot => "dot",
            Self::Cosine => "cosine",
            Self::PreconditionedDot => "preconditioned_dot",
            Self::PreconditionedCosine => "preconditioned_cosine",
        }
    }

    /// The score of a question with these sums, for a reference gradient of norm `|m|`.
    ///
    /// ```
    /// use infuser_influence::{Similarity, Sums};
    /// let sums = Sums { dot: 2.0, gradient_sq: 4.0, gamma_dot: 3.0, gamma_sq: 9.0 };
    /// assert_eq!(Similarity::Cosine.score(&sums, 2.0), 0.5);
    /// assert_eq!(Similarity::PreconditionedDot.score(&sums, 2.0), 3.0);
    /// ```
    pub fn score(self, sums: &Sums, target_norm: f64) -> f64 {
        let over = |norm: f64| norm.max(MIN_NORM) * target_norm.max(MIN_NORM);
        match self {
            Self::Dot => sums.dot,
            Self::Cosine => sums.dot / over(sums.gradient_sq.sqrt()),
            Self::PreconditionedDot => sums.gamma_dot,
            Self::PreconditionedCosine => sums.gamma_dot / over(sums.gamma_sq.sqrt()),
        }
    }
}
