//! Padded batches of the reference as questions with responses.

use infuser_influence::{Question, Response, Weights};

use crate::fixtures::Golden;

/// One row: its prompt and response, without padding.
pub(crate) struct Row {
    pub(crate) prompt: Vec<u32>,
    pub(crate) response: Vec<u32>,
}

/// The rows of a batch whose tensors are named `PREFIX…`.
pub(crate) fn rows(golden: &Golden, prefix: &str) -> Vec<Row> {
    let ids = golden.integer_rows(&format!("{prefix}input_ids"));
    let masks = golden.integer_rows(&format!("{prefix}attention_mask"));
    let width = golden.rows(&format!("{prefix}response_mask"))[0].len();
    let row = |(ids, mask): (&&[i64], &&[i64])| {
        let start = ids.len() - width;
        let kept = |range: std::ops::Range<usize>| -> Vec<u32> {
            range.filter(|t| mask[*t] != 0).map(|t| ids[t] as u32).collect()
        };
        Row { prompt: kept(0..start), response: kept(start..ids.len()) }
    };
    ids.iter().zip(&masks).map(row).collect()
}

/// A column of values, cut to each response's tokens.
pub(crate) fn cut(golden: &Golden, name: &str, rows: &[Row]) -> Vec<Vec<f32>> {
    let values = golden.rows(name);
    values.iter().zip(rows).map(|(values, row)| values[..row.response.len()].to_vec()).collect()
}

/// The batch as questions, truncated importance weights up to 2.
pub(crate) fn questions(golden: &Golden, prefix: &str, owners: &[String]) -> Vec<Question> {
    let rows = rows(golden, prefix);
    let advantages = cut(golden, &format!("{prefix}advantages"), &rows);
    let rollouts = cut(golden, &format!("{prefix}rollout_log_probs"), &rows);
    let mut questions: Vec<(String, Question)> = Vec::new();
    for (((row, advantages), rollout_logp), owner) in
        rows.into_iter().zip(advantages).zip(rollouts).zip(owners)
    {
        let response = Response {
            tokens: row.response,
            advantage: advantages[0],
            weights: Weights::Truncated { rollout_logp, at_most: 2.0 },
        };
        match questions.iter_mut().find(|(known, _)| known == owner) {
            Some((_, question)) => {
                assert_eq!(question.prompt, row.prompt, "rows of a question share their prompt");
                question.responses.push(response);
            }
            None => {
                let question = Question { prompt: row.prompt, responses: vec![response] };
                questions.push((owner.clone(), question));
            }
        }
    }
    questions.into_iter().map(|(_, question)| question).collect()
}
