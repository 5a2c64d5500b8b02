//! The client's side (RFC 6455 §4.1): the request that opens a WebSocket, and whether a response answers it.

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};

use super::list::{contains_token, is_token};
use super::server::only;
use super::{HandshakeError, Key, accept};

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
    /// [`HandshakeError::Url`] with what is wrong with it.
    pub fn parse(url: &str) -> Result<Self, HandshakeError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-3
        //# Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used
        if url.contains('#') {
            return Err(HandshakeError::Url("it has a fragment (#…)"));
        }
        let uri: Uri = url.parse().map_err(|_| HandshakeError::Url("it cannot be read as a URL"))?;
        let (secure, default_port) = match uri.scheme().map(Scheme::as_str) {
            Some("ws") => (false, 80),
            Some("wss") => (true, 443),
            Some(_) => return Err(HandshakeError::Url("its scheme is neither ws nor wss")),
            None => return Err(HandshakeError::Url("it has no scheme; begin with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or(HandshakeError::Url("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(HandshakeError::Url("it has a user name or password, which are not sent"));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(HandshakeError::Url("it has no host"));
        }
        let port = match authority.as_str()[host.len()..].strip_prefix(':') {
            None => default_port,
            Some(port) => port.parse().map_err(|_| HandshakeError::Url("its port is no number from 0 to 65535"))?,
        };
        let shown = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        Ok(Self {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: HeaderValue::try_from(shown).map_err(|_| HandshakeError::Url("its host cannot be sent"))?,
            path: uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/")),
        })
    }
}

/// Makes the request that asks to open a WebSocket.
///
/// `headers` are the caller's own, to which the handshake adds its.
///
/// # Errors
/// When a subprotocol is no token or stands there twice, or a header is one that the handshake sets itself.
pub fn request(
    target: &Target,
    key: &Key,
    subprotocols: &[String],
    headers: HeaderMap,
) -> Result<Request<()>, HandshakeError> {
    let reserved = |name: &&header::HeaderName| RESERVED.contains(name);
    if let Some(name) = headers.keys().find(reserved) {
        return Err(HandshakeError::ReservedHeader(name.clone()));
    }
    for (i, name) in subprotocols.iter().enumerate() {
        if !is_token(name) || subprotocols[..i].contains(name) {
            return Err(HandshakeError::InvalidSubprotocol(name.clone()));
        }
    }

    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(target.path.clone());
    let all = request.headers_mut();
    *all = headers;
    all.entry(header::HOST).or_insert_with(|| target.authority.clone());
    all.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    all.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    all.insert(header::SEC_WEBSOCKET_KEY, key.as_header().clone());
    all.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if !subprotocols.is_empty() {
        let list = HeaderValue::try_from(subprotocols.join(", ")).expect("tokens are visible ASCII");
        all.insert(header::SEC_WEBSOCKET_PROTOCOL, list);
    }
    Ok(request)
}

/// What the handshake sets itself, or what would change how the request's end is found.
const RESERVED: [header::HeaderName; 8] = [
    header::UPGRADE,
    header::CONNECTION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// Judges a response. Returns the subprotocol the server chose, if any.
///
/// # Errors
/// What keeps it from being the answer to our request.
pub fn verify<B>(response: &Response<B>, key: &Key, subprotocols: &[String]) -> Result<Option<String>, HandshakeError> {
    let headers = response.headers();

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(HandshakeError::Status(response.status()));
    }
    if only(headers, header::UPGRADE).is_none_or(|upgrade| !upgrade.as_bytes().eq_ignore_ascii_case(b"websocket")) {
        return Err(HandshakeError::Upgrade);
    }
    if !contains_token(headers, header::CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    if only(headers, header::SEC_WEBSOCKET_ACCEPT).is_none_or(|answer| *answer != accept(key)) {
        return Err(HandshakeError::Accept);
    }
    if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err(HandshakeError::Extension);
    }
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    if !headers.contains_key(&name) {
        return Ok(None);
    }
    let chosen = only(headers, name).and_then(|value| value.to_str().ok());
    match chosen.filter(|chosen| subprotocols.iter().any(|offered| offered == chosen)) {
        Some(chosen) => Ok(Some(chosen.to_owned())),
        None => Err(HandshakeError::Subprotocol),
    }
}
