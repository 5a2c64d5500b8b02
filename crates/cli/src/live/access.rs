//! Who may see what: a token for all connections, a key for those that a page has opened itself.

use core::fmt;
use core::net::SocketAddr;
use std::io;

use http::Uri;
use subtle::ConstantTimeEq as _;

/// What lets whoever knows it see all connections.
#[derive(Clone)]
pub(crate) struct Token(String);

impl Token {
    /// 128 bits from the system's generator, as 32 hex digits.
    pub(crate) fn draw() -> io::Result<Self> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(io::Error::other)?;
        Ok(Self(bits.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// One that was chosen. It must stand in a URL as it is, and be too long to be guessed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let stands = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if text.len() >= 16 && text.bytes().all(stands) {
            Ok(Self(text.to_owned()))
        } else {
            Err("16 or more letters, digits, - . _ ~ are needed".into())
        }
    }

    /// Where the page is, with the token behind #, where no request carries it.
    pub(crate) fn url(&self, scheme: &str, address: SocketAddr) -> String {
        format!("{scheme}://{address}/#token={}", self.0)
    }

    /// In a time that tells nothing but the length.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// What a page draws at random, and opens its connections with: who knows it sees them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PageKey([u8; 16]);

impl PageKey {
    /// `watch=` in a URL, if it is 32 hex digits.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        query(uri, "watch").and_then(Self::parse)
    }

    fn parse(text: &str) -> Option<Self> {
        let is_key = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_key.then(|| u128::from_str_radix(text, 16).ok()).flatten().map(|key| Self(key.to_be_bytes()))
    }
}

/// Who is asking.
pub(super) enum Who {
    /// Somebody who knows the token.
    All,
    /// A page, which sees what it opens itself.
    Page(PageKey),
}

impl Who {
    /// Who it is by a URL's query; or a sentence that says why nobody is let in by it.
    pub(super) fn of(uri: &Uri, token: Option<&Token>) -> Result<Self, &'static str> {
        match (query(uri, "token"), query(uri, "watch"), token) {
            (Some(given), _, Some(token)) if token.is(given) => Ok(Self::All),
            (Some(_), _, Some(_)) => {
                Err("the token is wrong; the right one is in the URL that was printed at the start\n")
            }
            (Some(_), _, None) => Err("there is no token for this server: it was started without --inspect\n"),
            (None, Some(key), _) => match PageKey::parse(key) {
                Some(key) => Ok(Self::Page(key)),
                None => Err("watch= takes 32 hex digits, which the page draws at random\n"),
            },
            (None, None, _) => Err("a token is needed, or watch= and 32 hex digits\n"),
        }
    }
}

/// A value in a URL's query. What is asked for here has no character that would be escaped.
fn query<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    let pairs = uri.query()?.split('&').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_32_hex_digits_or_chosen_and_long_and_no_debug_output_shows_it() {
        let token = Token::draw().unwrap();
        assert!(token.0.len() == 32 && token.0.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_ne!(token.0, Token::draw().unwrap().0);
        assert_eq!(format!("{token:?}"), "Token(…)");
        assert!(Token::parse("a-token.of_my~own").is_ok());
        for bad in ["", "fifteen-letters", "sixteen letters!", "with&ampersand=and", "十六个字符十六个字符十六个字符"]
        {
            assert!(Token::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whoever_asks_is_told_from_the_query_and_nobody_comes_in_by_anything_else() {
        let token = Token::parse("a-token.of_my~own").unwrap();
        let who = |query: &str, token: Option<&Token>| {
            let uri: Uri = format!("/inspect/feed{query}").parse().unwrap();
            Who::of(&uri, token).map(|who| matches!(who, Who::All)).ok()
        };
        let key = "0123456789abcdefABCDEF0123456789";
        assert_eq!(who("?token=a-token.of_my~own", Some(&token)), Some(true));
        assert_eq!(who(&format!("?watch={key}"), Some(&token)), Some(false));
        assert_eq!(who(&format!("?x=1&watch={key}"), None), Some(false));
        // A wrong token is not made good by a key.
        assert_eq!(who(&format!("?watch={key}&token=no"), Some(&token)), None);
        for query in ["", "?", "?token=", "?token=a-token.of_my~ow", "?token=a-token.of_my~owN", "?watch=1", "?watch="]
        {
            assert_eq!(who(query, Some(&token)), None, "{query}");
        }
        assert_eq!(who("?token=a-token.of_my~own", None), None);
        assert_eq!(who(&format!("?watch=+{}", &key[1..]), None), None);
    }
}
