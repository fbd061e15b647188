//! The pictures. The legend is beside the plot, so that it covers nothing.

use std::{error::Error, ops::Range, path::Path};

use plotters::{
    chart::ChartContext,
    coord::{
        Shift,
        cartesian::Cartesian2d,
        combinators::LogCoord,
        ranged1d::{DefaultFormatting, KeyPointHint, Ranged},
        types::RangedCoordf64,
    },
    element::DashedPathElement,
    prelude::*,
    series::DashedLineSeries,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::style::{Style, style};
use crate::{
    contenders::Role,
    results::{CaseResult, Results},
};

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn Error>>;
type Chart<'a, 'b, X, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, Y>>;
type Line<'a> = (&'a str, Vec<(f64, f64)>);

const FONT: &str = "sans-serif";

pub(super) fn draw(results: &Results, directory: &Path) -> Drawn {
    for case in &results.cases {
        if case
            .contenders
            .iter()
            .any(|contender| contender.latency.is_some())
        {
            latency(case, &directory.join(format!("{}.svg", case.name)))?;
        }
    }
    for plot in ["blocking", "async"] {
        scaling(
            plot,
            &results.cases,
            &directory.join(format!("scaling-{plot}.svg")),
        )?;
    }
    overview(&results.cases, &directory.join("overview.svg"))
}

/// The share of requests by their latency.
fn latency(case: &CaseResult, path: &Path) -> Drawn {
    let lines: Vec<Line<'_>> = case
        .contenders
        .iter()
        .filter_map(|contender| {
            let curve = &contender.latency.as_ref()?.curve;
            let line = curve
                .iter()
                .map(|(nines, ns)| (crate::sample::as_f64(*ns), *nines))
                .collect();
            Some((contender.name.as_str(), line))
        })
        .collect();
    let root = SVGBackend::new(path, (900, 560)).into_drawing_area();
    let area = with_legend(&root, &lines)?;
    let (x, y) = (
        bounds(&lines, |point| point.0),
        bounds(&lines, |point| point.1),
    );
    let nines = [0.0, 2_f64.log10(), 1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    let mut chart = frame(&area)
        .caption(
            format!("{}: time from question to reply", case.name),
            (FONT, 20),
        )
        .build_cartesian_2d(
            log_axis(x.0 * 0.9, x.1 * 1.1),
            Ticks::on(
                RangedCoordf64::from(0.0..y.1 * 1.02),
                nines.into_iter().filter(|n| *n < y.1).collect(),
            ),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .x_desc("time, logarithmic")
        .y_desc("requests that took no longer")
        .x_label_formatter(&|ns| duration(*ns))
        .y_label_formatter(&|nines| percent(*nines))
        .draw()?;
    draw_lines(&mut chart, &lines)?;
    root.present()?;
    Ok(())
}

/// Requests per second against number of clients.
fn scaling(plot: &str, cases: &[CaseResult], path: &Path) -> Drawn {
    let mut points: Vec<&CaseResult> = cases
        .iter()
        .filter(|case| case.scaling.as_deref() == Some(plot))
        .collect();
    points.sort_by_key(|case| case.clients);
    let Some(last) = points.last().filter(|_| points.len() > 1) else {
        return Ok(());
    };
    let of = |name: &'_ str| -> Vec<(f64, f64)> {
        let of_case = |case: &&CaseResult| {
            let contender = case
                .contenders
                .iter()
                .find(|contender| contender.name == name)?;
            Some((clients(case), 1e9 / contender.nanoseconds.median))
        };
        points.iter().filter_map(of_case).collect()
    };
    let names = last
        .contenders
        .iter()
        .filter(|contender| contender.role != Role::Floor);
    let lines: Vec<Line<'_>> = names
        .map(|contender| (contender.name.as_str(), of(&contender.name)))
        .filter(|(_, line)| line.len() == points.len())
        .collect();
    let root = SVGBackend::new(path, (900, 560)).into_drawing_area();
    let area = with_legend(&root, &lines)?;
    let (x, y) = (
        bounds(&lines, |point| point.0),
        bounds(&lines, |point| point.1),
    );
    let counts: Vec<f64> = points.iter().map(|case| clients(case)).collect();
    let ends = if plot == "async" {
        "tasks ask a task, two executor threads"
    } else {
        "threads ask a thread"
    };
    let mut chart = frame(&area)
        .caption(format!("Throughput: {ends}"), (FONT, 20))
        .build_cartesian_2d(
            Ticks::on(LogCoord::from((x.0 * 0.9..x.1 * 1.1).log_scale()), counts),
            log_axis(y.0 * 0.8, y.1 * 1.25),
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .x_desc("clients, logarithmic")
        .y_desc("requests per second, logarithmic")
        .x_label_formatter(&|clients| format!("{clients:.0}"))
        .y_label_formatter(&|rate| thousands(*rate))
        .draw()?;
    draw_lines(&mut chart, &lines)?;
    for (name, line) in &lines {
        let color = style(name).stroke.color;
        chart.draw_series(
            line.iter()
                .map(|point| Circle::new(*point, 3, color.filled())),
        )?;
    }
    root.present()?;
    Ok(())
}

/// A bar chart of the summary.
fn overview(cases: &[CaseResult], path: &Path) -> Drawn {
    const ROW: u32 = 58;
    let rows: Vec<&CaseResult> = cases
        .iter()
        .filter(|case| !case.name.starts_with("scaling"))
        .collect();
    let values = |case: &&CaseResult| {
        bars(case)
            .into_iter()
            .map(|bar| bar.nanoseconds)
            .collect::<Vec<_>>()
    };
    let values: Vec<f64> = rows.iter().flat_map(values).collect();
    let Some(most) = values.iter().copied().reduce(f64::max) else {
        return Ok(());
    };
    let least = values.iter().copied().fold(f64::MAX, f64::min) * 0.6;
    let count = u32::try_from(rows.len())?;
    let root = SVGBackend::new(path, (1000, 120 + count * ROW)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, area) = root.split_vertically(64);
    caption(&head)?;
    let middles = (0..count).map(|row| f64::from(row) + 0.5).collect();
    let mut chart = ChartBuilder::on(&area)
        .margin_right(110)
        .margin_bottom(8)
        .x_label_area_size(44)
        .y_label_area_size(215)
        .build_cartesian_2d(
            log_axis(least, most * 1.2),
            Ticks::on(RangedCoordf64::from(f64::from(count)..0.0), middles),
        )?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 14))
        .axis_desc_style((FONT, 15))
        .x_desc("time per request, logarithmic")
        .x_label_formatter(&|ns| duration(*ns))
        .y_label_formatter(&|row| row_name(&rows, *row))
        .draw()?;
    for (case, row) in rows.iter().zip(0_u32..) {
        for (bar, slot) in bars(case).iter().zip(0_u32..) {
            let top = f64::from(row) + 0.1 + f64::from(slot) * 0.2;
            let bottom = top + 0.18;
            let ends = [(least, top), (bar.nanoseconds, bottom)];
            chart.draw_series([Rectangle::new(ends, bar.color.filled())])?;
            let label = (FONT, 11)
                .into_font()
                .into_text_style(&area)
                .pos(Pos::new(HPos::Left, VPos::Center));
            let at = (bar.nanoseconds * 1.02, f64::midpoint(top, bottom));
            chart.draw_series([Text::new(format!(" {}", bar.label), at, label)])?;
        }
    }
    root.present()?;
    Ok(())
}

