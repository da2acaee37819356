//! Line charts of several arms, each with a band over its seeds, as SVG.

use plotters::{
    coord::types::RangedCoordf64,
    drawing::DrawingAreaErrorKind,
    prelude::{
        Cartesian2d, ChartBuilder, ChartContext, Circle, Color, Cross, EmptyElement,
        IntoDrawingArea, IntoFont, PathElement, Polygon, RGBColor, SVGBackend, Text,
        TriangleMarker, WHITE,
    },
};

use crate::failure::Failure;

/// Width and height of a chart; small, so that its letters are large where a page scales it to a column.
const SIZE: (u32, u32) = (440, 280);
/// Height of letters.
const LETTERS: u32 = 12;
/// Colours that differ in lightness too (after Okabe and Ito).
const COLOURS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(110, 110, 110),
];

/// A line: places with mean, least and largest value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) name: String,
    /// Which colour and marker it has: the same number looks the same in every chart.
    pub(crate) look: usize,
    pub(crate) points: Vec<(f64, [f64; 3])>,
}

impl Line {
    /// The mean and the range over several runs, at each place that any of them has.
    pub(crate) fn over(name: &str, look: usize, runs: &[Vec<(f64, f64)>]) -> Self {
        let mut places: std::collections::BTreeMap<u64, Vec<f64>> = Default::default();
        for (x, y) in runs.iter().flatten() {
            places.entry(x.to_bits()).or_default().push(*y);
        }
        let point = |(x, values): (&u64, &Vec<f64>)| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            (f64::from_bits(*x), [mean, low, high])
        };
        Self { name: name.to_string(), look, points: places.iter().map(point).collect() }
    }
}

/// What went wrong in the drawing library.
type Drawn<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The chart; each line has a colour, a marker and its name at its end.
pub(crate) fn lines(title: &str, x_label: &str, lines: &[Line]) -> Result<String, Failure> {
    let mut text = String::new();
    draw(title, x_label, lines, &mut text).map_err(|error| {
        Failure::failed("a chart cannot be drawn", std::io::Error::other(error.to_string()))
    })?;
    Ok(text)
}

fn draw(title: &str, x_label: &str, lines: &[Line], text: &mut String) -> Drawn<()> {
    let ([first, last], [low, high]) = ranges(lines);
    let margin = 0.05 * (high - low);
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    let mut chart = ChartBuilder::on(&root)
        .margin(8)
        .caption(title, ("sans-serif", LETTERS + 3).into_font())
        .x_label_area_size(36)
        .y_label_area_size(46)
        .margin_right(98)
        .build_cartesian_2d(first..last, low - margin..high + margin)
        .map_err(|error| error.to_string())?;
    let digits = (0.5 - (high - low).log10()).ceil().clamp(0.0, 9.0) as usize;
    chart
        .configure_mesh()
        .x_labels(7)
        .y_labels(5)
        .x_desc(x_label)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| tick(*y, high.abs().max(low.abs()), digits))
        .label_style(("sans-serif", LETTERS).into_font())
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| error.to_string())?;
    let labels = label_heights(lines, low, high);
    for (line, label) in lines.iter().zip(labels) {
        draw_line(&mut chart, line, (last, label)).map_err(|error| error.to_string())?;
    }
    drop(chart);
    root.present().map_err(|error| error.to_string())?;
    drop(root);
    Ok(())
}

/// Where the lines lie, each range with some extent.
fn ranges(lines: &[Line]) -> ([f64; 2], [f64; 2]) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
    for (x, [_, least, most]) in lines.iter().flat_map(|line| &line.points) {
        (low, high) = (low.min(*least), high.max(*most));
        (first, last) = (first.min(*x), last.max(*x));
    }
    // Equal but for rounding: a flat line in the middle.
    let least = 1e-3 * high.abs().max(low.abs());
    if high - low <= least {
        let half = if least > 0.0 { least } else { 1.0 };
        (low, high) = (low - half, high + half);
    }
    ([first, if last > first { last } else { first + 1.0 }], [low, high])
}

/// A value at the axis; powers of ten where all values are small.
fn tick(value: f64, largest: f64, digits: usize) -> String {
    if value.abs() < 1e-9 * largest {
        "0".into()
    } else if largest < 1e-3 {
        format!("{value:.1e}")
    } else {
        format!("{value:.digits$}")
    }
}

