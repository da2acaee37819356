//! `infuser report`: one page about one run or many.

mod runs;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs,
    path::Path,
};

use infuser_data::files;
use infuser_rl::train::{Scored, Sourced, Stage};

use self::runs::Run;
use crate::{
    args::Report,
    chart::{self, Line},
    failure::Failure,
    statistics::{Paired, Sample},
};

/// Curves: title, metric.
const CURVES: [(&str, &str); 14] = [
    ("Test accuracy", "test/accuracy_strict"),
    ("Dev accuracy", "dev_rollout/accuracy_strict"),
    ("Valid questions, share of outputs", "gen_question_rollout/frac_valid_questions"),
    ("Accuracy on the generated questions", "gen_answer_rollout/accuracy_strict"),
    ("Mean influence", "influence_sim/score/mean"),
    ("Mean reward of the generator", "gen_critic/rewards/mean"),
    ("Entropy of the generator", "gen_actor/entropy"),
    ("Entropy of the solver", "solver_actor/entropy"),
    ("Tokens of an answer", "gen_answer_rollout/response_length_tokens/mean"),
    ("Divergence of engine and training pass, solver", "solver_rollout_corr/kl"),
    ("Questions from the unreliable source", "world/draft"),
    ("Questions with a right key", "world/right_key"),
    ("Questions that stand in their document", "world/grounded"),
    ("Distinct questions", "world/distinct"),
];

pub(crate) fn run(args: &Report) -> Result<(), Failure> {
    let runs = runs::read_all(&args.runs)?;
    let mut arms: Vec<String> = Vec::new();
    for run in &runs {
        if !arms.contains(&run.arm) {
            arms.push(run.arm.clone());
        }
    }
    // Before the work rather than after it.
    let mut file = files::Writer::create_below(&args.out)?;
    let charts = Charts { runs: &runs, arms: &arms, folder: args.charts.as_deref() };
    let mut body = table(&runs, &arms);
    body += "<h2>Curves</h2><p>Lines are means over runs, bands reach from the least to the largest.</p><div class=\"charts\">";
    for (title, metric) in CURVES {
        body += &charts.figure(title, metric)?;
    }
    body += "</div>";
    body += &charts.mixes()?;
    body += &seconds(&runs, &arms);
    body += &questions(&runs);
    file.write(page(&body).as_bytes())?;
    file.finish()?;
    let counted = |count: usize, what: &str| {
        if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
    };
    let recipes: BTreeSet<&str> = runs.iter().map(|run| &run.recipe[..]).collect();
    let (all, kinds) = (counted(runs.len(), "run"), counted(recipes.len(), "recipe"));
    let settings = match arms.len() {
        count if count > recipes.len() => format!(" in {count} groups of the same settings"),
        _ => String::new(),
    };
    let out = args.out.display();
    let line = format!("{out}: {all} of {kinds}{settings}; open it in a browser\n");
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())
        .map_err(|error| Failure::output("standard output", error))
}

fn of<'a>(runs: &'a [Run], arm: &'a str) -> impl Iterator<Item = &'a Run> {
    runs.iter().filter(move |run| run.arm == arm)
}

/// What charts are made of.
struct Charts<'a> {
    runs: &'a [Run],
    /// In the order of their looks; the first is what others are compared with.
    arms: &'a [String],
    /// Where each chart goes as a file of its own.
    folder: Option<&'a Path>,
}

