//! Colour: each field has one, the same in the figure and beside it.

use crate::Field;

/// What a piece of text is, and so how it looks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Style {
    /// Lines, rulers, explanations.
    Quiet,
    /// The frame's one-line summary.
    Title,
    /// The name of a section.
    Label,
    /// A field of the header, or the payload.
    Field(&'static str),
    /// A broken rule, a frame that is cut off.
    Wrong,
    /// What is good to know and breaks no rule.
    Hint,
}

/// Puts colour on text, or leaves it alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    pub(super) color: bool,
}

impl Paint {
    pub(super) fn paint(self, style: Style, text: &str) -> String {
        if !self.color || text.trim().is_empty() {
            return text.to_owned();
        }
        let code = match style {
            Style::Quiet => "2",
            Style::Title => "1",
            Style::Label => "1",
            Style::Wrong => "31",
            Style::Hint => "33",
            Style::Field(name) => match name {
                Field::FIN => "32",
                Field::OPCODE => "36",
                Field::MASK | Field::MASKING_KEY => "35",
                Field::LEN | Field::EXTENDED_LEN => "33",
                PAYLOAD => "34",
                _ => "2",
            },
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// The payload's name in the RFC's figure.
pub(super) const PAYLOAD: &str = "Payload Data";
