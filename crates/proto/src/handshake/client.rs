//! The client's side (RFC 6455 §4.1): the request that opens a WebSocket, and whether a response answers it.

use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};

use super::authority::host_and_port;
use super::list::contains_token;
use super::server::only;
use super::{Agreed, HandshakeError, Key, accept};
use crate::deflate::{self, Compression};
use crate::token::is_token;

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
        let (secure, default_port) = match uri.scheme_str() {
            Some(scheme) if scheme.eq_ignore_ascii_case("ws") => (false, 80),
            Some(scheme) if scheme.eq_ignore_ascii_case("wss") => (true, 443),
            Some(_) => return Err(HandshakeError::Url("its scheme is neither ws nor wss")),
            None => return Err(HandshakeError::Url("it has no scheme; begin with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or(HandshakeError::Url("it has no host"))?.as_str();
        if authority.contains('@') {
            return Err(HandshakeError::Url("it has a user name or password, which are not sent"));
        }
        let (host, port) = host_and_port(authority).ok_or(HandshakeError::Url("its host or port cannot be one"))?;
        let port = port.unwrap_or(default_port);
        let shown = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        // `ws://host?room=1` asks for `/?room=1`.
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let path = PathAndQuery::try_from(format!("{}{query}", uri.path()));
        Ok(Self {
            secure,
            host: host.trim_start_matches('[').trim_end_matches(']').to_owned(),
            port,
            authority: HeaderValue::try_from(shown).map_err(|_| HandshakeError::Url("its host cannot be sent"))?,
            path: path.map_err(|_| HandshakeError::Url("its path cannot be sent"))?,
        })
    }
}

/// What a client offers besides speaking the protocol. Nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    subprotocols: Vec<String>,
    compression: Compression,
}

impl Offer {
    /// Offers one more subprotocol; the first is the one the client likes best.
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.subprotocols.push(name.into());
        self
    }

    /// Offers to compress messages; off unless set.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }

    /// What is offered of compression.
    #[must_use]
    pub const fn compression_offered(&self) -> &Compression {
        &self.compression
    }
}

/// Makes the request that asks to open a WebSocket.
///
/// `headers` are the caller's own, to which the handshake adds its.
///
/// # Errors
/// When a subprotocol is no token or stands there twice, or a header is one that the handshake sets itself.
pub fn request(target: &Target, key: &Key, offer: &Offer, headers: HeaderMap) -> Result<Request<()>, HandshakeError> {
    let reserved = |name: &&header::HeaderName| RESERVED.contains(name);
    if let Some(name) = headers.keys().find(reserved) {
        return Err(HandshakeError::ReservedHeader(name.clone()));
    }
    let Offer { subprotocols, compression } = offer;
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
    if let Some(offer) = deflate::offer(compression) {
        all.insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
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

/// Judges a response. Returns what is agreed on by it.
///
/// # Errors
/// What keeps it from being the answer to our request.
pub fn verify<B>(response: &Response<B>, key: &Key, offer: &Offer) -> Result<Agreed, HandshakeError> {
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
    let compression = deflate::verify(headers, &offer.compression)?;
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    if !headers.contains_key(&name) {
        return Ok(Agreed { subprotocol: None, compression });
    }
    let chosen = only(headers, name).and_then(|value| value.to_str().ok());
    match chosen.filter(|chosen| offer.subprotocols.iter().any(|offered| offered == chosen)) {
        Some(chosen) => Ok(Agreed { subprotocol: Some(chosen.to_owned()), compression }),
        None => Err(HandshakeError::Subprotocol),
    }
}