impl Charts<'_> {
    /// A metric's line of a recipe; none where no run has it.
    fn line(&self, name: &str, look: usize, arm: &str, metric: &str) -> Option<Line> {
        let curves: Vec<_> = of(self.runs, arm).map(|run| run.curve(metric)).collect();
        let line = Line::over(name, look, &curves);
        (!line.points.is_empty()).then_some(line)
    }

    /// A chart of a metric; nothing if no run has it.
    fn figure(&self, title: &str, metric: &str) -> Result<String, Failure> {
        let lines = self.arms.iter().enumerate();
        let lines: Vec<Line> =
            lines.filter_map(|(look, arm)| self.line(arm, look, arm, metric)).collect();
        self.drawn(title, &metric.replace('/', "-"), &lines)
    }

    /// What the generator asks about, over time: a chart for each recipe that writes.
    fn mixes(&self) -> Result<String, Failure> {
        let mut text = String::new();
        for arm in self.arms {
            let skills = infuser_data::world::Skill::ALL.into_iter().enumerate();
            let line = |(look, skill): (usize, infuser_data::world::Skill)| {
                self.line(skill.name(), look, arm, &format!("world/skill/{}", skill.name()))
            };
            let lines: Vec<Line> = skills.filter_map(line).collect();
            text += &self.drawn(
                &format!("What is asked about: {arm}"),
                &format!("mix-{}", plain(arm)),
                &lines,
            )?;
        }
        if text.is_empty() {
            return Ok(text);
        }
        Ok(format!("<h2>The generator's mix</h2><div class=\"charts\">{text}</div>"))
    }

    fn drawn(&self, title: &str, name: &str, lines: &[Line]) -> Result<String, Failure> {
        if lines.is_empty() {
            return Ok(String::new());
        }
        let svg = chart::lines(title, "iteration", lines)?;
        if let Some(folder) = self.folder {
            let mut file = files::Writer::create_below(&folder.join(format!("{name}.svg")))?;
            file.write(svg.as_bytes())?;
            file.finish()?;
        }
        Ok(format!("<figure>{}</figure>", scaled(&svg, title)))
    }
}

/// A name as part of a file's.
fn plain(name: &str) -> String {
    let kept = |c: char| c.is_alphanumeric() || "-_.=".contains(c);
    name.chars().map(|c| if kept(c) { c } else { '-' }).collect()
}

/// A drawing that takes the width it is given, and says what it is to those who do not see it.
fn scaled(svg: &str, title: &str) -> String {
    let opening = format!("<svg role=\"img\" aria-label=\"{}\" ", escaped(title));
    svg.replacen("<svg ", &opening, 1)
}

fn table(runs: &[Run], arms: &[String]) -> String {
    let mut text = "<h2>Results</h2><table class=\"numbers\"><tr><th>recipe</th><th>runs</th><th>accuracy before</th><th>accuracy \
                    after</th><th>difference from the first</th><th>seconds</th></tr>"
        .to_string();
    let mut first: Option<BTreeMap<u64, f64>> = None;
    for arm in arms {
        let counted = || of(runs, arm).filter(|run| !run.repeated);
        let before: Vec<f64> = counted().filter_map(Run::before).collect();
        let ends: Vec<f64> = counted().filter_map(Run::after).collect();
        let secs: Vec<f64> = counted().filter_map(|run| run.summary["seconds"].as_f64()).collect();
        let after: BTreeMap<u64, f64> =
            counted().filter_map(|run| Some((run.seed?, run.after()?))).collect();
        let paired = first.as_ref().map(|first| {
            let pairs = after.iter().filter_map(|(seed, value)| Some((*value, *first.get(seed)?)));
            let (mine, others): (Vec<f64>, Vec<f64>) = pairs.unzip();
            if mine.is_empty() {
                String::new()
            } else {
                escaped(&Paired::of(&mine, &others).shown())
            }
        });
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(arm),
            of(runs, arm).count(),
            Sample::of_shares(&before).shown(),
            Sample::of_shares(&ends).shown(),
            paired.unwrap_or_default(),
            if secs.is_empty() { "-".into() } else { format!("{:.0}", Sample::of(&secs).mean) }
        );
        first.get_or_insert(after);
    }
    text +=
        "</table><p>Means with 95 % intervals (Student's t); differences are paired by seed.</p>";
    text + &notes(runs)
}

/// Runs that do not count in full, and why.
fn notes(runs: &[Run]) -> String {
    let mut text = String::new();
    for run in runs {
        let path = escaped(&run.path.display().to_string());
        if !run.ended() {
            let _ = write!(text, "<p>{path} is unfinished: it has no accuracy after yet.</p>");
        }
        if run.repeated {
            let (arm, seed) = (escaped(&run.arm), run.seed.unwrap_or_default());
            let _ = write!(
                text,
                "<p>{path} is another run of {arm} with seed {seed}: it is not in the means.</p>"
            );
        }
    }
    text
}

