//! What is not taken apart, for people.

use std::io::{self, Write};

use super::payload::{self, Dump};
use super::story::of_connection;
use super::style::Paint;
use super::text::{Options, section};
use super::words::bytes;
use crate::{Gap, Opaque};

/// Bytes that are not taken apart in one line.
pub(super) fn summary(opaque: &Opaque, connection: Option<u64>) -> String {
    format!("Bytes{} · {} · {} · {}", of_connection(connection), opaque.sender, bytes(opaque.len), opaque.why)
}

/// Where they lie in the stream.
pub(super) fn place(opaque: &Opaque) -> String {
    format!("bytes {} to {}", opaque.offset, opaque.offset.saturating_add(opaque.len - 1))
}

/// The first of them.
pub(super) fn write(opaque: &Opaque, options: Options, paint: Paint, out: &mut impl Write) -> io::Result<()> {
    writeln!(out)?;
    section("Bytes", &[bytes(opaque.len)], paint, out)?;
    let not_kept = opaque.len - opaque.bytes.len() as u64;
    payload::dump(Dump { bytes: &opaque.bytes, key: None, not_kept, lost: 0 }, options.all, paint, out)
}

/// Missing bytes in one line.
pub(super) fn gap_summary(gap: &Gap, connection: Option<u64>) -> String {
    let within = match gap.within {
        Some(frame) => format!("within frame {frame}, whose length covers them"),
        None => "where the next frame begins is unknown".to_owned(),
    };
    format!("Gap{} · {} · {} missing · {within}", of_connection(connection), gap.sender, bytes(gap.bytes))
}

/// Where they would lie in the stream.
pub(super) fn gap_place(gap: &Gap) -> String {
    format!("bytes {} to {} are not here", gap.offset, gap.offset.saturating_add(gap.bytes - 1))
}
