//! Headers that hold a list: `Connection: keep-alive, Upgrade` (RFC 9110 §5.6.1).

use http::{HeaderMap, header::AsHeaderName};

/// The elements of a list that may be spread over several headers of one name; empty elements are passed over.
///
/// ```
/// use http::{HeaderMap, HeaderValue, header::CONNECTION};
/// use sockeye_proto::handshake::tokens;
///
/// let mut headers = HeaderMap::new();
/// headers.append(CONNECTION, HeaderValue::from_static("keep-alive,, Upgrade"));
/// headers.append(CONNECTION, HeaderValue::from_static("close"));
/// assert_eq!(tokens(&headers, CONNECTION).collect::<Vec<_>>(), ["keep-alive", "Upgrade", "close"]);
/// ```
pub fn tokens(headers: &HeaderMap, name: impl AsHeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    // A value with bytes beyond ASCII holds no token.
    let lists = values.filter_map(|value| value.to_str().ok());
    lists.flat_map(|list| list.split(',')).map(|element| element.trim_matches([' ', '\t'])).filter(|t| !t.is_empty())
}

/// Whether a list has an element, letter case aside.
#[must_use]
pub fn contains_token(headers: &HeaderMap, name: impl AsHeaderName, token: &str) -> bool {
    tokens(headers, name).any(|element| element.eq_ignore_ascii_case(token))
}
