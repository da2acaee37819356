//! How well one list of numbers foretells another.

/// Agreement of predictions `p` with what was measured, `a`. What is not defined is `None`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Correlation of the values.
    pub pearson: Option<f64>,
    /// Correlation of the ranks; equal values share theirs.
    pub spearman: Option<f64>,
    /// Of the pairs in which neither is zero, the part with equal signs.
    pub same_sign: Option<f64>,
    /// `Σ p a / Σ p²`: the line through zero that fits best. 1 if predictions are right on average.
    pub slope: Option<f64>,
}

impl Agreement {
    /// Of two lists of one length; what is longer is not looked at.
    ///
    /// ```
    /// use infuser_influence::Agreement;
    /// let agreement = Agreement::of(&[1.0, 2.0, -3.0], &[2.0, 4.0, -6.0]);
    /// assert_eq!((agreement.spearman, agreement.slope), (Some(1.0), Some(2.0)));
    /// ```
    pub fn of(predicted: &[f64], measured: &[f64]) -> Self {
        let pairs = || predicted.iter().copied().zip(measured.iter().copied());
        let signed = || pairs().filter(|(p, a)| *p != 0.0 && *a != 0.0);
        let same = signed().filter(|(p, a)| p.signum() == a.signum()).count();
        let squares: f64 = predicted.iter().map(|p| p * p).sum();
        Self {
            pearson: correlation(predicted, measured),
            spearman: correlation(&ranks(predicted), &ranks(measured)),
            same_sign: ratio(same as f64, signed().count() as f64),
            slope: ratio(pairs().map(|(p, a)| p * a).sum(), squares),
        }
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    Some(part / whole).filter(|ratio| ratio.is_finite())
}

fn correlation(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    ratio(ab, (aa * bb).sqrt())
}

/// Ranks from 0; equal values have the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let (mut ranks, mut below) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|a, b| values[*a] == values[*b]) {
        let rank = below as f64 + (equal.len() - 1) as f64 / 2.0;
        equal.iter().for_each(|i| ranks[*i] = rank);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        // Σ(a−ā)(b−b̄) = 8, Σ(a−ā)² = 10, Σ(b−b̄)² = 10.
        let agreement = Agreement::of(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]);
        assert!((agreement.pearson.unwrap() - 0.8).abs() < 1e-12);
        assert!((agreement.spearman.unwrap() - 0.8).abs() < 1e-12);
        assert_eq!(agreement.same_sign, Some(1.0));
        // (2 + 2 + 12 + 12 + 25) / 55.
        assert!((agreement.slope.unwrap() - 53.0 / 55.0).abs() < 1e-12);
    }

    #[test]
    fn ranks_ignore_size_and_share_ties() {
        assert_eq!(ranks(&[3.0, -1.0, 3.0, 100.0]), [1.5, 0.0, 1.5, 3.0]);
        let agreement = Agreement::of(&[1.0, 2.0, 3.0], &[-1.0, 0.0, 1e9]);
        assert_eq!(agreement.spearman, Some(1.0));
        assert!(agreement.pearson.unwrap() < 0.9);
        assert_eq!(agreement.same_sign, Some(0.5));
    }

    #[test]
    fn constants_have_no_correlation() {
        let agreement = Agreement::of(&[0.0, 0.0], &[1.0, 2.0]);
        assert_eq!((agreement.pearson, agreement.spearman), (None, None));
        assert_eq!((agreement.same_sign, agreement.slope), (None, None));
        assert_eq!(Agreement::of(&[], &[]).pearson, None);
    }
}
