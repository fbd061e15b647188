//! The colours of the contenders: a hue for each family, and dashes for its variants.

use plotters::style::{BLACK, RGBColor, ShapeStyle};

/// How a contender is drawn, in all plots.
pub(super) struct Style {
    pub(super) stroke: ShapeStyle,
    /// Lengths of dash and gap; none for a continuous line.
    pub(super) dash: Option<(i32, i32)>,
}

const FAMILIES: &[(&str, RGBColor)] = &[
    ("ump", RGBColor(214, 39, 40)),
    ("tokio", RGBColor(31, 119, 180)),
    ("flume", RGBColor(0, 158, 158)),
    ("kanal", RGBColor(44, 140, 44)),
    ("crossfire", RGBColor(128, 70, 190)),
    ("async-channel", RGBColor(140, 86, 75)),
    ("crossbeam", RGBColor(227, 100, 194)),
    ("std", RGBColor(120, 120, 120)),
    ("kameo", RGBColor(188, 155, 20)),
    ("ractor", RGBColor(80, 120, 0)),
    ("actix", RGBColor(255, 140, 0)),
    ("xtra", RGBColor(70, 70, 140)),
];

pub(super) fn style(name: &str) -> Style {
    let family = FAMILIES.iter().find(|(family, _)| name.starts_with(family));
    let color = family.map_or(BLACK, |(_, color)| *color);
    let dash = match name {
        "floor-spin" => Some((2, 3)),
        "floor-park" => Some((8, 3)),
        "ump-0.13" => Some((6, 3)),
        _ if name.ends_with("-kept") => Some((9, 4)),
        _ if name.ends_with("-own") => Some((3, 3)),
        _ => None,
    };
    let width = if name == "ump" { 4 } else { 2 };
    Style {
        stroke: ShapeStyle::from(color).stroke_width(width),
        dash,
    }
}