struct Bar {
    label: String,
    nanoseconds: f64,
    color: RGBColor,
}

const KINDS: [(Role, &str, RGBColor); 4] = [
    (Role::Ump, "ump", RGBColor(214, 39, 40)),
    (Role::Peer, "best peer", RGBColor(31, 119, 180)),
    (Role::Published, "ump 0.13", RGBColor(240, 160, 120)),
    (Role::Floor, "floor", RGBColor(150, 150, 150)),
];

fn bars(case: &CaseResult) -> Vec<Bar> {
    let bar = |(role, _, color): (Role, &str, RGBColor)| {
        let contender = case.best(role)?;
        let nanoseconds = contender.nanoseconds.median;
        let time = duration(nanoseconds);
        let named = role == Role::Peer || role == Role::Floor;
        let label = if named {
            format!("{time} {}", contender.name.trim_start_matches("floor-"))
        } else {
            time
        };
        Some(Bar {
            label,
            nanoseconds,
            color,
        })
    };
    KINDS.into_iter().filter_map(bar).collect()
}

fn row_name(rows: &[&CaseResult], row: f64) -> String {
    let mut numbered = rows.iter().zip(0_u32..);
    let found = numbered.find(|(_, number)| (f64::from(*number) + 0.5 - row).abs() < 0.1);
    found.map_or(String::new(), |(case, _)| case.name.clone())
}

