//! The plain f64 twin of [`super`]: every query against every key, with the mask spelled out.

use super::Segment;

/// Sizes and constants of one call.
#[derive(Debug, Clone, Copy)]
pub struct Problem<'a> {
    /// Query heads H.
    pub heads: usize,
    /// Key heads K.
    pub kv_heads: usize,
    /// Head width E.
    pub width: usize,
    /// Factor on the scores.
    pub scale: f64,
    /// Sliding window.
    pub window: Option<usize>,
    /// The segments.
    pub segments: &'a [Segment],
}

impl Problem<'_> {
    /// The key rows that query row `row` sees: `(key row, position difference is inside the window)`.
    fn visible(&self, row: usize) -> Vec<usize> {
        let Some(segment) = self.segments.iter().find(|s| s.q.contains(&row)) else {
            return Vec::new();
        };
        let rows: Vec<usize> = segment.prefix.clone().chain(segment.kv.clone()).collect();
        let position = rows.len() - segment.q.len() + (row - segment.q.start);
        let near = |j: &usize| self.window.is_none_or(|w| position - j < w);
        (0..=position).filter(near).map(|j| rows[j]).collect()
    }

    /// `(out, lse)` for queries `[T, H, E]`, keys and values `[S, K, E]`.
    pub fn forward(&self, q: &[f64], k: &[f64], v: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let (mut out, mut lses) = (vec![0.0; q.len()], Vec::new());
        for row in 0..q.len() / (self.heads * self.width) {
            for head in 0..self.heads {
                let (at, p, lse) = self.probabilities(q, k, row, head);
                lses.push(lse);
                for (key, p) in p {
                    for e in 0..self.width {
                        out[at + e] += p * v[key + e];
                    }
                }
            }
        }
        (out, lses)
    }

    /// Offset of the query, `(offset of a visible key, its probability)`, and the log-sum-exp.
    fn probabilities(
        &self,
        q: &[f64],
        k: &[f64],
        row: usize,
        head: usize,
    ) -> (usize, Vec<(usize, f64)>, f64) {
        let at = (row * self.heads + head) * self.width;
        let kv_head = head / (self.heads / self.kv_heads);
        let score = |key: usize| -> f64 {
            let from = (key * self.kv_heads + kv_head) * self.width;
            self.scale * (0..self.width).map(|e| q[at + e] * k[from + e]).sum::<f64>()
        };
        let scores: Vec<(usize, f64)> =
            self.visible(row).into_iter().map(|key| (key, score(key))).collect();
        let top = scores.iter().map(|s| s.1).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = scores.iter().map(|s| (s.1 - top).exp()).sum();
        let lse = if scores.is_empty() { f64::NEG_INFINITY } else { top + sum.ln() };
        let from = |key: usize| (key * self.kv_heads + kv_head) * self.width;
        (at, scores.into_iter().map(|(key, z)| (from(key), (z - lse).exp())).collect(), lse)
    }

    /// `[dq, dk, dv]` for the output gradient `dout`.
    pub fn backward(&self, q: &[f64], k: &[f64], v: &[f64], dout: &[f64]) -> [Vec<f64>; 3] {
        let (out, _) = self.forward(q, k, v);
        let [mut dq, mut dk, mut dv] = [vec![0.0; q.len()], vec![0.0; k.len()], vec![0.0; v.len()]];
        for row in 0..q.len() / (self.heads * self.width) {
            for head in 0..self.heads {
                let (at, p, _) = self.probabilities(q, k, row, head);
                let pull: f64 = (0..self.width).map(|e| dout[at + e] * out[at + e]).sum();
                for (key, p) in p {
                    let dp: f64 = (0..self.width).map(|e| dout[at + e] * v[key + e]).sum();
                    let ds = p * (dp - pull) * self.scale;
                    for e in 0..self.width {
                        dv[key + e] += p * dout[at + e];
                        dq[at + e] += ds * k[key + e];
                        dk[key + e] += ds * q[at + e];
                    }
                }
            }
        }
        [dq, dk, dv]
    }
}
