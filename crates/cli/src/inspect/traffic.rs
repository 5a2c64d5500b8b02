//! A recording or a capture: its connections, what is to be known of it, and where it is damaged.

use std::io::{self, Read, Write};

use sockeye_dissect::render;
use sockeye_traffic::{Damage, Piece, Source};

use crate::view::{Connections, Report};

/// Places of damage that are told.
const TOLD: usize = 10;

/// Reads a source to its end. Whether all of it could be read; what could not is told on standard error.
pub(super) fn inspect(
    mut source: Source<impl Read>,
    name: &str,
    mut connections: Connections<'_>,
    report: &mut Report<impl Write>,
) -> io::Result<bool> {
    let mut notes = Vec::new();
    let mut damaged = 0;
    while let Some(piece) = source.next() {
        match piece {
            Piece::Event(event) => connections.take(event, source.started(), report)?,
            Piece::Note(note) => notes.push(note.to_string()),
            Piece::Damage(damage) => {
                damaged += 1;
                if damaged <= TOLD {
                    tell(name, &damage, report)?;
                }
            }
        }
    }
    notes.extend(connections.finish(report)?);
    if damaged > TOLD {
        eprintln!("sockeye: {name}: {} more places are damaged", damaged - TOLD);
    }
    for note in notes {
        eprintln!("sockeye: {name}: note: {note}");
    }
    Ok(damaged == 0)
}

/// Says where a source is damaged, behind what was shown of it before.
fn tell(name: &str, damage: &Damage, report: &mut Report<impl Write>) -> io::Result<()> {
    report.flush()?;
    eprintln!("sockeye: {name}: {}", render::safe(&damage.to_string()));
    Ok(())
}
