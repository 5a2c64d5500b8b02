//! A frame's payload, as it comes: unmasked, kept, inflated if it is compressed, and walked along if it is text.

use sockeye_proto::frame::{Header, Violation};
use sockeye_proto::mask;

use crate::inflate::Inflation;
use crate::message::Messages;
use crate::{BadUtf8, Finding, Frame, InflateOutcome};

/// Takes the next piece of a payload, behind which `remaining` bytes come. At most `keep` bytes are kept.
pub(crate) fn take_payload(
    frame: &mut Frame,
    piece: &[u8],
    remaining: u64,
    messages: &mut Messages,
    inflation: Option<&mut Inflation>,
    keep: usize,
) {
    let mut piece = piece.to_vec();
    if let Some(key) = frame.header.and_then(Header::masking_key) {
        mask::apply(key, frame.arrived, &mut piece);
    }
    // What comes behind a gap would look as if it followed what came before.
    let room = if frame.lost.is_none() { keep - frame.payload.len() } else { 0 };
    frame.payload.extend_from_slice(&piece[..piece.len().min(room)]);
    let before = frame.inflated.as_ref().map_or(frame.arrived, |inflated| inflated.payload.len() as u64);
    frame.arrived += piece.len() as u64;
    if let Some(message) = &mut frame.message {
        message.len = message.len.saturating_add(piece.len() as u64);
    }

    let mut outcome = InflateOutcome::Good;
    if let Some((inflation, inflated)) = inflation.zip(frame.inflated.as_mut()) {
        let (already, so_far) = (inflated.outcome, inflated.payload.len());
        let last = remaining == 0 && frame.header.is_some_and(Header::fin);
        inflation.feed(&piece, last, keep, inflated);
        piece = inflated.payload[so_far..].to_vec();
        if inflated.outcome != already {
            outcome = inflated.outcome;
        }
    }
    if let Some((text, part)) = messages.text().zip(frame.text_part.as_mut())
        && let Err(bad) = text.feed(frame.number, &piece, part)
    {
        let inflated = frame.inflated.is_some();
        let at = BadUtf8 { byte: Some(piece[bad]), in_payload: before + bad as u64, in_text: text.len(), inflated };
        frame.findings.push(Finding::InvalidUtf8 { rule: Violation::InvalidUtf8InText, at });
        messages.break_text();
    }
    // Where inflating ends, so does what can be said of the text.
    match outcome {
        InflateOutcome::Good => return,
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.2.2
        InflateOutcome::Corrupt(_) => frame.findings.push(Finding::Rule(Violation::CorruptDeflate)),
        InflateOutcome::TooLong(_) | InflateOutcome::TooManyBytes(_) => {
            frame.text_part = None;
            if let Some(inflated) = &mut frame.inflated {
                inflated.payload = Vec::new();
            }
        }
        InflateOutcome::WindowUnknown => {}
    }
    messages.break_text();
}
