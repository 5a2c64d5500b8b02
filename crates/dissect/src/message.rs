//! Messages over their frames (§5.4).

use sockeye_proto::frame::{Header, Opcode};

use crate::text::TextWalk;

/// A data frame's place in its message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessagePart {
    /// The message's number in its stream, from 1.
    pub number: u64,
    /// What the message is: [`Opcode::TEXT`] or [`Opcode::BINARY`], from its first frame.
    pub kind: Opcode,
    /// The frame's number in the message, from 1: the first one begins it.
    pub fragment: u64,
    /// Whether the message ends with this frame: FIN, and the frame is whole.
    pub ends: bool,
    /// Bytes of the message's payload, up to the end of this frame or of the stream; of a compressed one, compressed.
    pub len: u64,
    /// The payload of all frames, on the one that ends a message of several: as much as the dissector
    /// [keeps](crate::Dissector::keeping).
    pub assembled: Option<Vec<u8>>,
    /// Whether bytes of it are not here, although they were sent.
    pub has_gap: bool,
}

/// The message that has begun and not ended, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    begun: u64,
    open: Option<OpenMessage>,
}

#[derive(Debug)]
struct OpenMessage {
    kind: Opcode,
    fragments: u64,
    len: u64,
    /// What is kept of the frames before this one; a message in one frame puts nothing here.
    payload: Vec<u8>,
    /// `None` for binary, and for text from its first bad byte on.
    text: Option<TextWalk>,
    has_gap: bool,
}

impl Messages {
    /// The number of the message that has begun and not ended.
    pub(crate) fn open_number(&self) -> Option<u64> {
        self.open.is_some().then_some(self.begun)
    }

    /// Begins a frame, and with it perhaps a message. One that has not ended is given up: its rule is broken, but the
    /// frame at hand says what it is.
    pub(crate) fn begin_frame(&mut self, header: Header) -> Option<MessagePart> {
        let kind = header.opcode();
        match kind {
            Opcode::TEXT | Opcode::BINARY => {
                self.begun += 1;
                let text = (kind == Opcode::TEXT).then(TextWalk::default);
                self.open = Some(OpenMessage { kind, fragments: 0, len: 0, payload: Vec::new(), text, has_gap: false });
            }
            Opcode::CONTINUATION => {}
            _ => return None,
        }
        let open = self.open.as_mut()?;
        open.fragments += 1;
        Some(MessagePart {
            number: self.begun,
            kind: open.kind,
            fragment: open.fragments,
            ends: false,
            len: open.len,
            assembled: None,
            has_gap: open.has_gap,
        })
    }

    /// The text to walk along, if the message is one and has been good so far.
    pub(crate) fn text(&mut self) -> Option<&mut TextWalk> {
        self.open.as_mut()?.text.as_mut()
    }

    /// The text has met a bad byte: there is no more of it.
    pub(crate) fn break_text(&mut self) {
        if let Some(open) = &mut self.open {
            open.text = None;
        }
    }

    /// Bytes of the frame at hand are not here.
    pub(crate) fn skip(&mut self, part: &mut MessagePart) {
        part.has_gap = true;
        if let Some(open) = &mut self.open {
            (open.has_gap, open.text) = (true, None);
        }
    }

    /// Ends a frame that is whole. `payload` is what is kept of it, at most `keep` bytes in all are.
    pub(crate) fn end_frame(&mut self, part: &mut MessagePart, fin: bool, payload: &[u8], keep: usize) {
        let Some(open) = &mut self.open else { return };
        open.len = part.len;
        if !fin || part.fragment > 1 {
            let room = keep.saturating_sub(open.payload.len());
            open.payload.extend_from_slice(&payload[..payload.len().min(room)]);
        }
        if fin {
            part.ends = true;
            part.assembled = (part.fragment > 1).then(|| core::mem::take(&mut open.payload));
            self.open = None;
        }
    }
}
