//! A picture of the main columns: CPU per message, a panel for each column, its shortest bar first.

use std::fmt::Write;

use columns::Column;

use crate::number::figure;
use crate::record::Measure;
use crate::servers::SERVERS;
use crate::summary::Summary;

const PANELS: [&str; 8] = ["b", "c", "d", "e", "f", "g", "e-text", "f-text"];
/// Pixels.
const WIDTH: usize = 400;
const ROW: usize = 18;
const NAME: usize = 142;
const BAR: usize = 190;
const ACROSS: usize = 2;

/// Colours that can be read on white and on black.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-weight:600}.number,.name{font-size:11px}\
.name{text-anchor:end}.peer{fill:#8b949e}.raw{fill:#8b949e;opacity:.45}.ours{fill:#1a7fc4}\
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.peer{fill:#768390}.ours{fill:#4aa8ea}}";

/// An SVG without a background of its own.
pub fn picture(summary: &Summary) -> String {
    let panels: Vec<String> = PANELS.iter().filter_map(|name| panel(summary, Column::named(name)?)).collect();
    let height = (SERVERS.len() + 2) * ROW;
    let (rows, head) = (panels.len().div_ceil(ACROSS), 2 * ROW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\">\n<style>{STYLE}</style>\n\
         <title>Server CPU per message</title>\n\
         <text class=\"title\" x=\"8\" y=\"18\">Server CPU, µs per message: less is better. Median of each cell.</text>\n",
        WIDTH * ACROSS,
        head + rows * height,
    );
    for (index, panel) in panels.iter().enumerate() {
        let (x, y) = (index % ACROSS * WIDTH, head + index / ACROSS * height);
        let _ = writeln!(svg, "<g transform=\"translate({x} {y})\">\n{panel}</g>");
    }
    svg.push_str("</svg>\n");
    svg
}

fn panel(summary: &Summary, column: &Column) -> Option<String> {
    let mut bars: Vec<_> = SERVERS
        .iter()
        .filter_map(|server| Some((server, summary.cell(column.name, server.name)?.median(Measure::cpu_us))))
        .collect();
    bars.sort_by(|a, b| a.1.total_cmp(&b.1));
    let longest = bars.last()?.1;
    let mut text = format!("<text class=\"title\" x=\"{NAME}\" y=\"14\">{}</text>\n", column.about);
    for (row, (server, value)) in bars.into_iter().enumerate() {
        let top = (row + 1) * ROW + 4;
        let (base, width) = (top + ROW - 6, BAR as f64 * value / longest);
        let class = if server.raw {
            "raw"
        } else if server.name == "ours" {
            "ours"
        } else {
            "peer"
        };
        let (name, number) = (if server.name == "ours" { "Sockeye" } else { server.name }, figure(value));
        let _ = writeln!(
            text,
            "<text class=\"name\" x=\"{}\" y=\"{base}\">{name}</text>\
             <rect class=\"{class}\" x=\"{NAME}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" rx=\"2\"/>\
             <text class=\"number\" x=\"{:.1}\" y=\"{base}\">{number}</text>",
            NAME - 6,
            top + 2,
            ROW - 5,
            NAME as f64 + width + 5.0,
        );
    }
    Some(text)
}
