//! The client's handshake over HTTP/2 (RFC 8441 §5): what it asks, and which answers it takes.

use http::header::{CONNECTION, COOKIE, HOST, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, Version, header};
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::{Offer, Target, extended_connect, verify_extended_connect};

fn answer(status: u16, headers: &[(HeaderName, &'static str)]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        response.headers_mut().append(name, HeaderValue::from_static(value));
    }
    response
}

#[test]
fn rfc8441_s5_1_the_example_of_the_rfc_is_what_a_client_asks() {
    let target = Target::parse("wss://server.example.com/chat").unwrap();
    let offer = Offer::default().subprotocol("chat").subprotocol("superchat");
    let request = extended_connect(&target, &offer, HeaderMap::new()).unwrap();
    assert_eq!((request.method().as_str(), request.version()), ("CONNECT", Version::HTTP_2));
    let uri = request.uri();
    assert_eq!(uri.scheme_str(), Some("https"));
    assert_eq!(uri.authority().unwrap(), "server.example.com");
    assert_eq!(uri.path(), "/chat");
    let mut all: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable_by_key(|(name, _)| *name);
    assert_eq!(all, [("sec-websocket-protocol", "chat, superchat"), ("sec-websocket-version", "13")]);

    let response = answer(200, &[(header::SEC_WEBSOCKET_PROTOCOL, "chat")]);
    let agreed = verify_extended_connect(&response, &offer).unwrap();
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
}

#[test]
fn the_authority_is_the_url_s_or_the_host_that_the_caller_names() {
    let target = Target::parse("ws://user:pass@[::1]:8080/a?b").unwrap();
    let own = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=1"))]);
    let request = extended_connect(&target, &Offer::default(), own).unwrap();
    assert_eq!(request.uri(), "http://[::1]:8080/a?b");
    assert_eq!(request.headers()[COOKIE], "a=1");
    assert_eq!(request.headers()[header::AUTHORIZATION], "Basic dXNlcjpwYXNz");

    let own = HeaderMap::from_iter([(HOST, HeaderValue::from_static("virtual.example"))]);
    let request = extended_connect(&target, &Offer::default(), own).unwrap();
    assert_eq!(request.uri(), "http://virtual.example/a?b");
    assert!(!request.headers().contains_key(HOST), "RFC 9113 §8.3.1");
    for bad in ["a b", "a/b", "", "a\u{e4}"] {
        let own = HeaderMap::from_iter([(HOST, HeaderValue::from_bytes(bad.as_bytes()).unwrap())]);
        let error = extended_connect(&target, &Offer::default(), own).unwrap_err();
        assert_eq!(error, HandshakeError::InvalidHeader, "{bad:?}");
    }
}

#[test]
fn the_handshake_s_own_headers_cannot_be_set_either() {
    let target = Target::parse("ws://example.com/").unwrap();
    for name in [UPGRADE, CONNECTION, header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::CONTENT_LENGTH]
    {
        let own = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
        let error = extended_connect(&target, &Offer::default(), own).unwrap_err();
        assert_eq!(error, HandshakeError::ReservedHeader(name));
    }
    let error = extended_connect(&target, &Offer::default().subprotocol("a b"), HeaderMap::new()).unwrap_err();
    assert_eq!(error, HandshakeError::InvalidSubprotocol("a b".to_owned()));
}

#[test]
fn any_status_but_200_is_no_websocket() {
    for status in (100..600).filter(|&status| status != 200) {
        let response = answer(status, &[]);
        let verdict = verify_extended_connect(&response, &Offer::default());
        assert_eq!(verdict, Err(HandshakeError::Status(response.status())));
    }
}

#[test]
fn what_was_not_offered_is_not_taken() {
    let offer = Offer::default().subprotocol("chat");
    for value in ["other", "Chat", "", "chat, chat"] {
        let response = answer(200, &[(header::SEC_WEBSOCKET_PROTOCOL, value)]);
        assert_eq!(verify_extended_connect(&response, &offer), Err(HandshakeError::Subprotocol), "{value:?}");
    }
    let deflate = answer(200, &[(header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate")]);
    assert!(matches!(verify_extended_connect(&deflate, &offer), Err(HandshakeError::Extension(_))));
    let agreed = verify_extended_connect(&deflate, &offer.compression(Compression::takeover())).unwrap();
    assert!(agreed.compression.is_some());
}
