//! `infuser influence foresee`.

use std::io::Write;

use infuser_data::files;
use infuser_influence::Similarity;

use crate::{
    args::Foresee, commands::train::at_checkpoint, device, display::Display, failure::Failure, plot,
};

pub(crate) fn run(args: &Foresee) -> Result<(), Failure> {
    // Before the work rather than after it.
    let mut file = files::Writer::create_below(&args.out)?;
    let mut drawing = args.plot.as_deref().map(files::Writer::create_below).transpose()?;
    let trainer = at_checkpoint(&args.run, args.at, device::open(args.on)?)?;
    let display = Display::new()?;
    let foresight =
        trainer.foresee(args.questions, args.learning_rate, &*display).map_err(ended)?;
    let text = serde_json::to_string(&foresight)
        .map_err(|error| Failure::failed("the result cannot be written", error))?;
    file.write((text + "\n").as_bytes())?;
    file.finish()?;
    if let Some(mut drawing) = drawing.take() {
        drawing.write(plot::foresight(&foresight)?.as_bytes())?;
        drawing.finish()?;
    }
    let mut page = format!(
        "after iteration {}, {} questions, one step of {} on each\n{:<24} {:>8} {:>8}\n",
        foresight.iteration,
        foresight.questions.len(),
        foresight.learning_rate,
        "score",
        "rank r",
        "r"
    );
    let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
    for (i, similarity) in Similarity::ALL.into_iter().enumerate() {
        page += &format!(
            "{:<24} {:>8} {:>8}\n",
            similarity.name(),
            number(foresight.spearman[i]),
            number(foresight.pearson[i])
        );
    }
    page += &by_kind(&foresight);
    let mut out = std::io::stdout().lock();
    out.write_all(page.as_bytes()).map_err(|error| Failure::output("standard output", error))
}

/// Nothing is kept of what was done, so that one who interrupts it cannot go on.
fn ended(error: infuser_rl::Error) -> Failure {
    match error {
        infuser_rl::Error::Interrupted => {
            Failure::stopped("interrupted; the same command begins anew")
        }
        error => error.into(),
    }
}

/// Mean gain by skill and key, if the questions are of the world.
fn by_kind(foresight: &infuser_rl::train::Foresight) -> String {
    let mut kinds: std::collections::BTreeMap<(String, bool), Vec<f64>> = Default::default();
    for one in &foresight.questions {
        if let (Some(skill), Some(right)) = (&one.skill, one.right_key) {
            kinds.entry((skill.clone(), right)).or_default().push(one.gain);
        }
    }
    if kinds.is_empty() {
        return String::new();
    }
    let mut page = format!("{:<12} {:<6} {:>6} {:>12}\n", "skill", "key", "count", "mean gain");
    for ((skill, right), gains) in kinds {
        let mean = gains.iter().sum::<f64>() / gains.len() as f64;
        let key = if right { "right" } else { "wrong" };
        page += &format!("{skill:<12} {key:<6} {:>6} {mean:>12.2e}\n", gains.len());
    }
    page
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;

    #[test]
    fn what_is_interrupted_has_failed_as_it_cannot_go_on() {
        let code = ended(infuser_rl::Error::Interrupted).exit_code();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(1)));
        let code = ended(infuser_rl::Error::Setting("bad".into())).exit_code();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(2)));
    }
}
