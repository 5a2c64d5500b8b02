//! Records made visible: one [`Record`](crate::Record), several views. Each only reads; none changes what is seen.
//!
//! * [`text`]: for people, in a terminal of 80 columns or more: the RFC's figure filled in, and what explains it.
//! * [`lines`]: for people who look at many of them: one line each.
//! * [`json`]: for programs, one object a line.
//!
//! The page's view stands here too, once it has come; `figure` is what it shares with the text.
//!
//! What a peer has sent reaches neither a terminal nor a log as it is: control characters, escape sequences and the
//! characters that turn the direction of writing are escaped in every view.

mod style;
mod words;
mod operations;
mod figure;
mod payload;
mod story;
mod frame;
mod head;
mod opaque;
pub mod text;
pub mod lines;
pub mod json;

/// A text of somebody else's as it may stand in a terminal or a log: whatever acts there, or would not be seen, is escaped.
///
/// ```
/// assert_eq!(sockeye_dissect::render::safe("\u{1b}[31m你好\u{202e}"), r"\u{1b}[31m你好\u{202e}");
/// ```
#[must_use]
pub fn safe(text: &str) -> String {
    words::safe(text, usize::MAX)
}
