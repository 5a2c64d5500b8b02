//! Where a WebSocket URL leads (RFC 6455 §3), and where a redirection leads from there.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

use super::HandshakeError;
use super::authority::host_and_port;
use super::credentials::of_userinfo;
use super::server::only;

/// Where a WebSocket URL leads (§3).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Target {
    /// Whether the connection is to be encrypted: `wss:`.
    pub secure: bool,
    /// A name or address; an IPv6 address stands without its brackets.
    pub host: String,
    /// The URL's port, or 80 or 443 by its scheme.
    pub port: u16,
    /// What the Host header says: the port only where it is not the scheme's own.
    pub authority: HeaderValue,
    /// What the request line asks for: `/chat?room=1`.
    pub path: PathAndQuery,
    /// The `Authorization` that a `user:password@` in the URL makes.
    pub authorization: Option<HeaderValue>,
}

impl Target {
    /// Reads a URL.
    ///
    /// ```
    /// use sockeye_proto::handshake::client::Target;
    ///
    /// let target = Target::parse("ws://example.com:8080/chat?room=1")?;
    /// assert_eq!((target.host.as_str(), target.port), ("example.com", 8080));
    /// assert_eq!(target.path, "/chat?room=1");
    /// assert!(Target::parse("http://example.com/").is_err());
    /// # Ok::<(), sockeye_proto::handshake::HandshakeError>(())
    /// ```
    ///
    /// # Errors
    /// [`HandshakeError::Url`] with what is wrong with it; [`HandshakeError::Credentials`] where its user name or password,
    /// with each `%XX` read, can be none.
    pub fn parse(url: &str) -> Result<Self, HandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-3
        //# Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used
        if url.contains('#') {
            return Err(HandshakeError::Url("it has a fragment (#…)"));
        }
        let uri: Uri = url.parse().map_err(|_| HandshakeError::Url("it cannot be read as a URL"))?;
        let (secure, default_port) = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => (false, 80),
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => (true, 443),
            Some(_) => return Err(HandshakeError::Url("its scheme is neither ws nor wss")),
            None => return Err(HandshakeError::Url("it has no scheme; begin with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or(HandshakeError::Url("it has no host"))?.as_str();
        let (authorization, authority) = match authority.split_once('@') {
            Some((userinfo, authority)) => (Some(of_userinfo(userinfo)?), authority),
            None => (None, authority),
        };
        let (host, port) = host_and_port(authority).ok_or(HandshakeError::Url("its host or port cannot be one"))?;
        let port = port.unwrap_or(default_port);
        let shown = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        // `ws://host?room=1` asks for `/?room=1`.
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = path_and_query(&format!("{}{query}", uri.path()))?;
        Ok(Self {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: HeaderValue::try_from(shown).map_err(|_| HandshakeError::Url("its host cannot be sent"))?,
            path,
            authorization,
        })
    }

    /// The same server, asked for something else: a path from its `/` on, and a query.
    ///
    /// # Errors
    /// [`HandshakeError::Url`] for what cannot be asked for.
    pub fn with_path(self, path: &str) -> Result<Self, HandshakeError> {
        if !path.starts_with('/') || path.contains('#') {
            return Err(HandshakeError::Url("its path does not begin with /, or has a fragment"));
        }
        Ok(Self { path: path_and_query(path)?, ..self })
    }

    /// The scheme, `ws` or `wss`.
    #[must_use]
    pub const fn scheme(&self) -> &'static str {
        if self.secure { "wss" } else { "ws" }
    }

