//! Line charts of several arms, each with a band over its seeds, as SVG.

use plotters::prelude::{
    ChartBuilder, Circle, Color, Cross, EmptyElement, IntoDrawingArea, IntoFont, PathElement,
    Polygon, RGBColor, SVGBackend, Text, TriangleMarker, WHITE,
};

use crate::failure::Failure;

/// Width and height of a chart.
const SIZE: (u32, u32) = (560, 300);
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
    pub(crate) points: Vec<(f64, [f64; 3])>,
}

impl Line {
    /// The mean and the range over several runs, at each place that any of them has.
    pub(crate) fn over(name: &str, runs: &[Vec<(f64, f64)>]) -> Self {
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
        Self { name: name.to_string(), points: places.iter().map(point).collect() }
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
    let all = || lines.iter().flat_map(|line| &line.points);
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut first, mut last) = (f64::INFINITY, f64::NEG_INFINITY);
    for (x, [_, least, most]) in all() {
        (low, high) = (low.min(*least), high.max(*most));
        (first, last) = (first.min(*x), last.max(*x));
    }
    let margin = 0.05 * (high - low).max(1e-9);
    let last = if last > first { last } else { first + 1.0 };
    let root = SVGBackend::with_string(text, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(|error| error.to_string())?;
    let mut chart = ChartBuilder::on(&root)
        .margin(10)
        .caption(title, ("sans-serif", 15).into_font())
        .x_label_area_size(32)
        .y_label_area_size(48)
        .margin_right(96)
        .build_cartesian_2d(first..last, low - margin..high + margin)
        .map_err(|error| error.to_string())?;
    chart
        .configure_mesh()
        .x_labels(7)
        .y_labels(5)
        .x_desc(x_label)
        .label_style(("sans-serif", 11).into_font())
        .light_line_style(WHITE)
        .draw()
        .map_err(|error| error.to_string())?;
    let labels = label_heights(lines, low, high);
    for (i, line) in lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let upper = line.points.iter().map(|(x, [_, _, high])| (*x, *high));
        let lower = line.points.iter().rev().map(|(x, [_, low, _])| (*x, *low));
        let band: Vec<(f64, f64)> = upper.chain(lower).collect();
        let fault = |error: &dyn std::fmt::Display| error.to_string();
        chart
            .draw_series([Polygon::new(band, colour.mix(0.12).filled())])
            .map_err(|error| fault(&error))?;
        let means = || line.points.iter().map(|(x, [mean, ..])| (*x, *mean));
        chart
            .draw_series([PathElement::new(means().collect::<Vec<_>>(), colour.stroke_width(2))])
            .map_err(|error| fault(&error))?;
        let style = colour.filled();
        let drawn = match i % 4 {
            0 => chart.draw_series(means().map(|at| Circle::new(at, 3, style))).map(|_| ()),
            1 => chart.draw_series(means().map(|at| TriangleMarker::new(at, 5, style))).map(|_| ()),
            2 => chart
                .draw_series(means().map(|at| Cross::new(at, 3, colour.stroke_width(2))))
                .map(|_| ()),
            _ => chart
                .draw_series(means().map(|at| {
                    EmptyElement::at(at)
                        + PathElement::new(
                            vec![(-3, -3), (3, -3), (3, 3), (-3, 3), (-3, -3)],
                            colour,
                        )
                }))
                .map(|_| ()),
        };
        drawn.map_err(|error| fault(&error))?;
        let name = Text::new(
            format!(" {}", line.name),
            (last, labels[i]),
            ("sans-serif", 11).into_font().color(&colour),
        );
        chart.plotting_area().draw(&name).map_err(|error| fault(&error))?;
    }
    drop(chart);
    root.present().map_err(|error| error.to_string())?;
    drop(root);
    Ok(())
}

/// Heights of the names at the lines' ends: in the order of the ends, and none over another.
fn label_heights(lines: &[Line], low: f64, high: f64) -> Vec<f64> {
    let end = |line: &Line| line.points.last().map_or(low, |(_, [mean, ..])| *mean);
    let mut order: Vec<usize> = (0..lines.len()).collect();
    order.sort_by(|a, b| end(&lines[*b]).total_cmp(&end(&lines[*a])));
    let step = 0.062 * (high - low).max(1e-9);
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
        let line = Line::over("a", &runs);
        assert_eq!(line.points, [(1.0, [0.3, 0.1, 0.5]), (2.0, [0.7, 0.7, 0.7])]);
        let names = label_heights(&[line.clone(), line.clone(), line], 0.0, 1.0);
        assert!(names[0] > names[1] && names[1] > names[2], "{names:?}");
    }

    #[test]
    fn a_chart_names_its_lines() {
        let line = |name: &str, y| Line::over(name, &[vec![(0.0, 0.1), (5.0, y)]]);
        let svg = lines("accuracy", "iteration", &[line("one", 0.4), line("two", 0.5)]).unwrap();
        for part in ["<svg", "accuracy", "one", "two", "iteration"] {
            assert!(svg.contains(part), "{part}");
        }
        // A single point and no range are drawn too.
        assert!(lines("flat", "x", &[Line::over("a", &[vec![(1.0, 2.0)]])]).is_ok());
    }
}