fn seconds(runs: &[Run], arms: &[String]) -> String {
    let mut text =
        "<h2>Seconds by stage</h2><table class=\"numbers\"><tr><th>recipe</th>".to_string();
    for stage in Stage::ALL {
        let _ = write!(text, "<th>{}</th>", stage.name());
    }
    text += "</tr>";
    for arm in arms {
        let _ = write!(text, "<tr><td>{}</td>", escaped(arm));
        let count = of(runs, arm).count().max(1) as f64;
        for stage in Stage::ALL {
            let lines = of(runs, arm).flat_map(|run| &run.lines).filter(|line| line.stage == stage);
            // Nothing where a recipe has no such stage.
            let secs = lines.map(|line| line.secs).reduce(|sum, secs| sum + secs);
            let shown = secs.map_or(String::new(), |secs| format!("{:.1}", secs / count));
            let _ = write!(text, "<td>{shown}</td>");
        }
        text += "</tr>";
    }
    text + "</table>"
}

/// Questions that are shown of each end.
const SHOWN: usize = 6;

/// The best and the worst questions of the last iterations of the first run that scored any.
fn questions(runs: &[Run]) -> String {
    for path in runs.iter().map(|run| &run.path) {
        let mut found = Vec::new();
        let mut iterations: Vec<_> = fs::read_dir(path.join("iterations"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        iterations.sort();
        for folder in iterations.iter().rev().take(5) {
            found.extend(scored(folder));
        }
        found.retain(|(_, influence, _)| *influence != 0.0);
        if found.is_empty() {
            continue;
        }
        found.sort_by(|a, b| b.1.total_cmp(&a.1));
        let rows = |part: &[(String, f32, f32)]| -> String {
            let row = |(text, influence, accuracy): &(String, f32, f32)| {
                format!("<tr><td>{text}</td><td>{influence:.3}</td><td>{accuracy:.2}</td></tr>")
            };
            part.iter().map(row).collect()
        };
        let head = "<tr><th>question; the declared answer is in bold</th><th>influence</th><th>answers that \
                    agree</th></tr>";
        let end = found.len().saturating_sub(SHOWN);
        return format!(
            "<h2>Questions of {}</h2><h3>Highest influence</h3><table>{head}{}</table><h3>Lowest \
             influence</h3><table>{head}{}</table>",
            escaped(&path.display().to_string()),
            rows(&found[..SHOWN.min(found.len())]),
            rows(&found[end..])
        );
    }
    String::new()
}

/// Questions of an iteration as HTML, with influence and accuracy; none where nothing can be read.
fn scored(folder: &Path) -> Vec<(String, f32, f32)> {
    let mut found = Vec::new();
    for update in 0.. {
        let read = |name: &str| fs::read_to_string(folder.join(format!("{name}-{update}.jsonl")));
        let (Ok(questions), Ok(scores)) = (read("questions"), read("scores")) else { return found };
        let sources: Vec<Sourced> =
            questions.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for score in
            scores.lines().filter_map(|line| serde_json::from_str::<Option<Scored>>(line).ok())
        {
            let Some(score) = score else { continue };
            let mut places = score.id.rsplit(':').map(|part| part.parse::<usize>().ok());
            let (output, source) = (places.next().flatten(), places.next().flatten());
            let kept = source
                .and_then(|source| sources.get(source))
                .and_then(|from| from.outputs.get(output?))
                .and_then(|output| output.question.as_ref());
            let Some(kept) = kept else { continue };
            let mut text = escaped(&kept.question);
            for (i, choice) in kept.choices.iter().flatten().enumerate() {
                let choice = escaped(choice);
                let right = kept.correct == Some(i);
                text +=
                    &if right { format!(" · <b>{choice}</b>") } else { format!(" · {choice}") };
            }
            found.push((text, score.influence, score.accuracy));
        }
    }
    found
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn page(body: &str) -> String {
    const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1200px;padding:1rem;color:#111;\
background:#fff}h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2rem}h3{font-size:1rem}.charts{display:grid;\
grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem}figure{margin:0}svg{width:100%;height:auto}\
table{border-collapse:collapse;display:block;overflow-x:auto;font-variant-numeric:tabular-nums}th,td{border-bottom:1px solid \
#ccc;padding:.25rem .6rem;text-align:left;vertical-align:top}.numbers{white-space:nowrap}";
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width,initial-scale=1\"><title>infuser report</title><link rel=\"icon\" \
         href=\"data:,\"><style>{STYLE}</style></head><body><h1>infuser report</h1>{body}</body></html>\n"
    )
}
