//! The opening handshake over HTTP/2 (RFC 8441), and that it decides as the one over HTTP/1.1 does.

use http::header::{self, HeaderName};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use sockeye_proto::deflate::Compression;
use sockeye_proto::handshake::server::{Options, accept_connect, accept_request};
use sockeye_proto::handshake::{Agreed, OriginPolicy, Refusal};

/// The request of RFC 8441 §5.1.
fn request() -> Request<()> {
    Request::builder()
        .method(Method::CONNECT)
        .version(Version::HTTP_2)
        .uri("https://server.example.com/chat")
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap()
}

fn judge(request: &Request<()>) -> Result<Response<()>, Refusal> {
    accept_connect(request, Some("websocket"), &Options::default()).map(|(response, _)| response)
}

#[test]
fn s5_1_the_example_of_the_rfc_is_accepted_with_200_and_nothing_else() {
    let mut request = request();
    for (name, value) in [
        ("sec-websocket-protocol", "chat, superchat"),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("origin", "http://www.example.com"),
    ] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let options = Options::default()
        .origin(OriginPolicy::List(vec!["http://www.example.com".into()]))
        .subprotocols(["chat"])
        .compression(Compression::takeover());
    let (response, agreed) = accept_connect(&request, Some("websocket"), &options).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert!(response.headers()["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate"));
    assert_eq!(response.headers().len(), 2, "{response:?}");
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
}

#[test]
fn s4_what_is_no_extended_connect_is_405_and_another_protocol_is_501() {
    for method in [Method::GET, Method::POST, Method::from_bytes(b"connect").unwrap()] {
        let mut request = request();
        *request.method_mut() = method;
        assert_eq!(judge(&request).unwrap_err(), Refusal::Connect);
    }
    for (protocol, refused) in [
        (None, Some(Refusal::Connect)),
        (Some(""), Some(Refusal::Protocol)),
        (Some("connect-udp"), Some(Refusal::Protocol)),
        (Some("websocket, h2c"), Some(Refusal::Protocol)),
        (Some("WebSocket"), None),
    ] {
        let verdict = accept_connect(&request(), protocol, &Options::default());
        assert_eq!(verdict.err(), refused, "{protocol:?}");
    }
}

#[test]
fn rfc9113_s8_3_1_the_authority_may_stand_in_host_and_must_not_differ_from_it() {
    for (target, hosts, accepted) in [
        ("https://a.example/chat", &[][..], true),
        ("https://a.example/chat", &["a.example"], true),
        ("https://a.example/chat", &["A.example"], true),
        ("/chat", &["a.example:8443"], true),
        ("/chat", &[], false),
        ("/chat", &[""], false),
        ("/chat", &["a.example", "a.example"], false),
        ("https://a.example/chat", &["b.example"], false),
        ("https://a.example/chat", &["a.example", "a.example"], false),
        ("https://a.example/chat", &[""], false),
        ("https://me@a.example/chat", &[], false),
    ] {
        let mut request = request();
        *request.uri_mut() = target.parse().unwrap();
        for host in hosts {
            request.headers_mut().append(header::HOST, HeaderValue::from_static(host));
        }
        let verdict = judge(&request).map(drop);
        assert_eq!(verdict, if accepted { Ok(()) } else { Err(Refusal::Host) }, "{target} {hosts:?}");
    }
}

#[test]
fn s5_a_key_is_passed_over_whatever_it_says() {
    for key in ["dGhlIHNhbXBsZSBub25jZQ==", "?"] {
        let mut request = request();
        request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, HeaderValue::from_static(key));
        assert!(!judge(&request).unwrap().headers().contains_key(header::SEC_WEBSOCKET_ACCEPT));
    }
}

/// Every header that both handshakes read, with every value of these and none, alone and twice.
#[test]
fn all_that_both_versions_of_http_ask_for_is_decided_alike() {
    let cases: [(HeaderName, &[&[u8]]); 6] = [
        (
            header::HOST,
            &[b"server.example.com", b"", b"a b", b"server.example.com:x", b"evil@server.example.com", b"\xff"],
        ),
        (
            header::SEC_WEBSOCKET_VERSION,
            &[b"13", b"0", b"7", b"8", b"12", b"14", b"013", b"13, 8", b"13 ", b"", b"\xff"],
        ),
        (header::SEC_WEBSOCKET_PROTOCOL, &[b"v1", b"v2, v1", b"v1, v1", b"v3", b"v 1", b",", b"", b"\xff", b"v1;x"]),
        (
            header::SEC_WEBSOCKET_EXTENSIONS,
            &[
                b"permessage-deflate",
                b"permessage-deflate; server_max_window_bits=9",
                b"permessage-deflate; server_max_window_bits=7",
                b"permessage-deflate; client_no_context_takeover=1",
                b"x-other",
                b"permessage-deflate; a=\"",
                b";",
                b"\xff",
            ],
        ),
        (
            header::ORIGIN,
            &[
                b"https://server.example.com",
                b"https://server.example.com.evil",
                b"null",
                b"https://other.example",
                b"\xff",
            ],
        ),
        (header::CONTENT_LENGTH, &[b"0", b"5", b"", b"-0"]),
    ];
    let policies = [
        OriginPolicy::SameHost,
        OriginPolicy::Any,
        OriginPolicy::List(vec!["https://other.example".into(), "https://third.example".into()]),
    ];
    let mut compared = 0;
    for policy in policies {
        let options =
            Options::default().origin(policy).subprotocols(["v2", "v1"]).compression(Compression::no_takeover());
        for (name, values) in &cases {
            let alone = values.iter().map(|value| vec![*value]);
            let twice = values.iter().flat_map(|first| values.iter().map(|second| vec![*first, *second]));
            for values in alone.chain(twice).chain([vec![]]) {
                let (get, connect) = pair(name, &values);
                let over_1 = accept_request(&get, &options);
                let over_2 = accept_connect(&connect, Some("websocket"), &options);
                assert_eq!(verdict(over_1), verdict(over_2), "{name}: {values:?}, {options:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "{compared}");
}

/// The same request over both versions of HTTP, with these values of one header in place of its own.
fn pair(name: &HeaderName, values: &[&[u8]]) -> (Request<()>, Request<()>) {
    let mut get = Request::get("/chat")
        .header("Host", "server.example.com")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap();
    get.headers_mut().remove(name);
    let mut connect = request();
    connect.headers_mut().remove(name);
    if *name == header::HOST {
        // The host stands in the header alone, as in HTTP/1.1.
        *connect.uri_mut() = "/chat".parse().unwrap();
    }
    for value in values {
        let value = HeaderValue::from_bytes(value).unwrap();
        get.headers_mut().append(name, value.clone());
        connect.headers_mut().append(name, value);
    }
    (get, connect)
}

/// What was decided, and what of the response is not of one version alone.
fn verdict(
    answer: Result<(Response<()>, Agreed), Refusal>,
) -> Result<(Agreed, Vec<(HeaderName, HeaderValue)>), Refusal> {
    let (response, agreed) = answer?;
    let ours = [header::UPGRADE, header::CONNECTION, header::SEC_WEBSOCKET_ACCEPT];
    let shared = response.headers().iter().filter(|(name, _)| !ours.contains(name));
    Ok((agreed, shared.map(|(name, value)| (name.clone(), value.clone())).collect()))
}
