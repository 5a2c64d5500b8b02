//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).
//!
//! ```text
//! extension-list  = 1#extension
//! extension       = extension-token *( ";" extension-param )
//! extension-param = token [ "=" (token | quoted-string) ]
//! ```
//! White space may stand between any two of these words; a list may be spread over several headers.

use std::borrow::Cow;

use http::{HeaderMap, header};

use crate::token::{is_token, is_token_byte};

/// One extension with its parameters, in their order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extension<'a> {
    pub(super) name: &'a str,
    pub(super) params: Vec<(&'a str, Option<Cow<'a, str>>)>,
}

/// A header that is not in the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// All extensions in all headers, in their order.
///
/// Empty elements are passed over as in every list of HTTP, and so is a header with nothing in it: it asks for nothing.
pub(super) fn parse(headers: &HeaderMap) -> Result<Vec<Extension<'_>>, Malformed> {
    let mut extensions = Vec::new();
    for value in headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS) {
        let mut words = Words { rest: value.to_str().map_err(|_| Malformed)? };
        while !words.at_end() {
            if words.eat(',') {
                continue;
            }
            extensions.push(words.extension()?);
            if !words.eat(',') && !words.at_end() {
                return Err(Malformed);
            }
        }
    }
    Ok(extensions)
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn extension(&mut self) -> Result<Extension<'a>, Malformed> {
        let name = self.token()?;
        let mut params = Vec::new();
        while self.eat(';') {
            let name = self.token()?;
            let value = if self.eat('=') { Some(self.value()?) } else { None };
            params.push((name, value));
        }
        Ok(Extension { name, params })
    }

    fn value(&mut self) -> Result<Cow<'a, str>, Malformed> {
        if !self.eat('"') {
            return self.token().map(Cow::Borrowed);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
        //# When using the quoted-string syntax variant, the value
        //# after quoted-string unescaping MUST conform to the
        //# 'token' ABNF.
        let end = self.rest.find(['"', '\\']).ok_or(Malformed)?;
        if self.rest[end..].starts_with('"') {
            let value = &self.rest[..end];
            self.rest = &self.rest[end + 1..];
            return if is_token(value) { Ok(Cow::Borrowed(value)) } else { Err(Malformed) };
        }
        let mut value = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((i, char)) = chars.next() {
            match char {
                '"' => {
                    self.rest = &self.rest[i + 1..];
                    return if is_token(&value) { Ok(Cow::Owned(value)) } else { Err(Malformed) };
                }
                '\\' => value.push(chars.next().ok_or(Malformed)?.1),
                other => value.push(other),
            }
        }
        Err(Malformed)
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        self.skip_space();
        let end = self.rest.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    fn eat(&mut self, separator: char) -> bool {
        self.skip_space();
        match self.rest.strip_prefix(separator) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.rest.is_empty()
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    /// The extensions as one line, or none if the headers are malformed.
    fn read(values: &[&str]) -> Option<String> {
        let name = header::SEC_WEBSOCKET_EXTENSIONS;
        let headers = values.iter().map(|value| (name.clone(), HeaderValue::try_from(*value).unwrap()));
        let headers = HeaderMap::from_iter(headers);
        let show = |extension: &Extension<'_>| {
            let params = extension.params.iter().map(|(name, value)| match value {
                Some(value) => format!(";{name}={value}"),
                None => format!(";{name}"),
            });
            extension.name.to_owned() + &params.collect::<String>()
        };
        parse(&headers).ok().map(|all| all.iter().map(show).collect::<Vec<_>>().join(","))
    }

    #[test]
    fn what_is_in_the_grammar_is_read_and_what_is_not_is_malformed() {
        for (values, expected) in [
            (&["foo"][..], Some("foo")),
            (&["foo, bar; baz=2"], Some("foo,bar;baz=2")),
            (&["bar;baz=2", "foo"], Some("bar;baz=2,foo")),
            (&["  foo\t;  a  =\t1  ;b ,, bar ,"], Some("foo;a=1;b,bar")),
            (&[r#"foo; a="1"; b="\1\0""#], Some("foo;a=1;b=10")),
            (&[""], Some("")),
            (&[" , "], Some("")),
            (&[], Some("")),
            (&["foo bar"], None),
            (&["foo;"], None),
            (&["foo;;a"], None),
            (&[";a"], None),
            (&["foo; =1"], None),
            (&["foo; a="], None),
            (&["foo; a=1 2"], None),
            (&["foo; a=b=c"], None),
            (&[r#"foo; a="""#], None),
            (&[r#"foo; a="1 2""#], None),
            (&[r#"foo; a="1,2""#], None),
            (&[r#"foo; a="1"#], None),
            (&[r#"foo; a="1\"#], None),
            (&[r#"foo; a="1"2"#], None),
            (&[r#""foo""#], None),
            (&["foo; a=(1)"], None),
            (&["foo/bar"], None),
            (&["f\u{f6}o"], None),
        ] {
            assert_eq!(read(values).as_deref(), expected, "{values:?}");
        }
    }
}
