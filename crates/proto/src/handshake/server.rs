//! The server's side: is this a request to open a WebSocket, and what answers it. [`accept_request`] is for HTTP/1.1
//! (RFC 6455 §4.2), [`accept_connect`] for HTTP/2 (RFC 8441); what both ends agree on is negotiated in one place.

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

/// Judges a request of HTTP/1.1 and makes the `101 Switching Protocols` that accepts it, with what is agreed on by it.
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
    if request.version() != Version::HTTP_11 {
        return Err(Refusal::HttpVersion);
    }
    //= https://www.rfc-editor.org/rfc/rfc9112#section-3.2
    //# A server MUST respond with a 400 (Bad Request) status code to any HTTP/1.1 request message that lacks a Host
    //# header field and to any request message that contains more than one Host header field line or a Host header
    //# field with an invalid field value.
    check_host(only(headers, header::HOST).and_then(|host| host.to_str().ok()))?;
    if !contains_token(headers, header::UPGRADE, "websocket") {
        return Err(Refusal::Upgrade);
    }
    if !contains_token(headers, header::CONNECTION, "upgrade") {
        return Err(Refusal::Connection);
    }
    check_version(headers)?;
    let Some(key) = only(headers, header::SEC_WEBSOCKET_KEY).and_then(Key::parse) else {
        return Err(Refusal::Key);
    };

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    let (mut response, agreed) = agree(request, options)?;
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept(&key));
    Ok((response, agreed))
}

/// Judges an extended CONNECT of HTTP/2 (RFC 8441) and makes the `200 OK` that accepts it, with what is agreed on by
/// it.
///
/// `protocol` is the value of `:protocol`, which no field of [`Request`] is for. There is no key to answer, no
/// `Connection` and no `Upgrade`; all else is as for [`accept_request`].
///
/// ```
/// use http::{Method, Request, StatusCode, Version};
/// use sockeye_proto::handshake::server::{Options, accept_connect};
///
/// let request = Request::builder()
///     .method(Method::CONNECT)
///     .version(Version::HTTP_2)
///     .uri("https://server.example.com/chat")
///     .header("Sec-WebSocket-Version", "13")
///     .body(())?;
/// let (response, _) = accept_connect(&request, Some("websocket"), &Options::default())?;
/// assert_eq!(response.status(), StatusCode::OK);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The [`Refusal`], which knows its HTTP status and response.
pub fn accept_connect<B>(
    request: &Request<B>,
    protocol: Option<&str>,
    options: &Options,
) -> Result<(Response<()>, Agreed), Refusal> {
    //= https://www.rfc-editor.org/rfc/rfc8441#section-4
    let Some(protocol) = protocol.filter(|_| request.method() == Method::CONNECT) else {
        return Err(Refusal::Connect);
    };
    //= https://www.rfc-editor.org/rfc/rfc9220#section-3
    //# If a server receives an extended CONNECT request with a :protocol value that is unknown or is not supported, the
    //# server SHOULD respond to the request with a 501 (Not Implemented) status code
    if !protocol.eq_ignore_ascii_case("websocket") {
        return Err(Refusal::Protocol);
    }
    let headers = request.headers();
    //= https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
    //# A server SHOULD treat a request as malformed if it contains a Host header field that identifies an entity that
    //# differs from the entity in the ":authority" pseudo-header field.
    let authority = request.uri().authority().map(http::uri::Authority::as_str);
    let host = match only(headers, header::HOST).map(HeaderValue::to_str) {
        Some(Ok(host)) if authority.is_none_or(|authority| authority.eq_ignore_ascii_case(host)) => Some(host),
        None if !headers.contains_key(header::HOST) => authority,
        _ => None,
    };
    check_host(host)?;
    check_version(headers)?;
    //= https://www.rfc-editor.org/rfc/rfc8441#section-5
    //# Implementations using this extended CONNECT to bootstrap WebSockets do not do the processing of the
    //# Sec-WebSocket-Key and Sec-WebSocket-Accept header fields of [RFC6455]
    agree(request, options)
}

/// What is the same over every version of HTTP: no body, a page that may connect, and what both ends agree on. The
/// response is a `200 OK` with the headers that say so.
fn agree<B>(request: &Request<B>, options: &Options) -> Result<(Response<()>, Agreed), Refusal> {
    let headers = request.headers();
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

    let mut response = Response::new(());
    let headers = response.headers_mut();
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

fn check_host(host: Option<&str>) -> Result<(), Refusal> {
    host.and_then(host_and_port).map(drop).ok_or(Refusal::Host)
}

fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    let version = only(headers, header::SEC_WEBSOCKET_VERSION);
    if version.is_some_and(|version| version == "13") { Ok(()) } else { Err(Refusal::Version) }
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
