//! HTTP/1.1 as a relay needs it: heads as the bytes they are, judged, changed where they have to be and nowhere else, and
//! where bodies end. `httparse` does the parsing; what is here is what may pass.

mod body;
mod fields;
mod request;
mod response;
mod answer;

use core::fmt;
use std::borrow::Cow;

use http::StatusCode;

pub(crate) use answer::Answer;
pub(crate) use body::Body;
pub(crate) use request::{Change, Request};
pub(crate) use response::{Response, accepting, refusal};

/// The most bytes of a head that are read, of either end: eight times what servers take, as cookies grow.
pub(crate) const MAX_HEAD: usize = 64 << 10;
/// The most fields.
const MAX_FIELDS: usize = 256;

/// A request that goes no further: the status that tells its client, and why.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: Cow<'static, str>,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, why: impl Into<Cow<'static, str>>) -> Self {
        Self { status, why: why.into() }
    }

    fn bad(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, why)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status.as_u16(), self.why)
    }
}

/// Where a head ends in these bytes, of which so many have been looked through before: behind its empty line, and where one
/// may end at all. So it does not depend on how much comes at once which head is too long.
pub(crate) fn head_end(bytes: &[u8], looked: usize) -> Option<usize> {
    let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
    // The empty line may have begun in what came before.
    let start = looked.saturating_sub(3).min(bytes.len());
    bytes[start..].windows(4).position(|four| four == b"\r\n\r\n").map(|at| start + at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_where_one_may_end_however_it_comes() {
        for len in [4, MAX_HEAD - 1, MAX_HEAD, MAX_HEAD + 1, 3 * MAX_HEAD] {
            let head = ["x".repeat(len - 4), "\r\n\r\n".to_owned(), "behind".to_owned()].concat();
            for looked in [0, 1, len / 2, len - 1].map(|looked| looked.min(MAX_HEAD)) {
                let expected = (len <= MAX_HEAD).then_some(len);
                assert_eq!(head_end(head.as_bytes(), looked), expected, "{len} bytes, of which {looked} are known");
            }
        }
    }
}
