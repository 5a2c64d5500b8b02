//! The tables, in Markdown.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use columns::{COLUMNS, Column, Task};

use crate::number::{figure, grouped};
use crate::record::Measure;
use crate::servers::SERVERS;
use crate::summary::{Cell, Summary};

const MARK: &str = "<!-- bench -->";

/// All that the results say.
pub fn tables(summary: &Summary) -> String {
    let mut text = environment(summary);
    let messages = |columns: &str| named(summary, columns);
    for (title, columns) in [("Echo", "a b c d e f g"), ("Text", "b-text e-text f-text"), ("TLS", "b-tls f-tls")] {
        let columns = messages(columns);
        cpu(&mut text, summary, &format!("{title}: server CPU, µs per message"), &columns);
        rate(&mut text, summary, &format!("{title}: best throughput"), &columns);
    }
    deflate(&mut text, summary, &messages("deflate deflate-takeover"));
    let broadcast = messages("broadcast-1000 broadcast-9000");
    cpu(&mut text, summary, "Broadcast: server CPU, µs per delivery", &broadcast);
    rate(&mut text, summary, "Broadcast: most deliveries a second", &broadcast);
    let connections = messages("connections");
    cpu(&mut text, summary, "Connections: server CPU, µs per connection", &connections);
    rate(&mut text, summary, "Connections: most a second", &connections);
    memory(&mut text, summary, &messages("memory memory-tls memory-deflate memory-deflate-takeover"));
    text
}

/// Writes the tables between the two marks of a file.
pub fn replace(path: &Path, tables: &str) -> Result<(), Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let parts: Vec<&str> = text.split(MARK).collect();
    let [before, _, after] = parts.as_slice() else {
        return Err(format!("{} does not have the mark {MARK} twice", path.display()).into());
    };
    Ok(fs::write(path, format!("{before}{MARK}\n{tables}{MARK}{after}"))?)
}

fn environment(summary: &Summary) -> String {
    let mut text = String::new();
    for of in &summary.environments {
        let (rounds, seconds) = (of.rounds, of.seconds);
        let _ = writeln!(text, "{} UTC, {}, {}, {}, commit {}.", of.date, of.processor, of.kernel, of.rustc, of.commit);
        let _ = writeln!(text, "{rounds} rounds of {seconds} s each. Versions: {}.\n", versions(&of.versions));
    }
    text.push_str("~ every run was disturbed. – not measured: the server cannot, or the column says nothing of it.\n");
    text
}

fn versions(versions: &[(String, String)]) -> String {
    versions.iter().map(|(name, version)| format!("{name} {version}")).collect::<Vec<_>>().join(", ")
}

/// Those columns that there are results of.
fn named(summary: &Summary, names: &str) -> Vec<&'static Column> {
    names.split(' ').filter(|name| summary.has(name)).filter_map(Column::named).collect()
}

/// The median, and the best in brackets.
fn cpu(text: &mut String, summary: &Summary, title: &str, columns: &[&Column]) {
    let title = format!("{title}: median (best)");
    table(
        text,
        summary,
        &title,
        columns,
        |column| vec![column.about.to_owned()],
        |_, cell| vec![format!("{} ({})", figure(cell.median(Measure::cpu_us)), figure(cell.least(Measure::cpu_us)))],
    );
}

/// Messages a second, or MB a second where messages are large.
fn rate(text: &mut String, summary: &Summary, title: &str, columns: &[&Column]) {
    const LARGE: usize = 64 << 10;
    let unit = |column: &Column| {
        let unit = if column.size >= LARGE { "MB/s each way" } else { "per s" };
        vec![format!("{}, {unit}", column.about)]
    };
    table(text, summary, title, columns, unit, |column, cell| {
        vec![if column.size >= LARGE {
            grouped(cell.most(Measure::bytes_rate) / 1e6)
        } else {
            grouped(cell.most(Measure::rate))
        }]
    });
}

fn deflate(text: &mut String, summary: &Summary, columns: &[&Column]) {
    for column in columns {
        let Task::Deflate { .. } = column.task else { continue };
        let title = format!("Compression: {}", column.about);
        let heads =
            |_: &Column| ["CPU µs, median (best)", "messages/s", "answer, bytes", "agreed"].map(String::from).into();
        table(text, summary, &title, &[column], heads, |_, cell| {
            let size = |measure: &Measure| measure.answer_bytes as f64 / measure.messages as f64;
            vec![
                format!("{} ({})", figure(cell.median(Measure::cpu_us)), figure(cell.least(Measure::cpu_us))),
                grouped(cell.most(Measure::rate)),
                grouped(cell.median(size)),
                cell.extensions().unwrap_or_default().trim_start_matches("permessage-deflate").replace("; ", " "),
            ]
        });
    }
}

fn memory(text: &mut String, summary: &Summary, columns: &[&Column]) {
    let heads = |column: &Column| vec![format!("{}: idle", column.about), "after use".to_owned()];
    table(
        text,
        summary,
        "Memory: the server's, bytes per connection, at so many: median",
        columns,
        heads,
        |_, cell| {
            let (idle, used) = (cell.median(|of| of.idle_bytes as f64), cell.median(|of| of.used_bytes as f64));
            vec![grouped(idle), grouped(used)]
        },
    );
}

/// A table with a row for each server that has a figure, and what `heads` and `cells` make of each column.
fn table(
    text: &mut String,
    summary: &Summary,
    title: &str,
    columns: &[&Column],
    heads: impl Fn(&Column) -> Vec<String>,
    cells: impl Fn(&Column, Cell<'_>) -> Vec<String>,
) {
    if columns.is_empty() {
        return;
    }
    let heads: Vec<Vec<String>> = columns.iter().map(|column| heads(column)).collect();
    let _ = writeln!(text, "\n**{title}**\n\n| server | {} |", heads.concat().join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(heads.concat().len()));
    for server in SERVERS {
        let mut row = Vec::new();
        for (column, heads) in columns.iter().zip(&heads) {
            match summary.cell(column.name, server.name) {
                None => row.extend(heads.iter().map(|_| "–".to_owned())),
                Some(cell) => {
                    let mark = if cell.is_disturbed() { "~" } else { "" };
                    row.extend(cells(column, cell).into_iter().map(|text| format!("{mark}{text}")));
                }
            }
        }
        if row.iter().any(|cell| cell != "–") {
            let _ = writeln!(text, "| {} | {} |", server.name, row.join(" | "));
        }
    }
}

/// What can be measured.
pub fn list() -> String {
    let mut text = String::from("columns:\n");
    for column in COLUMNS {
        let _ = writeln!(text, "  {:17} {}", column.name, column.about);
    }
    let servers: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    let _ = writeln!(text, "servers: {}", servers.join(" "));
    text
}
