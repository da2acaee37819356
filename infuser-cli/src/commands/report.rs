//! `infuser report`: one page about one run or many.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use infuser_rl::train::{Scored, Sourced, Stage};
use serde_json::Value;

use crate::{
    args::Report,
    chart::{self, Line},
    failure::Failure,
    run::{Line as Metric, read_metrics, title, write_whole},
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

/// A run as it is read.
struct Run {
    arm: String,
    summary: Value,
    lines: Vec<Metric>,
}

pub(crate) fn run(args: &Report) -> Result<(), Failure> {
    let folders = folders(&args.runs)?;
    let runs: Vec<Run> = folders.iter().map(|path| read(path)).collect::<Result<_, _>>()?;
    let mut arms: Vec<String> = Vec::new();
    for run in &runs {
        if !arms.contains(&run.arm) {
            arms.push(run.arm.clone());
        }
    }
    let charts = Charts { runs: &runs, arms: &arms, folder: args.charts.as_deref() };
    let mut body = table(&runs, &arms);
    body += "<h2>Curves</h2><p>Lines are means over runs, bands reach from the least to the largest.</p><div class=\"charts\">";
    for (title, metric) in CURVES {
        body += &charts.figure(title, metric)?;
    }
    body += "</div>";
    body += &charts.mixes()?;
    body += &seconds(&runs, &arms);
    body += &questions(&folders)?;
    write_whole(&args.out, page(&body).as_bytes())?;
    let counted = |count: usize, what: &str| {
        if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
    };
    let (all, kinds) = (counted(runs.len(), "run"), counted(arms.len(), "recipe"));
    let line = format!("{}: {all} of {kinds}; open it in a browser\n", args.out.display());
    std::io::Write::write_all(&mut std::io::stdout(), line.as_bytes())
        .map_err(|error| Failure::output("standard output", error))
}

/// The folders of runs among those given and below them, as `infuser experiment` lays them out: in the order
/// given, and below one by recipe and seed. Files among several are passed over: a pattern like `DIR/*/*`
/// names the logs beside the runs as well.
fn folders(given: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for path in given {
        let before = found.len();
        find(path, 2, &mut found);
        let passed_over = given.len() > 1 && path.is_file();
        if found.len() == before && !passed_over {
            return Err(no_run(path));
        }
    }
    match given.first() {
        Some(path) if found.is_empty() => Err(no_run(path)),
        _ => Ok(found),
    }
}

fn no_run(path: &Path) -> Failure {
    Failure::bad_input(format!(
        "{} holds no run: give a folder that `infuser train` or `infuser experiment` made",
        path.display()
    ))
}

fn find(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if path.join("metrics.jsonl").exists() {
        found.push(path.to_path_buf());
    } else if depth > 0 {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        let mut below: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        // By length first: `seed-2` before `seed-10`, `tiny` before its ablations.
        below.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
        below.iter().for_each(|path| find(path, depth - 1, found));
    }
}

fn read(path: &Path) -> Result<Run, Failure> {
    let lines = read_metrics(&path.join("metrics.jsonl"))?;
    let summary = fs::read_to_string(path.join("summary.json")).ok();
    let summary: Value =
        summary.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    // A run that is under way has no summary yet.
    let plan = fs::read_to_string(path.join("plan.toml")).unwrap_or_default();
    let named = title(&plan).map(str::to_string);
    let folder = path.file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
    Ok(Run { arm: named.unwrap_or(folder), summary, lines })
}

impl Run {
    /// A metric by iteration; stages of several generator updates are averaged.
    fn curve(&self, metric: &str) -> Vec<(f64, f64)> {
        let mut places: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for line in &self.lines {
            if let Some(value) = line.metrics.get(metric) {
                places.entry(line.iteration).or_default().push(value);
            }
        }
        let mean = |values: &Vec<f64>| values.iter().sum::<f64>() / values.len() as f64;
        places.iter().map(|(iteration, values)| (*iteration as f64, mean(values))).collect()
    }
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
                &format!("mix-{arm}"),
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
            write_whole(&folder.join(format!("{name}.svg")), svg.as_bytes())?;
        }
        Ok(format!("<figure>{}</figure>", scaled(&svg, title)))
    }
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
        let all = |key: &str| -> Vec<f64> {
            of(runs, arm).filter_map(|run| run.summary[key].as_f64()).collect()
        };
        let after: BTreeMap<u64, f64> = of(runs, arm)
            .filter_map(|run| {
                Some((run.summary["seed"].as_u64()?, run.summary["test_accuracy_after"].as_f64()?))
            })
            .collect();
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
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.0}</td></tr>",
            escaped(arm),
            of(runs, arm).count(),
            Sample::of(&all("test_accuracy_before")).shown(),
            Sample::of(&all("test_accuracy_after")).shown(),
            paired.unwrap_or_default(),
            Sample::of(&all("seconds")).mean
        );
        first.get_or_insert(after);
    }
    text + "</table><p>Means with 95 % intervals (Student's t); differences are paired by seed.</p>"
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
fn questions(paths: &[PathBuf]) -> Result<String, Failure> {
    for path in paths {
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
        return Ok(format!(
            "<h2>Questions of {}</h2><h3>Highest influence</h3><table>{head}{}</table><h3>Lowest \
             influence</h3><table>{head}{}</table>",
            escaped(&path.display().to_string()),
            rows(&found[..SHOWN.min(found.len())]),
            rows(&found[end..])
        ));
    }
    Ok(String::new())
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
