//! The client's side (RFC 6455 §4.1): the request that opens a WebSocket, and whether a response answers it; over HTTP/1.1,
//! and by an extended CONNECT over HTTP/2 (RFC 8441 §5).

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};

use super::list::contains_token;
use super::server::only;
use super::{Agreed, HandshakeError, Key, accept};
use crate::deflate::{self, Compression};
use crate::token::is_token;

pub use super::credentials::{basic_auth, bearer_auth};
pub use super::target::{Target, is_redirection};

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

/// Makes the request that asks to open a WebSocket over HTTP/1.1.
///
/// `headers` are the caller's own, to which the handshake adds its.
///
/// # Errors
/// When a subprotocol is no token or stands there twice, or a header is one that the handshake sets itself, or stands there
/// twice and must not.
pub fn request(target: &Target, key: &Key, offer: &Offer, headers: HeaderMap) -> Result<Request<()>, HandshakeError> {
    let mut headers = with_offer(target, offer, headers)?;
    headers.entry(header::HOST).or_insert_with(|| target.authority.clone());
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_KEY, key.as_header().clone());

    let mut request = Request::new(());
    *request.uri_mut() = Uri::from(target.path.clone());
    *request.headers_mut() = headers;
    Ok(request)
}

/// What the pseudo-header `:protocol` of an [extended CONNECT](extended_connect) says.
pub const PROTOCOL: &str = "websocket";

/// Makes the request that asks to open a WebSocket over HTTP/2 (RFC 8441 §5). It has no key, as there is nothing to prove: a
/// server that does not know of it has not said that it takes such requests. The pseudo-header `:protocol`, which no
/// [`Request`] has room for, is [`PROTOCOL`].
///
/// ```
/// use http::HeaderMap;
/// use sockeye_proto::handshake::client::{Offer, Target, extended_connect};
///
/// let target = Target::parse("wss://example.com/chat")?;
/// let request = extended_connect(&target, &Offer::default(), HeaderMap::new())?;
/// assert_eq!((request.method().as_str(), request.uri().to_string().as_str()), ("CONNECT", "https://example.com/chat"));
/// # Ok::<(), sockeye_proto::handshake::HandshakeError>(())
/// ```
///
/// # Errors
/// As for [`request`].
pub fn extended_connect(target: &Target, offer: &Offer, headers: HeaderMap) -> Result<Request<()>, HandshakeError> {
    let mut headers = with_offer(target, offer, headers)?;
    //= https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
    //# Clients that generate HTTP/2 requests directly MUST use the ":authority" pseudo-header field to convey authority
    //# information, unless there is no authority information to convey
    let authority = headers.remove(header::HOST).unwrap_or_else(|| target.authority.clone());
    let uri = Uri::builder()
        //= https://www.rfc-editor.org/rfc/rfc8441#section-5
        //# The scheme of the target URI [RFC7230] MUST be "https" for "wss"-schemed WebSockets and "http" for
        //# "ws"-schemed WebSockets.
        .scheme(if target.secure { "https" } else { "http" })
        .authority(authority.as_bytes())
        .path_and_query(target.path.clone())
        .build()
        .map_err(|_| HandshakeError::InvalidHeader)?;

    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(request)
}

/// The caller's headers, with what is the same in every version of HTTP.
fn with_offer(target: &Target, offer: &Offer, mut headers: HeaderMap) -> Result<HeaderMap, HandshakeError> {
    if let Some(name) = headers.keys().find(|name| RESERVED.contains(name)) {
        return Err(HandshakeError::ReservedHeader(name.clone()));
    }
    let Offer { subprotocols, compression } = offer;
    for (i, name) in subprotocols.iter().enumerate() {
        if !is_token(name) || subprotocols[..i].contains(name) {
            return Err(HandshakeError::InvalidSubprotocol(name.clone()));
        }
    }
    if let Some(authorization) = &target.authorization {
        headers.append(header::AUTHORIZATION, authorization.clone());
    }
    if let Some(name) = SINGLE.iter().find(|name| headers.get_all(*name).iter().nth(1).is_some()) {
        return Err(HandshakeError::RepeatedHeader(name.clone()));
    }
    headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    if !subprotocols.is_empty() {
        let list = HeaderValue::try_from(subprotocols.join(", ")).expect("tokens are visible ASCII");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, list);
    }
    if let Some(offer) = deflate::offer(compression) {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
    }
    Ok(headers)
}

/// What the handshake sets itself, or what would change how the request's end is found.
const RESERVED: [HeaderName; 8] = [
    header::UPGRADE,
    header::CONNECTION,
    header::SEC_WEBSOCKET_KEY,
    header::SEC_WEBSOCKET_VERSION,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

/// What a server would have to choose from if it stood there twice.
const SINGLE: [HeaderName; 3] = [header::AUTHORIZATION, header::HOST, header::ORIGIN];

/// Judges the response to a [`request`]. Returns what is agreed on by it.
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
    agreed(headers, offer)
}

/// Judges the response to an [extended CONNECT](extended_connect). Returns what is agreed on by it.
///
/// # Errors
/// What keeps it from being the answer to our request.
pub fn verify_extended_connect<B>(response: &Response<B>, offer: &Offer) -> Result<Agreed, HandshakeError> {
    //= https://www.rfc-editor.org/rfc/rfc8441#section-5
    match response.status() {
        StatusCode::OK => agreed(response.headers(), offer),
        status => Err(HandshakeError::Status(status)),
    }
}

/// What the server has chosen of what was offered.
fn agreed(headers: &HeaderMap, offer: &Offer) -> Result<Agreed, HandshakeError> {
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