/// The chart that lines are drawn on.
type Area<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Band, line, markers, and the name at a place.
fn draw_line(
    chart: &mut Area<'_, '_>,
    line: &Line,
    name_at: (f64, f64),
) -> Result<(), DrawingAreaErrorKind<std::io::Error>> {
    let colour = COLOURS[line.look % COLOURS.len()];
    let upper = line.points.iter().map(|(x, [_, _, high])| (*x, *high));
    let lower = line.points.iter().rev().map(|(x, [_, low, _])| (*x, *low));
    let band: Vec<(f64, f64)> = upper.chain(lower).collect();
    chart.draw_series([Polygon::new(band, colour.mix(0.12).filled())])?;
    let means = || line.points.iter().map(|(x, [mean, ..])| (*x, *mean));
    let path: Vec<_> = means().collect();
    chart.draw_series([PathElement::new(path, colour.stroke_width(2))])?;
    let (style, thick) = (colour.filled(), colour.stroke_width(2));
    // A second round of the colours has other markers.
    match (line.look + line.look / COLOURS.len()) % 4 {
        0 => chart.draw_series(means().map(|at| Circle::new(at, 3, style))).map(drop)?,
        1 => chart.draw_series(means().map(|at| TriangleMarker::new(at, 5, style))).map(drop)?,
        2 => chart.draw_series(means().map(|at| Cross::new(at, 3, thick))).map(drop)?,
        _ => {
            let square = || vec![(-3, -3), (3, -3), (3, 3), (-3, 3), (-3, -3)];
            let marker = |at| EmptyElement::at(at) + PathElement::new(square(), colour);
            chart.draw_series(means().map(marker)).map(drop)?;
        }
    }
    let font = ("sans-serif", LETTERS).into_font().color(&colour);
    // Right of the last marker.
    let name = Text::new(line.name.clone(), (8, -(LETTERS as i32) / 2), font);
    chart.plotting_area().draw(&(EmptyElement::at(name_at) + name))
}

/// Heights of the names at the lines' ends: in the order of the ends, and none over another.
fn label_heights(lines: &[Line], low: f64, high: f64) -> Vec<f64> {
    let end = |line: &Line| line.points.last().map_or(low, |(_, [mean, ..])| *mean);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| end(&lines[*b]).total_cmp(&end(&lines[*a])));
    // A height of letters, as a share of the plot.
    let step = 0.07 * (high - low);
    let mut heights = vec![0.0; lines.len()];
    let mut top = f64::INFINITY;
    for i in order {
        let height = end(&lines[i]).min(top - step);
        heights[i] = height;
        top = height;
    }
    let sunk = low - heights.iter().copied().fold(f64::INFINITY, f64::min);
    if sunk > 0.0 {
        heights.iter_mut().for_each(|height| *height += sunk);
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_the_mean_and_the_range_of_its_runs() {
        let runs = [vec![(1.0, 0.5), (2.0, 0.7)], vec![(1.0, 0.1)]];
        let line = Line::over("a", 0, &runs);
        assert_eq!(line.points, [(1.0, [0.3, 0.1, 0.5]), (2.0, [0.7, 0.7, 0.7])]);
        let names = label_heights(&[line.clone(), line.clone(), line], 0.0, 1.0);
        assert!(names[0] > names[1] && names[1] > names[2], "{names:?}");
    }

    #[test]
    fn a_chart_names_its_lines() {
        let line = |name: &str, y| Line::over(name, 1, &[vec![(0.0, 0.1), (5.0, y)]]);
        let svg = lines("accuracy", "iteration", &[line("one", 0.4), line("two", 0.5)]).unwrap();
        for part in ["<svg", "accuracy", "one", "two", "iteration"] {
            assert!(svg.contains(part), "{part}");
        }
        // Ticks say what they stand for however small.
        assert_eq!(
            [tick(0.0, 1.0, 1), tick(5.0, 20.0, 0), tick(2.5e-5, 1e-4, 5)],
            ["0", "5", "2.5e-5"]
        );
        // A single point and no range are drawn too.
        assert!(lines("flat", "x", &[Line::over("a", 9, &[vec![(1.0, 2.0)]])]).is_ok());
    }
}
