//! Where a body ends (RFC 9112 §6), so that nothing passes that stands behind it.

use http::{HeaderMap, header};

/// A body, as far as it has not passed yet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunks(Chunk),
    /// Up to the end of the connection.
    UntilEnd,
}

/// Where in a chunked body the next byte stands (RFC 9112 §7.1).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// In the line with a chunk's size, so much of which has come.
    Size(Vec<u8>),
    /// In a chunk's data and the line end behind it: so many bytes are to come.
    Data(u64),
    /// Behind the last chunk, in a line: a trailer, or the empty one that ends all.
    Trailer {
        is_empty: bool,
        /// The byte before was the CR of its end.
        ends: bool,
    },
    Ended,
}

/// The longest line of a size, with its extensions.
const MAX_LINE: usize = 4 << 10;

impl Body {
    /// The body that these fields announce, or that `otherwise` is there without any; `None` where they contradict
    /// themselves or each other, or name a coding that hides where the body ends.
    pub(super) fn of(headers: &HeaderMap, otherwise: Self) -> Option<Self> {
        let mut codings = headers.get_all(header::TRANSFER_ENCODING).into_iter();
        let mut lengths = headers.get_all(header::CONTENT_LENGTH).into_iter();
        match (codings.next(), lengths.next()) {
            (None, None) => Some(otherwise),
            (Some(coding), None) => {
                let is_chunked = codings.next().is_none() && coding.as_bytes().eq_ignore_ascii_case(b"chunked");
                is_chunked.then_some(Self::Chunks(Chunk::Size(Vec::new())))
            }
            (None, Some(length)) => {
                let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
                let length = digits.parse().ok()?;
                lengths.next().is_none().then_some(Self::Length(length))
            }
            // RFC 9112 §6.3: "might indicate an attempt to perform request smuggling".
            (Some(_), Some(_)) => None,
        }
    }

    /// Whether all of it has passed.
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunks(Chunk::Ended))
    }

    /// How many of these bytes are the body's; the rest stands behind it. `Err` where a chunk cannot be one.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        match self {
            Self::UntilEnd => Ok(bytes.len()),
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunks(chunk) => {
                let mut taken = 0;
                while taken < bytes.len() && *chunk != Chunk::Ended {
                    taken += chunk.take(&bytes[taken..])?;
                }
                Ok(taken)
            }
        }
    }
}

impl Chunk {
    fn take(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        match self {
            Self::Size(line) => {
                let end = bytes.iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |at| at + 1);
                if line.len() + end > MAX_LINE {
                    return Err("a chunk's size is longer than any");
                }
                line.extend_from_slice(&bytes[..end]);
                if line.ends_with(b"\n") {
                    if !line.ends_with(b"\r\n") {
                        return Err("a line of a chunk's size does not end as it has to");
                    }
                    // The parser takes a line without digits for a chunk of no bytes.
                    if !line[0].is_ascii_hexdigit() {
                        return Err("a chunk's size is none");
                    }
                    *self = match httparse::parse_chunk_size(line) {
                        Ok(httparse::Status::Complete((_, 0))) => Self::Trailer { is_empty: true, ends: false },
                        Ok(httparse::Status::Complete((_, size))) => {
                            Self::Data(size.checked_add(2).ok_or("a chunk is too large")?)
                        }
                        _ => return Err("a chunk's size is none"),
                    };
                }
                Ok(end)
            }
            Self::Data(left) => {
                let data = bytes.len().min(usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX));
                let line_end = if *left == 1 { &b"\n"[..] } else { b"\r\n" };
                let behind = &bytes[data..bytes.len().min(data + line_end.len())];
                // Whoever takes something else for it sees the next chunk elsewhere.
                if !line_end.starts_with(behind) {
                    return Err("no line ends where a chunk's data does");
                }
                let taken = data + behind.len();
                *left -= taken as u64;
                if *left == 0 {
                    *self = Self::Size(Vec::new());
                }
                Ok(taken)
            }
            Self::Trailer { is_empty, ends } => {
                for (at, &byte) in bytes.iter().enumerate() {
                    match (*ends, byte) {
                        (true, b'\n') if *is_empty => {
                            *self = Self::Ended;
                            return Ok(at + 1);
                        }
                        (true, b'\n') => (*is_empty, *ends) = (true, false),
                        (false, b'\r') => *ends = true,
                        (true, _) | (false, b'\n') => return Err("a trailer's line does not end as it has to"),
                        (false, _) => *is_empty = false,
                    }
                }
                Ok(bytes.len())
            }
            Self::Ended => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn body(fields: &[(&'static str, &'static str)]) -> Option<Body> {
        let field = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Body::of(&fields.iter().map(field).collect(), Body::Length(0))
    }

    #[test]
    fn a_length_or_chunks_and_nothing_in_between() {
        assert_eq!(body(&[]), Some(Body::Length(0)));
        assert_eq!(body(&[("content-length", "17")]), Some(Body::Length(17)));
        assert!(matches!(body(&[("transfer-encoding", "Chunked")]), Some(Body::Chunks(_))));
        for fields in [
            &[("content-length", "+17")][..],
            &[("content-length", "")],
            &[("content-length", "1, 1")],
            &[("content-length", "1"), ("content-length", "1")],
            &[("content-length", "99999999999999999999")],
            &[("transfer-encoding", "gzip, chunked")],
            &[("transfer-encoding", "xchunked")],
            &[("transfer-encoding", "chunked"), ("transfer-encoding", "identity")],
            &[("transfer-encoding", "chunked"), ("content-length", "0")],
        ] {
            let found = body(fields);
            // An empty length is no number, and `parse` says so.
            assert_eq!(found, None, "{fields:?}");
        }
    }

    #[test]
    fn a_chunked_body_ends_where_it_ends_however_it_is_cut() {
        let chunked = b"5;a=b\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\nTrailer: x\r\n\r\n";
        let all = [chunked, &b"GET /next HTTP/1.1\r\n\r\n"[..]].concat();
        for step in 1..all.len() {
            let mut body = body(&[("transfer-encoding", "chunked")]).unwrap();
            let mut taken = 0;
            for piece in all.chunks(step) {
                taken += body.take(piece).unwrap();
                assert_eq!(body.has_ended(), taken == chunked.len());
            }
            assert_eq!(taken, chunked.len(), "in pieces of {step}");
        }
    }

    #[test]
    fn a_line_of_chunks_that_does_not_end_with_cr_lf_is_told_however_it_is_cut() {
        for bytes in [
            "2\r\nhi\n\n0\r\n\r\n",
            "2\r\nhixx0\r\n\r\n",
            "2\r\nhi\rx0\r\n\r\n",
            "2\r\nhi0\r\n\r\n",
            "0\r\n\n",
            "0\r\nx\n\r\n",
            "0\r\nTrailer: x\n\r\n",
            "0\r\nTrailer: x\r\r\n\r\n",
        ] {
            for step in 1..=bytes.len() {
                let mut body = body(&[("transfer-encoding", "chunked")]).unwrap();
                let told = bytes.as_bytes().chunks(step).any(|piece| body.take(piece).is_err());
                assert!(told, "{bytes:?} in pieces of {step}");
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_told() {
        for bytes in ["x\r\n", "5\nhello\r\n", "-1\r\n", "fffffffffffffffff\r\n", "ffffffffffffffff\r\n", " \r\n"] {
            let mut body = body(&[("transfer-encoding", "chunked")]).unwrap();
            assert!(body.take(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        let mut body = body(&[("transfer-encoding", "chunked")]).unwrap();
        assert!(body.take(&[b'1'; 2 * MAX_LINE]).is_err());
    }
}
