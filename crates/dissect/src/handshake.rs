//! The opening handshake, judged (§4): by the functions that a server and a client judge it with.
//!
//! Those stop at the first mistake. To find the next one, what was found is mended, and they are asked again.

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use sockeye_proto::Role;
use sockeye_proto::deflate::{self, Compression, NegotiationError, Params};
use sockeye_proto::handshake::client::{Offer, verify};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{Agreed, HandshakeError, Key, OriginPolicy, Refusal, accept, contains_token, tokens};

use crate::{Finding, Hint};

const DEFLATE: &str = "permessage-deflate";
const CLIENT_BITS: &str = "client_max_window_bits";

/// What a request asks for, kept until the response has come.
#[derive(Debug)]
pub(crate) struct Asked {
    /// `None` where its key is none that answers could be compared with.
    key: Option<Key>,
    headers: HeaderMap,
}

impl Asked {
    /// Judges a request that asks for a WebSocket; `None` where it does not.
    pub(crate) fn judge(request: Request<()>) -> Option<(Self, Vec<Finding>)> {
        let headers = request.headers();
        // A badly made request is one that asks all the same.
        let names = [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_EXTENSIONS];
        if !contains_token(headers, UPGRADE, "websocket") && !names.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).into_iter();
        let key = keys.next().filter(|_| keys.next().is_none()).and_then(Key::parse);
        let asked = Self { key, headers: headers.clone() };
        Some((asked, refusals(request).into_iter().map(Finding::Request).collect()))
    }

    /// The `Sec-WebSocket-Accept` that answers the key.
    pub(crate) fn accept(&self) -> Option<String> {
        accept(self.key.as_ref()?).to_str().ok().map(str::to_owned)
    }
}

/// Everything a server that any page may connect to has against a request.
fn refusals(mut request: Request<()>) -> Vec<Refusal> {
    let options = Options::default().origin(OriginPolicy::Any).compression(generous());
    let mut refusals = Vec::new();
    while let Err(refusal) = accept_request(&request, &options).map(drop) {
        if refusals.contains(&refusal) {
            break;
        }
        match refusal {
            Refusal::Method => *request.method_mut() = Method::GET,
            Refusal::HttpVersion => *request.version_mut() = Version::HTTP_11,
            _ => {
                let headers = request.headers_mut();
                let mut set = |name, value| drop(headers.insert(name, HeaderValue::from_static(value)));
                match refusal {
                    Refusal::Host => set(HOST, "example.com"),
                    Refusal::Upgrade => set(UPGRADE, "websocket"),
                    Refusal::Connection => set(CONNECTION, "Upgrade"),
                    Refusal::Version => set(SEC_WEBSOCKET_VERSION, "13"),
                    Refusal::Key => set(SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
                    Refusal::Subprotocol => drop(headers.remove(SEC_WEBSOCKET_PROTOCOL)),
                    Refusal::Extensions => drop(headers.remove(SEC_WEBSOCKET_EXTENSIONS)),
                    Refusal::Body => {
                        headers.remove(TRANSFER_ENCODING);
                        headers.remove(CONTENT_LENGTH);
                    }
                    _ => {}
                }
            }
        }
        refusals.push(refusal);
    }
    refusals
}

/// What a 101 says: what is agreed on, what is wrong with it, and what is good to know.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) agreed: Agreed,
    pub(crate) findings: Vec<Finding>,
    pub(crate) hints: Vec<Hint>,
}

/// Whether a response with status 101 changes to WebSocket; frames follow then, whatever else is wrong with it.
pub(crate) fn opens(response: &Response<()>) -> bool {
    contains_token(response.headers(), UPGRADE, "websocket")
}