fn caption(head: &Area<'_>) -> Drawn {
    head.draw(&Text::new(
        "Time per request, medians",
        (20, 10),
        (FONT, 20),
    ))?;
    for ((_, name, color), column) in KINDS.into_iter().zip(0..) {
        let x = 215 + column * 130;
        head.draw(&Rectangle::new([(x, 42), (x + 22, 54)], color.filled()))?;
        head.draw(&Text::new(name, (x + 28, 40), (FONT, 14)))?;
    }
    Ok(())
}

/// Draws the legend on the right; the rest is for the plot.
fn with_legend<'a>(root: &Area<'a>, lines: &[Line<'_>]) -> Result<Area<'a>, Box<dyn Error>> {
    root.fill(&WHITE)?;
    let (plot, legend) = root.split_horizontally(735);
    for ((name, _), row) in lines.iter().zip(0..) {
        let y = 60 + row * 24;
        let Style { stroke, dash } = style(name);
        let points = [(0, y), (38, y)];
        match dash {
            None => legend.draw(&PathElement::new(points, stroke))?,
            Some((dash, gap)) => legend.draw(&DashedPathElement::new(points, dash, gap, stroke))?,
        }
        let label = (FONT, 14)
            .into_font()
            .into_text_style(&legend)
            .pos(Pos::new(HPos::Left, VPos::Center));
        legend.draw(&Text::new(*name, (46, y), label))?;
    }
    Ok(plot)
}

fn frame<'a, 'b>(area: &'a Area<'b>) -> ChartBuilder<'a, 'b, SVGBackend<'b>> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin(12)
        .x_label_area_size(48)
        .y_label_area_size(76);
    builder
}

fn draw_lines<X, Y>(chart: &mut Chart<'_, '_, X, Y>, lines: &[Line<'_>]) -> Drawn
where
    X: Ranged<ValueType = f64>,
    Y: Ranged<ValueType = f64>,
{
    // This crate's line is on top.
    let (ump, others): (Vec<_>, Vec<_>) = lines.iter().partition(|(name, _)| *name == "ump");
    for (name, line) in others.into_iter().chain(ump) {
        let Style { stroke, dash } = style(name);
        let points = line.iter().copied();
        match dash {
            None => chart.draw_series(LineSeries::new(points, stroke))?,
            Some((dash, gap)) => {
                chart.draw_series(DashedLineSeries::new(points, dash, gap, stroke))?
            }
        };
    }
    Ok(())
}

fn bounds(lines: &[Line<'_>], coordinate: impl Fn(&(f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.iter().flat_map(|(_, line)| line).map(coordinate);
    values.fold((f64::MAX, f64::MIN), |(least, most), value| {
        (least.min(value), most.max(value))
    })
}

fn clients(case: &CaseResult) -> f64 {
    f64::from(u32::try_from(case.clients).expect("not that many"))
}

fn duration(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 999.5 => (ns, "ns"),
        ns if ns < 999_500.0 => (ns / 1e3, "µs"),
        ns if ns < 999_500_000.0 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let is_round = unit == "ns" || value >= 99.95 || value.fract() < 1e-9;
    let decimals = usize::from(!is_round);
    format!("{value:.decimals$} {unit}")
}

fn percent(nines: f64) -> String {
    let percent = 100.0 * (1.0 - 10_f64.powf(-nines));
    let decimals = if nines > 2.5 {
        1 + usize::from(nines > 3.5) + usize::from(nines > 4.5)
    } else {
        0
    };
    format!("{percent:.decimals$} %")
}

fn thousands(rate: f64) -> String {
    if rate < 999_500.0 {
        format!("{:.0} k", rate / 1e3)
    } else {
        format!("{:.1} M", rate / 1e6)
    }
}

/// A logarithmic axis with ticks at round numbers; a longer axis has rounder ones.
fn log_axis(least: f64, most: f64) -> Ticks<LogCoord<f64>> {
    let steps: &[f64] = match most / least {
        ..10.0 => &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0],
        ..3e3 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let ticks = (-1..12).flat_map(|power| steps.iter().map(move |step| step * 10_f64.powi(power)));
    let at = ticks.filter(|tick| (least..=most).contains(tick)).collect();
    Ticks::on(LogCoord::from((least..most).log_scale()), at)
}

/// An axis with ticks at given places.
struct Ticks<R> {
    axis: R,
    at: Vec<f64>,
}

impl<R> Ticks<R> {
    fn on(axis: R, at: Vec<f64>) -> Self {
        Self { axis, at }
    }
}

impl<R: Ranged<ValueType = f64>> Ranged for Ticks<R> {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        self.axis.map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, _hint: Hint) -> Vec<f64> {
        self.at.clone()
    }

    fn range(&self) -> Range<f64> {
        self.axis.range()
    }
}
