//! RFC 9112, said a second time: the lines of a head, what they announce, and where a body ends.

use std::str;

use http::StatusCode;

/// The lines of a head without their ends and without the empty one. `None` if a line ends in another way than it has to, or
/// has a control character in it.
pub(crate) fn lines(head: &[u8]) -> Option<Vec<&[u8]>> {
    let mut rest = head;
    let mut lines = Vec::new();
    while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
        lines.push(&rest[..end]);
        rest = &rest[end + 2..];
    }
    let text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    (rest.is_empty() && lines.pop() == Some(b"") && lines.iter().all(|line| line.iter().all(text))).then_some(lines)
}

/// A field: its name in lower case, its value, and all of its line without the end.
pub(crate) struct Field<'a> {
    pub(crate) name: String,
    pub(crate) value: &'a [u8],
    pub(crate) line: &'a [u8],
}

/// §5: `name: value`, with nothing before the name nor between it and its colon.
pub(crate) fn field(line: &[u8]) -> Option<Field<'_>> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let name = str::from_utf8(&line[..colon]).ok().filter(|name| is_token(name))?.to_ascii_lowercase();
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or_default();
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    Some(Field { name, value: &value[start..end], line })
}

pub(crate) fn fields<'a>(lines: &[&'a [u8]]) -> Option<Vec<Field<'a>>> {
    lines.iter().map(|line| field(line)).collect()
}

pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

pub(crate) fn values<'a>(fields: &[Field<'a>], name: &str) -> Vec<&'a [u8]> {
    fields.iter().filter(|field| field.name == name).map(|field| field.value).collect()
}

/// The elements of a list, in lower case; none of a value that is no ASCII.
pub(crate) fn elements(fields: &[Field<'_>], name: &str) -> Vec<String> {
    let ascii = values(fields, name).into_iter().filter(|value| value.is_ascii());
    let all: Vec<_> = ascii.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).collect();
    all.iter().flat_map(|value| value.split(',')).map(|one| one.trim_matches([' ', '\t']).to_owned()).collect()
}

/// What has a body's length in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Framing {
    Length(u64),
    Chunked,
    UntilEnd,
}

/// §6: what these fields announce; `None` where it cannot be told for certain.
pub(crate) fn framing(fields: &[Field<'_>], otherwise: Framing) -> Option<Framing> {
    match (&values(fields, "transfer-encoding")[..], &values(fields, "content-length")[..]) {
        ([], []) => Some(otherwise),
        ([coding], []) => coding.eq_ignore_ascii_case(b"chunked").then_some(Framing::Chunked),
        ([], [length]) => {
            let is_number = length.iter().all(u8::is_ascii_digit);
            let length = str::from_utf8(length).ok().filter(|_| is_number)?;
            Some(Framing::Length(length.parse().ok()?))
        }
        _ => None,
    }
}

/// What comes behind bytes that pass.
#[derive(Debug, PartialEq)]
pub(crate) enum Then {
    /// More may pass.
    More,
    /// Nothing more will: it was all.
    Nothing,
    /// Nothing more will: this is refused, with a status if it is a request's head.
    Refused(Option<StatusCode>),
}

/// How far a body goes in these bytes, and what comes behind.
pub(crate) fn body(bytes: &[u8], framing: Framing) -> (usize, Then) {
    match framing {
        Framing::UntilEnd => (bytes.len(), Then::More),
        Framing::Length(len) if len <= bytes.len() as u64 => (len as usize, Then::Nothing),
        Framing::Length(_) => (bytes.len(), Then::More),
        Framing::Chunked => chunks(bytes),
    }
}

/// §7.1, with line ends as they have to be.
fn chunks(bytes: &[u8]) -> (usize, Then) {
    let more = (bytes.len(), Then::More);
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        // 1. A size.
        let end = rest.iter().position(|&byte| byte == b'\n').map_or(rest.len(), |at| at + 1);
        if end > 4 << 10 {
            return (at + (4 << 10), Then::Refused(None));
        }
        let Some(line) = rest[..end].strip_suffix(b"\n") else { return more };
        at += end;
        let Some(size) = line.strip_suffix(b"\r").and_then(size) else { return (at - 1, Then::Refused(None)) };
        if size == 0 {
            break;
        }
        // 2. Data, and a line end.
        if size > (bytes.len() - at) as u64 {
            return more;
        }
        at += size as usize;
        match &bytes[at..bytes.len().min(at + 2)] {
            b"\r\n" => at += 2,
            b"" | b"\r" => return more,
            wrong => return (at + usize::from(wrong[0] == b'\r'), Then::Refused(None)),
        }
    }
    // 3. Trailers, up to an empty line.
    loop {
        let rest = &bytes[at..];
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return more };
        match &rest[end..rest.len().min(end + 2)] {
            b"\r\n" => at += end + 2,
            b"\r" => return more,
            wrong => return (at + end + usize::from(wrong[0] == b'\r'), Then::Refused(None)),
        }
        if end == 0 {
            return (at, Then::Nothing);
        }
    }
}

/// The size that a line gives, perhaps with extensions behind it.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let after = line[digits..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    let size = u64::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
    let is_one = digits <= 16 && matches!(after, None | Some(b';')) && !line.contains(&b'\r');
    (is_one && size.checked_add(2).is_some()).then_some(size)
}
