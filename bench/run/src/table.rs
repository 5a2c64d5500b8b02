//! The tables, in Markdown.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use columns::{COLUMNS, Column, Task};

use crate::number::{figure, grouped};
use crate::record::Measure;
use crate::servers::{Kind, SERVERS, Server};
use crate::summary::{Cell, Summary};

const COMMAND: &str = "cargo run --release --manifest-path bench/Cargo.toml -p bench --";
const MARK: &str = "<!-- bench -->";

/// All that the results say.
pub fn tables(summary: &Summary) -> String {
    let mut text = environment(summary);
    let messages = |columns: &str| named(summary, columns);
    let echoes = [("Echo", "a b c d e f g g-stream"), ("Text", "b-text e-text f-text"), ("TLS", "b-tls f-tls")];
    for (title, columns) in echoes {
        let columns = messages(columns);
        cpu(&mut text, summary, &format!("{title}: server CPU, µs per message"), &columns);
        rate(&mut text, summary, &format!("{title}: best throughput"), &columns);
    }
    cpu(&mut text, summary, "Clients: client CPU, µs per message", &messages("client-b client-f"));
    threads(&mut text, summary, &messages("b-1-thread b-2-threads"));
    proxy(&mut text, summary, &messages("b-proxy e-proxy"));
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
        let _ = writeln!(text, "{} UTC, {}, {}, {}, commit {}.", of.date, of.processor, of.kernel, of.rustc, of.commit);
        let _ =
            writeln!(text, "{} rounds of {} s each. Versions: {}.\n", of.rounds, of.seconds, versions(&of.versions));
    }
    text.push_str(
        "~ every run was disturbed. – not measured: the server cannot, or the column says nothing of it. The last rows \
         divide our median by that of the best peer, which is named: less than 1 is less than theirs.\n",
    );
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
    let heads = |column: &Column| vec![column.about.to_owned()];
    table(text, summary, &title, columns, heads, |_, cell| vec![median_and_best(&cell)]);
    for ours in SERVERS.iter().filter(|server| server.kind == Kind::Ours) {
        let ratios: Vec<String> = columns.iter().map(|column| to_best_peer(summary, column, ours)).collect();
        if ratios.iter().any(|ratio| ratio != "–") {
            let _ = writeln!(text, "| **{} ÷ best peer** | {} |", ours.name, ratios.join(" | "));
        }
    }
}

fn median_and_best(cell: &Cell<'_>) -> String {
    format!("{} ({})", figure(cell.median(Measure::cpu_us)), figure(cell.least(Measure::cpu_us)))
}

fn mark(cell: &Cell<'_>) -> &'static str {
    if cell.is_disturbed() { "~" } else { "" }
}

fn to_best_peer(summary: &Summary, column: &Column, ours: &Server) -> String {
    let ours = summary.cell(column.name, ours.name).map(|cell| cell.median(Measure::cpu_us));
    match ours.zip(summary.best_peer(column.name)) {
        Some((ours, (peer, theirs))) => format!("{:.2} {}", ours / theirs, peer.name),
        None => "–".to_owned(),
    }
}

/// How much more a message costs when two threads share the work.
fn threads(text: &mut String, summary: &Summary, columns: &[&Column]) {
    let [one, two] = columns else { return };
    begin(text, summary, "Threads: server CPU, µs per message: median (best)", columns);
    text.push_str("| server | one thread | two threads | two ÷ one |\n|---|---:|---:|---:|\n");
    for server in SERVERS {
        let (Some(one), Some(two)) = (summary.cell(one.name, server.name), summary.cell(two.name, server.name)) else {
            continue;
        };
        let ratio = two.median(Measure::cpu_us) / one.median(Measure::cpu_us);
        let cells = [one, two].map(|cell| format!("{}{}", mark(&cell), median_and_best(&cell)));
        let _ = writeln!(text, "| {} | {} | {ratio:.2} |", server.name, cells.join(" | "));
    }
}

/// What a message costs a proxy beside what it costs the server.
fn proxy(text: &mut String, summary: &Summary, columns: &[&Column]) {
    cpu(text, summary, "Proxy: its CPU, µs per message, and that of the server without one", columns);
    let median = |column: &Column, name: &str| summary.cell(column.name, name).map(|cell| cell.median(Measure::cpu_us));
    for server in SERVERS.iter().filter(|server| server.kind == Kind::Proxy) {
        let ratios: Vec<String> = columns
            .iter()
            .map(|column| match median(column, server.name).zip(median(column, "ours")) {
                Some((proxy, server)) => format!("{:.2}", proxy / server),
                None => "–".to_owned(),
            })
            .collect();
        if !ratios.is_empty() {
            let _ = writeln!(text, "| **{} ÷ ours** | {} |", server.name, ratios.join(" | "));
        }
    }
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
                median_and_best(&cell),
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
    begin(text, summary, title, columns);
    let _ = writeln!(text, "| server | {} |", heads.concat().join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(heads.concat().len()));
    for server in SERVERS {
        let mut row = Vec::new();
        for (column, heads) in columns.iter().zip(&heads) {
            match summary.cell(column.name, server.name) {
                None => row.extend(heads.iter().map(|_| "–".to_owned())),
                Some(cell) => {
                    let mark = mark(&cell);
                    row.extend(cells(column, cell).into_iter().map(|text| format!("{mark}{text}")));
                }
            }
        }
        if row.iter().any(|cell| cell != "–") {
            let _ = writeln!(text, "| {} | {} |", server.name, row.join(" | "));
        }
    }
}

/// The title of a table, and the command that measures what is in it.
fn begin(text: &mut String, summary: &Summary, title: &str, columns: &[&Column]) {
    let names: Vec<&str> = columns.iter().map(|column| column.name).collect();
    let _ = writeln!(text, "\n**{title}**\n");
    if let Some(of) = summary.environment(names[0]) {
        let (names, rounds, seconds) = (names.join(","), of.rounds, of.seconds);
        let _ = writeln!(text, "`{COMMAND} --columns {names} --rounds {rounds} --seconds {seconds}`\n");
    }
}

/// What can be measured.
pub fn list() -> String {
    let mut text = String::from("columns:\n");
    for column in COLUMNS {
        let _ = writeln!(text, "  {:24} {}", column.name, column.about);
    }
    let servers: Vec<&str> = SERVERS.iter().map(|server| server.name).collect();
    let _ = writeln!(text, "servers: {}", servers.join(" "));
    text
}
