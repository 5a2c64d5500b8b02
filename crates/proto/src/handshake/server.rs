//! The server's side (RFC 6455 §4.2): is this a request to open a WebSocket, and what answers it.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};

use super::authority::host_and_port;
use super::list::{contains_token, tokens};
use super::{Agreed, Key, OriginPolicy, Refusal, accept};
use crate::deflate::{self, Compression};
use crate::token::is_token;

/// What a server decides by. The default takes pages of its own host and no subprotocol.
#[derive(Clone, Debug, Default)]
pub struct Options {
    origin: OriginPolicy,
    subprotocols: Vec<String>,
    compression: Compression,
}

impl Options {
    /// Which pages may connect; the same host unless set.
    #[must_use]
    pub fn origin(self, origin: OriginPolicy) -> Self {
        Self { origin, ..self }
    }

    /// The subprotocols this server speaks, the ones it prefers first.
    #[must_use]
    pub fn subprotocols<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { subprotocols: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Whether to compress messages, if the client offers it; off unless set.
    #[must_use]
    pub fn compression(self, compression: Compression) -> Self {
        Self { compression, ..self }
    }
}

/// Judges a request and makes the `101 Switching Protocols` that accepts it, with what is agreed on by it.
///
/// Of the subprotocols the client offers, the first that the server prefers is chosen; none, if they share none: then
/// the response has no such header, and it is the client's turn to give up (§4.2.2).
///
/// ```
/// use http::{Request, StatusCode};
/// use sockeye_proto::handshake::server::{Options, accept_request};
///
/// let request = Request::get("/chat")
///     .header("Host", "server.example.com")
///     .header("Upgrade", "websocket")
///     .header("Connection", "Upgrade")
///     .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let (response, agreed) = accept_request(&request, &Options::default())?;
/// assert_eq!(agreed.subprotocol, None);
/// assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
/// assert_eq!(response.headers()["Sec-WebSocket-Accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The [`Refusal`], which knows its HTTP status and response.
pub fn accept_request<B>(request: &Request<B>, options: &Options) -> Result<(Response<()>, Agreed), Refusal> {
    let headers = request.headers();

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
    if request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if request.version() < Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    //= https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    //# A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    //# header field and to any request message that contains more than one Host header field line or a Host header
    //# field with an invalid field value.
    let host = only(headers, header::HOST).and_then(|host| host.to_str().ok());
    if host.and_then(host_and_port).is_none() {
        return Err(Refusal::Host);
    }
    if !contains_token(headers, header::UPGRADE, "websocket") {
        return Err(Refusal::Upgrade);
    }
    if !contains_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::Connection);
    }
    if only(headers, header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        return Err(Refusal::Version);
    }
    let Some(key) = only(headers, header::SEC_WEBSOCKET_KEY).and_then(Key::parse) else {
        return Err(Refusal::Key);
    };
    // What follows the request's head is frames; a body there would be read as such.
    let empty = |length: &HeaderValue| length == "0";
    if headers.contains_key(header::TRANSFER_ENCODING) || !headers.get_all(header::CONTENT_LENGTH).iter().all(empty) {
        return Err(Refusal::Body);
    }
    let offered = offered_subprotocols(headers)?;
    let compression = deflate::accept(headers, &options.compression).map_err(|_| Refusal::Extensions)?;
    if !options.origin.allows(headers, request.uri()) {
        return Err(Refusal::Origin);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept(&key));
    let subprotocol = options.subprotocols.iter().find(|ours| offered.contains(&ours.as_str()));
    if let Some(chosen) = subprotocol {
        let chosen = HeaderValue::try_from(chosen).expect("it equals a token of the request");
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let params = compression.map(|(answer, params)| {
        headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
        params
    });
    Ok((response, Agreed { subprotocol: subprotocol.cloned(), compression: params }))
}

/// The header's value, if there is exactly one.
pub(super) fn only(headers: &HeaderMap, name: header::HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// The subprotocols a client offers: "non-empty strings … MUST all be unique" (§4.1).
fn offered_subprotocols(headers: &HeaderMap) -> Result<Vec<&str>, Refusal> {
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    if headers.get_all(&name).iter().any(|value| value.to_str().is_err()) {
        return Err(Refusal::Subprotocol);
    }
    let offered: Vec<_> = tokens(headers, name).collect();
    let mut sorted = offered.clone();
    sorted.sort_unstable();
    let unique = sorted.windows(2).all(|pair| pair[0] != pair[1]);
    if unique && sorted.into_iter().all(is_token) { Ok(offered) } else { Err(Refusal::Subprotocol) }
}