/// Judges a response with status 101. Without the request, what depends on that is taken for right.
pub(crate) fn answer(asked: Option<&Asked>, mut response: Response<()>) -> Answer {
    let empty = HeaderMap::new();
    let request = asked.map_or(&empty, |asked| &asked.headers);
    let (compression, unknown) = compression(asked.map(|asked| &asked.headers), response.headers());
    response.headers_mut().remove(SEC_WEBSOCKET_EXTENSIONS);
    let mut offer = tokens(request, SEC_WEBSOCKET_PROTOCOL).fold(Offer::default(), Offer::subprotocol);
    if asked.is_none() {
        // It was offered if it was chosen.
        let chosen = response.headers().get(SEC_WEBSOCKET_PROTOCOL).and_then(|chosen| chosen.to_str().ok());
        offer = chosen.into_iter().fold(offer, Offer::subprotocol);
    }

    let key = asked.and_then(|asked| asked.key.clone());
    let known = key.is_some();
    let key = key.unwrap_or_else(|| Key::new([0; 16]));
    if !known && response.headers().contains_key(SEC_WEBSOCKET_ACCEPT) {
        // What it answers is not known. None at all answers nothing.
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept(&key));
    }
    let mut findings = Vec::new();
    let subprotocol = loop {
        let error = match verify(&response, &key, &offer) {
            Ok(agreed) => break agreed.subprotocol,
            Err(error) => error,
        };
        let headers = response.headers_mut();
        let mut set = |name, value| drop(headers.insert(name, value));
        match error {
            HandshakeError::Upgrade => set(UPGRADE, HeaderValue::from_static("websocket")),
            HandshakeError::Connection => set(CONNECTION, HeaderValue::from_static("Upgrade")),
            HandshakeError::Accept => set(SEC_WEBSOCKET_ACCEPT, accept(&key)),
            HandshakeError::Subprotocol => drop(headers.remove(SEC_WEBSOCKET_PROTOCOL)),
            _ => break None,
        }
        findings.push(Finding::Response(error));
    };
    let compression = compression.unwrap_or_else(|error| {
        findings.push(Finding::Response(HandshakeError::Extension(error)));
        None
    });
    // `Agreed` grows by itself: what is known of it is set.
    let mut agreed = Agreed::default();
    (agreed.subprotocol, agreed.compression) = (subprotocol, compression);
    Answer { agreed, findings, hints: unknown.into_iter().map(Hint::UnknownExtension).collect() }
}

/// One that takes whatever RFC 7692 allows.
fn generous() -> Compression {
    Compression::takeover().window_bits(15)
}

/// What a response agrees on of permessage-deflate, and the names of other extensions that were offered.
///
/// An offer may have several elements, of which the answer is to answer one.
fn compression(
    request: Option<&HeaderMap>,
    response: &HeaderMap,
) -> (Result<Option<Params>, NegotiationError>, Vec<String>) {
    let name_of = |element: &str| element.split(';').next().unwrap_or_default().trim().to_owned();
    let offered: Vec<&str> = request.map(|headers| elements(headers).collect()).unwrap_or_default();
    let (unknown, rest): (Vec<&str>, Vec<&str>) = elements(response).partition(|element| {
        let name = name_of(element);
        name != DEFLATE && (request.is_none() || offered.iter().any(|offer| name_of(offer) == name))
    });
    let unknown: Vec<String> = unknown.into_iter().map(name_of).collect();
    let whole = only(response, &rest);
    if request.is_none() {
        return (deflate::verify(&whole, &generous()), unknown);
    }

    let mut verdict = deflate::verify(&whole, &Compression::OFF);
    for offer in offered {
        let Ok(Some((_, wanted))) = deflate::accept(&single(offer), &generous()) else { continue };
        let compression = generous()
            .peer_context_takeover(wanted.takeover(Role::Server))
            .peer_window_bits(wanted.window_bits(Role::Server));
        verdict = deflate::verify(&whole, &compression);
        //= https://www.rfc-editor.org/rfc/rfc7692#section-7.1.2.2
        let has_bits = |element: &str| element.split(';').any(|part| name_of(&part.replace('=', ";")) == CLIENT_BITS);
        if matches!(verdict, Ok(Some(_))) && rest.iter().any(|element| has_bits(element)) && !has_bits(offer) {
            verdict = Err(NegotiationError::Parameter(CLIENT_BITS));
        }
        if verdict.is_ok() {
            break;
        }
    }
    (verdict, unknown)
}

/// The elements of `Sec-WebSocket-Extensions`. What is quoted there is a token (RFC 6455 §9.1), so no comma is.
fn elements(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    tokens(headers, SEC_WEBSOCKET_EXTENSIONS)
}

fn single(element: &str) -> HeaderMap {
    HeaderValue::try_from(element)
        .map(|value| HeaderMap::from_iter([(SEC_WEBSOCKET_EXTENSIONS, value)]))
        .unwrap_or_default()
}

/// These elements alone; all there is, where some of it is no list and has to be judged as it is.
fn only(headers: &HeaderMap, elements: &[&str]) -> HeaderMap {
    let is_readable = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().all(|value| value.to_str().is_ok());
    if is_readable {
        return if elements.is_empty() { HeaderMap::new() } else { single(&elements.join(", ")) };
    }
    let values = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().cloned();
    values.map(|value| (SEC_WEBSOCKET_EXTENSIONS, value)).collect()
}
