//! The fields of a head: their values to judge by, and their places to change them in.

use core::ops::Range;

use http::{HeaderMap, HeaderName, HeaderValue};

/// A field's places in the bytes of its head.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: HeaderName,
    pub(super) value: Range<usize>,
    /// All of its line, with the end of it.
    pub(super) line: Range<usize>,
}

/// All fields of a head, in their order.
pub(super) fn places(bytes: &[u8], parsed: &[httparse::Header<'_>]) -> Option<Vec<Field>> {
    let place = |part: &[u8]| {
        let start = part.as_ptr() as usize - bytes.as_ptr() as usize;
        start..start + part.len()
    };
    let field = |field: &httparse::Header<'_>| {
        let (name, mut value) = (place(field.name.as_bytes()), place(field.value));
        if field.value.is_empty() {
            // httparse has no place for it.
            let colon = bytes[name.end..].iter().position(|&byte| byte == b':')? + name.end + 1;
            value = colon..colon;
        }
        let end = bytes[value.end..].iter().position(|&byte| byte == b'\n')? + value.end + 1;
        Some(Field { name: HeaderName::from_bytes(field.name.as_bytes()).ok()?, value, line: name.start..end })
    };
    parsed.iter().map(field).collect()
}

/// The same as a map.
pub(super) fn map(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for field in parsed {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        map.try_append(name, HeaderValue::from_bytes(field.value).ok()?).ok()?;
    }
    Some(map)
}
