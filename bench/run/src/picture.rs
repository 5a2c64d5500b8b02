//! A picture of the main columns: CPU per message, a panel for each column, its shortest bar first.

use std::fmt::Write;

use columns::Column;

use crate::number::{figure, grouped};
use crate::record::Measure;
use crate::servers::{Kind, SERVERS};
use crate::summary::Summary;

const PANELS: [&str; 12] =
    ["b", "c", "d", "e", "f", "g", "g-stream", "b-text", "e-text", "f-text", "client-b", "client-f"];
/// Pixels.
const WIDTH: f64 = 440.0;
const ROW: f64 = 17.0;
const NAME: f64 = 144.0;
const BAR: f64 = 220.0;
const MARGIN: f64 = 8.0;
/// What a panel has above its bars, and with its axis below.
const ABOVE: f64 = 42.0;
const BELOW: f64 = 40.0;
const ACROSS: usize = 2;

/// Colours that can be read on white and on black alike: what an image is shown on is not always what the system is set to.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#6e7781}.title{font-weight:600;font-size:13px}.name{text-anchor:end}\
.number,.axis{font-size:11px}.axis{text-anchor:middle}.grid{stroke:#8b949e;stroke-opacity:.3}\
rect.peer{fill:#8b949e;fill-opacity:.7}rect.raw{fill:none;stroke:#8b949e;stroke-dasharray:3 2}.ours{fill:#2388d9}\
text.ours{font-weight:600}";

struct Panel {
    svg: String,
    height: f64,
}

/// An SVG without a background of its own.
pub fn picture(summary: &Summary) -> String {
    let columns = PANELS.iter().filter_map(|name| Column::named(name));
    let panels: Vec<Panel> = columns.filter_map(|column| panel(summary, column)).collect();
    let mut body = String::new();
    let mut y = 46.0;
    for row in panels.chunks(ACROSS) {
        for (at, panel) in row.iter().enumerate() {
            let _ = writeln!(body, "<g transform=\"translate({} {y})\">\n{}</g>", at as f64 * WIDTH, panel.svg);
        }
        y += row.iter().map(|panel| panel.height).fold(0.0, f64::max);
    }
    for line in notes(summary) {
        y += ROW;
        let _ = writeln!(body, "<text class=\"number\" x=\"{MARGIN}\" y=\"{}\">{}</text>", y - 6.0, escaped(&line));
    }
    let (width, height) = (WIDTH * ACROSS as f64, y + MARGIN);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" role=\"img\">\n\
         <style>{STYLE}</style>\n<title>CPU time per message</title>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"18\">CPU time per message in µs: less is better</text>\n\
         <text x=\"{MARGIN}\" y=\"36\">Median of each cell; ~ where every run was disturbed. Dashed: no protocol at all, which shows what is left to win.</text>\n\
         {body}</svg>\n"
    )
}

fn panel(summary: &Summary, column: &Column) -> Option<Panel> {
    let cells = SERVERS.iter().filter_map(|server| Some((server, summary.cell(column.name, server.name)?)));
    let mut bars: Vec<_> = cells.map(|(server, cell)| (server, cell, cell.median(Measure::cpu_us))).collect();
    bars.sort_by(|a, b| a.2.total_cmp(&b.2));
    let longest = bars.last()?.2;
    let bottom = ABOVE + bars.len() as f64 * ROW;
    let mut svg = format!("<text class=\"title\" x=\"{NAME}\" y=\"16\">{}: {}</text>\n", column.name, column.about);
    let ours = bars.iter().find(|(server, ..)| server.kind == Kind::Ours);
    if let Some(((peer, theirs), (.., ours))) = summary.best_peer(column.name).zip(ours) {
        let ratio = ours / theirs;
        let _ = writeln!(svg, "<text x=\"{NAME}\" y=\"32\">Sockeye {ratio:.2} × the best peer, {}</text>", peer.name);
    }
    let step = step(longest);
    for tick in (0..).map(|tick| tick as f64 * step).take_while(|tick| *tick <= longest) {
        let (x, label) = (NAME + BAR * tick / longest, label(tick));
        let _ = writeln!(
            svg,
            "<path class=\"grid\" d=\"M{x:.1} {ABOVE}V{:.1}\"/><text class=\"axis\" x=\"{x:.1}\" y=\"{:.1}\">{label}</text>",
            bottom + 3.0,
            bottom + 15.0,
        );
    }
    for (row, (server, cell, value)) in bars.iter().enumerate() {
        let top = ABOVE + row as f64 * ROW;
        let (base, width) = (top + ROW - 5.0, BAR * value / longest);
        let class = match server.kind {
            Kind::Raw => "raw",
            Kind::Ours | Kind::Proxy => "ours",
            Kind::Peer => "peer",
        };
        let name = server.name.replace("ours", "Sockeye");
        let number = format!("{}{}", if cell.is_disturbed() { "~" } else { "" }, figure(*value));
        let _ = writeln!(
            svg,
            "<text class=\"name {class}\" x=\"{}\" y=\"{base}\">{name}</text>\
             <rect class=\"{class}\" x=\"{NAME}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\"/>\
             <text class=\"number {class}\" x=\"{:.1}\" y=\"{base}\">{number}</text>",
            NAME - 6.0,
            top + 2.0,
            ROW - 4.0,
            NAME + width + 5.0,
        );
    }
    Some(Panel { svg, height: bottom + BELOW })
}

fn label(tick: f64) -> String {
    match tick {
        0.0 => "0 µs".to_owned(),
        ..1_000.0 => tick.to_string(),
        _ => grouped(tick),
    }
}

/// A round distance between two ticks, of which there are at most five.
fn step(longest: f64) -> f64 {
    let mut step = 10f64.powf((longest / 5.0).log10().floor());
    for factor in [2.0, 2.5, 2.0] {
        if longest / step > 5.0 {
            step *= factor;
        }
    }
    step
}

/// What it was measured on, and with what, in lines.
fn notes(summary: &Summary) -> Vec<String> {
    /// Characters.
    const LINE: usize = 140;
    let mut lines = Vec::new();
    for of in &summary.environments {
        let runs = format!("{} rounds of {} s", of.rounds, of.seconds);
        let versions = of.versions.iter().map(|(name, version)| format!("{name} {version}"));
        let measured_on = [format!("{} UTC", of.date), of.processor.clone(), of.kernel.clone(), of.rustc.clone()];
        let mut line = String::new();
        for note in measured_on.into_iter().chain([format!("commit {}", of.commit), runs]).chain(versions) {
            if line.len() + note.len() > LINE {
                lines.push(core::mem::take(&mut line));
            }
            line += if line.is_empty() { "" } else { ", " };
            line += &note;
        }
        lines.push(line);
    }
    lines
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_has_three_to_five_round_steps() {
        for (longest, expected) in
            [(0.43, 0.1), (4.5, 1.0), (6.7, 2.0), (12.0, 5.0), (670.0, 200.0), (9_000.0, 2_000.0)]
        {
            assert!((step(longest) / expected - 1.0).abs() < 1e-9, "{longest}: {}", step(longest));
        }
    }
}
