//! The drawing of a validation: scores against what the steps did.

use infuser_influence::{Path, Report, Similarity, Step, Trial};
use plotters::{
    coord::Shift,
    prelude::{
        ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont, RGBColor, SVGBackend,
        WHITE,
    },
};

use infuser_rl::train::{Foreseen, Foresight};

use crate::failure::Failure;

/// Width and height of one panel.
const PANEL: (u32, u32) = (340, 300);
const DOTS: RGBColor = RGBColor(30, 90, 160);

/// What went wrong in the drawing library.
type Drawn<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One scatter.
struct Panel {
    title: String,
    points: Vec<(f64, f64)>,
}

/// An SVG: a row for each kind of step, at its smallest learning rate, and a column for each score.
pub(crate) fn scatter(report: &Report) -> Result<String, Failure> {
    let trials = [Step::Preconditioned, Step::Full].into_iter().filter_map(|step| {
        let own = report.trials.iter().filter(|trial| trial.step == step);
        own.min_by(|a, b| a.learning_rate.total_cmp(&b.learning_rate))
    });
    let rows: Vec<Vec<Panel>> = trials
        .map(|trial| (0..Similarity::ALL.len()).map(|s| validated(report, trial, s)).collect())
        .collect();
    drawn(&rows)
}

/// An SVG: a scatter for each score of a run's questions.
pub(crate) fn foresight(foresight: &Foresight) -> Result<String, Failure> {
    let panel = |(s, similarity): (usize, Similarity)| {
        let spearman = foresight.spearman[s];
        let title = format!("{}: rank r {}", similarity.name().replace('_', " "), number(spearman));
        let point = |one: &Foreseen| (one.scores[s], one.gain / foresight.learning_rate);
        Panel { title, points: foresight.questions.iter().map(point).collect() }
    };
    drawn(&[Similarity::ALL.into_iter().enumerate().map(panel).collect()])
}

fn drawn(rows: &[Vec<Panel>]) -> Result<String, Failure> {
    let mut text = String::new();
    draw(rows, &mut text).map_err(|error| {
        Failure::failed("the plot cannot be drawn", std::io::Error::other(error.to_string()))
    })?;
    Ok(text)
}

fn draw(rows: &[Vec<Panel>], text: &mut String) -> Drawn<()> {
    let columns = rows.first().map_or(0, Vec::len);
    let size = (PANEL.0 * columns as u32, PANEL.1 * rows.len() as u32);
    let root = SVGBackend::with_string(text, size).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    for (area, panel) in root.split_evenly((rows.len(), columns)).iter().zip(rows.iter().flatten())
    {
        draw_panel(area, panel).map_err(|error| error.to_string())?;
    }
    root.present().map_err(|error| error.to_string())?;
    drop(root);
    Ok(())
}

fn number(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

/// The scatter of one score and one kind of step.
fn validated(report: &Report, trial: &Trial, column: usize) -> Panel {
    let similarity = Similarity::ALL[column];
    let scores = report.scores.by(similarity);
    let questions = report.scores.questions.iter().zip(scores.into_iter().zip(&trial.decreases));
    let points = questions
        .filter(|(score, _)| score.path != Path::Silent)
        .map(|(_, (score, decrease))| (score, decrease / trial.learning_rate))
        .collect();
    let agreement = &trial.agreements[column];
    let title = format!(
        "{} step, {}: r {}, rank r {}",
        trial.step.name(),
        similarity.name().replace('_', " "),
        number(agreement.pearson),
        number(agreement.spearman)
    );
    Panel { title, points }
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel) -> Drawn<()> {
    let Panel { title, points } = panel;
    let [x, y] = [|p: &(f64, f64)| p.0, |p: &(f64, f64)| p.1].map(|axis| span(points, axis));
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .caption(title, ("sans-serif", 13).into_font())
        .x_label_area_size(34)
        .y_label_area_size(56)
        .build_cartesian_2d(x, y)?;
    chart
        .configure_mesh()
        .x_labels(4)
        .y_labels(5)
        .x_desc("score")
        .y_desc("decrease of the target loss / rate")
        .label_style(("sans-serif", 11).into_font())
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, DOTS.mix(0.6).filled())))?;
    Ok(())
}

/// The range of one axis with a margin, and 0 in it.
fn span(points: &[(f64, f64)], axis: impl Fn(&(f64, f64)) -> f64) -> std::ops::Range<f64> {
    let values = || points.iter().map(&axis).filter(|value| value.is_finite());
    let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
    let margin = 0.06 * (high - low).max(f64::MIN_POSITIVE);
    if high > low { low - margin..high + margin } else { -1.0..1.0 }
}