    /// Whether both lead to the same origin: scheme, host and port (RFC 6454 §4). What is a secret between a client and one
    /// origin is none of another's business.
    #[must_use]
    pub fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, self.port) == (other.secure, other.port) && self.host.eq_ignore_ascii_case(&other.host)
    }

    /// Where a [redirection](is_redirection) leads from here: to its Location (RFC 9110 §10.2.2), which may be relative
    /// (RFC 3986 §5.2). `http:` and `https:` there stand for `ws:` and `wss:`. What user name this URL had is not taken
    /// along.
    ///
    /// ```
    /// use http::{HeaderMap, HeaderValue, header::LOCATION};
    /// use sockeye_proto::handshake::client::Target;
    ///
    /// let here = Target::parse("ws://example.com/chat/v1")?;
    /// let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static("v2?room=1"))]);
    /// assert_eq!(here.redirected(&headers)?, Target::parse("ws://example.com/chat/v2?room=1")?);
    /// # Ok::<(), sockeye_proto::handshake::HandshakeError>(())
    /// ```
    ///
    /// # Errors
    /// [`HandshakeError::Redirect`] where there is not exactly one Location, it is none for a WebSocket, it names a user,
    /// or it leads from `wss:` to `ws:`.
    pub fn redirected(&self, headers: &HeaderMap) -> Result<Self, HandshakeError> {
        let refuse = |why| Err(HandshakeError::Redirect(why));
        let Some(location) = only(headers, header::LOCATION).and_then(|location| location.to_str().ok()) else {
            return refuse("it has not exactly one Location that can be read");
        };
        let location = location.split('#').next().unwrap_or_default();
        let url = match scheme_of(location) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => format!("ws:{rest}"),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => format!("wss:{rest}"),
            Some(_) => location.to_owned(),
            None if location.starts_with("//") => format!("{}:{location}", self.scheme()),
            None => {
                let authority = self.authority.to_str().unwrap_or_default();
                format!("{}://{authority}{}", self.scheme(), self.resolve(location))
            }
        };
        let Ok(target) = Self::parse(&url) else {
            return refuse("its Location is no URL of a WebSocket");
        };
        if target.authorization.is_some() {
            return refuse("its Location has a user name or password, which only the caller can choose");
        }
        if self.secure && !target.secure {
            return refuse("it leads from wss to ws, out of the encryption");
        }
        Ok(target)
    }

    /// A path and query as they are meant from this URL's path on (RFC 3986 §5.2.2 to §5.2.4).
    fn resolve(&self, reference: &str) -> String {
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let (path, query) = match path {
            "" => (self.path.path().to_owned(), query.or_else(|| self.path.query())),
            absolute if absolute.starts_with('/') => (absolute.to_owned(), query),
            relative => {
                let base = self.path.path();
                let folder = &base[..=base.rfind('/').unwrap_or(0)];
                (format!("{folder}{relative}"), query)
            }
        };
        let mut resolved = without_dot_segments(&path);
        if let Some(query) = query {
            resolved.push('?');
            resolved += query;
        }
        resolved
    }
}

/// A path and a query as they are sent: what is not ASCII as the `%XX` of its UTF-8, as browsers have it (RFC 3987 §3.1).
fn path_and_query(text: &str) -> Result<PathAndQuery, HandshakeError> {
    let mut sent = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_ascii() {
            true => sent.push(c),
            false => sent.extend(c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("%{byte:02X}"))),
        }
    }
    sent.parse().map_err(|_| HandshakeError::Url("its path cannot be sent"))
}

/// Whether a status says to ask elsewhere (RFC 9110 §15.4).
#[must_use]
pub fn is_redirection(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// What stands before the first colon, if that is a scheme, and what stands behind it (RFC 3986 §3.1).
fn scheme_of(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && scheme.bytes().all(allowed);
    is_scheme.then_some((scheme, rest))
}

/// An absolute path in which `.` and `..` are done (RFC 3986 §5.2.4).
fn without_dot_segments(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    let mut all = path.split('/').skip(1).peekable();
    while let Some(segment) = all.next() {
        let is_dots = matches!(segment, "." | "..");
        if segment == ".." {
            segments.pop();
        } else if !is_dots {
            segments.push(segment);
        }
        if is_dots && all.peek().is_none() {
            // A folder: it ends with a slash.
            segments.push("");
        }
    }
    format!("/{}", segments.join("/"))
}
