//! The client's side: URLs, the request, and which response opens a WebSocket.

use super::{ACCEPT, KEY, NONCE, judge, offer, request};
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use sockeye_proto::handshake::client::{Offer, Target};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{HandshakeError, Key, client};

#[test]
fn s3_a_url_says_whether_to_encrypt_where_to_connect_and_what_to_ask_for() {
    for (url, secure, host, port, authority, path) in [
        ("ws://example.com", false, "example.com", 80, "example.com", "/"),
        ("ws://example.com/", false, "example.com", 80, "example.com", "/"),
        ("wss://example.com", true, "example.com", 443, "example.com", "/"),
        ("ws://example.com:80/", false, "example.com", 80, "example.com", "/"),
        ("wss://example.com:443/", true, "example.com", 443, "example.com", "/"),
        ("ws://example.com:443/", false, "example.com", 443, "example.com:443", "/"),
        ("wss://example.com:80/", true, "example.com", 80, "example.com:80", "/"),
        ("ws://example.com:8080/chat?room=1", false, "example.com", 8080, "example.com:8080", "/chat?room=1"),
        ("ws://example.com:65535/", false, "example.com", 65535, "example.com:65535", "/"),
        ("ws://example.com:0080/", false, "example.com", 80, "example.com", "/"),
        ("ws://example.com?a=b", false, "example.com", 80, "example.com", "/?a=b"),
        ("ws://example.com/?", false, "example.com", 80, "example.com", "/?"),
        ("ws://example.com//a//b", false, "example.com", 80, "example.com", "//a//b"),
        ("ws://example.com/%E4%BD%A0?q=%20", false, "example.com", 80, "example.com", "/%E4%BD%A0?q=%20"),
        (
            "ws://example.com/你好?q=世界",
            false,
            "example.com",
            80,
            "example.com",
            "/%E4%BD%A0%E5%A5%BD?q=%E4%B8%96%E7%95%8C",
        ),
        ("ws://example.com/a@b:c", false, "example.com", 80, "example.com", "/a@b:c"),
        ("ws://127.0.0.1:9001", false, "127.0.0.1", 9001, "127.0.0.1:9001", "/"),
        ("ws://[::1]", false, "::1", 80, "[::1]", "/"),
        ("ws://[::1]/", false, "::1", 80, "[::1]", "/"),
        ("wss://[2001:db8::1]:8443/a", true, "2001:db8::1", 8443, "[2001:db8::1]:8443", "/a"),
        ("wss://[::1]:443", true, "::1", 443, "[::1]", "/"),
        ("ws://xn--fiqs8s.example/", false, "xn--fiqs8s.example", 80, "xn--fiqs8s.example", "/"),
    ] {
        let target = Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"));
        let seen = (target.secure, &target.host[..], target.port, target.authority.to_str().unwrap());
        assert_eq!(seen, (secure, host, port, authority), "{url}");
        assert_eq!(target.path.to_string(), path, "{url}");
    }
}

#[test]
fn rfc3986_s3_1_a_scheme_is_read_without_regard_to_case() {
    for (url, secure) in [("WS://example.com/", false), ("wSs://example.com/", true)] {
        assert_eq!(Target::parse(url).map(|target| target.secure), Ok(secure), "{url}");
    }
}

#[test]
fn rfc3986_s3_2_3_an_empty_port_is_the_scheme_s_own() {
    for (url, port) in [("ws://example.com:/", 80), ("wss://example.com:", 443), ("ws://[::1]:/", 80)] {
        assert_eq!(Target::parse(url).map(|target| target.port), Ok(port), "{url}");
    }
}

#[test]
fn rfc3986_s3_2_2_brackets_hold_an_address_and_only_digits_are_a_port() {
    for url in
        ["ws://[::1]9000/", "ws://[::1]x:9000/", "ws://[]/", "ws://[]:80/", "ws://[name]/", "ws://example.com:+80/"]
    {
        assert!(Target::parse(url).is_err(), "{url}: {:?}", Target::parse(url));
    }
}

#[test]
fn s3_what_is_no_url_of_a_websocket_is_refused_with_its_reason() {
    for (url, why) in [
        ("", "read as a URL"),
        ("example.com", "no scheme"),
        ("example.com:80", "no scheme"),
        ("/chat", "no scheme"),
        ("http://example.com/", "neither ws nor wss"),
        ("https://example.com/", "neither ws nor wss"),
        ("wsx://example.com/", "neither ws nor wss"),
        ("ws:example.com", ""),
        ("ws:/example.com", ""),
        ("ws://", ""),
        ("ws:///chat", ""),
        ("ws://:80/", ""),
        ("ws://example.com/#", "fragment"),
        ("ws://example.com/a#b", "fragment"),
        ("ws://example.com#b", "fragment"),
        ("ws://@example.com/", "user name"),
        ("ws://user:secret%@example.com/", "user name"),
        ("ws://user:secret%2@example.com/", "user name"),
        ("ws://user:secret%xx@example.com/", "user name"),
        ("ws://user:secret@@example.com/", ""),
        ("ws://user:secret@/", ""),
        ("ws://example.com:65536/", "port"),
        ("ws://example.com:-1/", "port"),
        ("ws://example.com:http/", "port"),
        ("ws://example.com:80:80/", ""),
        ("ws://::1/", ""),
        ("ws://[::1/", ""),
        ("ws://exa mple.com/", ""),
        ("ws://example.com/a b", ""),
        (" ws://example.com/", ""),
        ("ws://example.com/\r\nX: y", ""),
        ("ws://例子.example/", ""),
    ] {
        let error = Target::parse(url).expect_err(url);
        assert!(matches!(&error, HandshakeError::Url(_)), "{url}: {error:?}");
        assert!(error.to_string().contains(why), "{url}: {error}");
        assert!(error.to_string().ends_with("(RFC 6455 §3)"), "{url}: {error}");
        assert!(!error.to_string().contains("secret"), "a password does not get into a log");
    }
}

#[test]
fn s4_1_a_client_asks_with_exactly_these_headers() {
    let target = Target::parse("ws://example.com:8080/chat?room=1").unwrap();
    let subprotocols = ["chat".to_owned(), "superchat".to_owned()];
    let request = client::request(&target, &Key::new(NONCE), &offer(subprotocols), HeaderMap::new()).unwrap();
    assert_eq!((request.method(), request.version()), (&Method::GET, Version::HTTP_11));
    assert_eq!(request.uri(), "/chat?room=1", "in origin form");
    let mut all: Vec<_> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable();
    assert_eq!(
        all,
        [
            ("connection", "Upgrade"),
            ("host", "example.com:8080"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-protocol", "chat, superchat"),
            ("sec-websocket-version", "13"),
            ("upgrade", "websocket"),
        ]
    );
    let without = client::request(&target, &Key::new(NONCE), &Offer::default(), HeaderMap::new()).unwrap();
    assert!(!without.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL), "no empty list");
}

#[test]
fn a_caller_s_own_headers_go_along_but_not_those_that_are_the_handshake_s() {
    let target = Target::parse("ws://example.com/").unwrap();
    let mut own = HeaderMap::new();
    own.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer x"));
    own.append(header::COOKIE, HeaderValue::from_static("a=1"));
    own.append(header::COOKIE, HeaderValue::from_static("b=2"));
    own.insert(header::HOST, HeaderValue::from_static("virtual.example"));
    let request = client::request(&target, &Key::new(NONCE), &Offer::default(), own).unwrap();
    assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer x");
    assert_eq!(request.headers().get_all(header::COOKIE).iter().count(), 2);
    assert_eq!(request.headers()[header::HOST], "virtual.example", "a host of the caller's choice");

    for name in [
        header::UPGRADE,
        header::CONNECTION,
        header::SEC_WEBSOCKET_KEY,
        header::SEC_WEBSOCKET_VERSION,
        header::SEC_WEBSOCKET_PROTOCOL,
        header::SEC_WEBSOCKET_EXTENSIONS,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
    ] {
        let own = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("x"))]);
        let error = client::request(&target, &Key::new(NONCE), &Offer::default(), own).unwrap_err();
        assert_eq!(error, HandshakeError::ReservedHeader(name));
    }
}

#[test]
fn s4_1_subprotocols_are_different_tokens() {
    let target = Target::parse("ws://example.com/").unwrap();
    let ask = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        client::request(&target, &Key::new(NONCE), &offer(names), HeaderMap::new()).map(|_| ())
    };
    for good in [&["chat"][..], &["v1.chat", "v2.chat"], &["!#$%&'*+-.^_`|~09azAZ"], &["chat", "Chat"]] {
        assert_eq!(ask(good), Ok(()), "{good:?}");
    }
    for bad in ["", " ", "a b", "a,b", "a/b", "a;b", "\"a\"", "a\r\nX: y", "ä", "a\u{7f}", "(a)", "a:b", "a=b", "{a}"]
    {
        assert_eq!(ask(&["good", bad]), Err(HandshakeError::InvalidSubprotocol(bad.to_owned())), "{bad:?}");
    }
    assert_eq!(ask(&["a", "b", "a"]), Err(HandshakeError::InvalidSubprotocol("a".to_owned())), "twice");
}

/// What a client that offered `chat` and `superchat` makes of a response: the RFC's, with one header's values replaced.
fn verify_with<V: AsRef<[u8]>>(
    name: HeaderName,
    values: impl IntoIterator<Item = V>,
) -> Result<Option<String>, HandshakeError> {
    let mut response = judge(&request()).unwrap();
    response.headers_mut().remove(&name);
    for value in values {
        response.headers_mut().append(&name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    client::verify(&response, &Key::new(NONCE), &offer(["chat", "superchat"])).map(|agreed| agreed.subprotocol)
}

#[test]
fn s4_1_any_status_but_101_is_no_websocket() {
    for status in [100, 102, 200, 204, 301, 302, 401, 403, 404, 407, 426, 500, 503] {
        let mut response = judge(&request()).unwrap();
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let verdict = client::verify(&response, &Key::new(NONCE), &Offer::default());
        assert_eq!(verdict, Err(HandshakeError::Status(response.status())));
    }
}

#[test]
fn s4_1_a_client_takes_a_response_only_with_all_that_belongs_to_it() {
    use HandshakeError as E;
    let none = &[][..];
    for (name, values, expected) in [
        (header::UPGRADE, &["websocket"][..], Ok(None)),
        (header::UPGRADE, &["WebSocket"], Ok(None)),
        (header::UPGRADE, none, Err(E::Upgrade)),
        (header::UPGRADE, &["h2c"], Err(E::Upgrade)),
        (header::UPGRADE, &["websocket, h2c"], Err(E::Upgrade)),
        (header::UPGRADE, &["websocket", "websocket"], Err(E::Upgrade)),
        (header::CONNECTION, &["upgrade"], Ok(None)),
        (header::CONNECTION, &["keep-alive, UPGRADE"], Ok(None)),
        (header::CONNECTION, &["keep-alive", "Upgrade"], Ok(None)),
        (header::CONNECTION, none, Err(E::Connection)),
        (header::CONNECTION, &["not-upgrade"], Err(E::Connection)),
        (header::SEC_WEBSOCKET_ACCEPT, none, Err(E::Accept)),
        (header::SEC_WEBSOCKET_ACCEPT, &[ACCEPT], Ok(None)),
        (header::SEC_WEBSOCKET_ACCEPT, &[ACCEPT, ACCEPT], Err(E::Accept)),
        (header::SEC_WEBSOCKET_ACCEPT, &["S3pPLMBiTxaQ9kYGzzhZRbK+xOo="], Err(E::Accept)),
        (header::SEC_WEBSOCKET_ACCEPT, &["s3pPLMBiTxaQ9kYGzzhZRbK+xOo"], Err(E::Accept)),
        (header::SEC_WEBSOCKET_ACCEPT, &[KEY], Err(E::Accept)),
        (header::SEC_WEBSOCKET_PROTOCOL, none, Ok(None)),
        (header::SEC_WEBSOCKET_PROTOCOL, &["chat"], Ok(Some("chat"))),
        (header::SEC_WEBSOCKET_PROTOCOL, &["superchat"], Ok(Some("superchat"))),
        (header::SEC_WEBSOCKET_PROTOCOL, &["Chat"], Err(E::Subprotocol)),
        (header::SEC_WEBSOCKET_PROTOCOL, &["other"], Err(E::Subprotocol)),
        (header::SEC_WEBSOCKET_PROTOCOL, &[""], Err(E::Subprotocol)),
        (header::SEC_WEBSOCKET_PROTOCOL, &["chat, superchat"], Err(E::Subprotocol)),
        (header::SEC_WEBSOCKET_PROTOCOL, &["chat", "chat"], Err(E::Subprotocol)),
    ] {
        let expected = expected.map(|name: Option<&str>| name.map(str::to_owned));
        assert_eq!(verify_with(name.clone(), values), expected, "{name}: {values:?}");
    }
    let unasked = verify_with(header::SEC_WEBSOCKET_EXTENSIONS, ["permessage-deflate"]).unwrap_err();
    assert!(unasked.to_string().contains("extension"), "{unasked}");
}

#[test]
fn no_byte_at_any_place_in_a_response_s_headers_does_more_than_refuse() {
    for (name, good) in [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_ACCEPT, ACCEPT),
        (header::SEC_WEBSOCKET_PROTOCOL, "chat"),
        (header::SEC_WEBSOCKET_EXTENSIONS, "x"),
    ] {
        for byte in 0..=255 {
            for at in [0, good.len() / 2, good.len()] {
                let value = [&good.as_bytes()[..at], &[byte], &good.as_bytes()[at..]].concat();
                if HeaderValue::from_bytes(&value).is_ok() {
                    let verdict = verify_with(name.clone(), [&value]);
                    assert!(verdict.is_err() || name == header::CONNECTION, "{name}: {value:?}");
                }
            }
        }
    }
}

#[test]
fn whatever_our_client_asks_our_server_answers_and_our_client_takes() {
    for url in ["ws://example.com", "wss://[::1]:9000/a?b", "ws://example.com?q"] {
        let target = Target::parse(url).unwrap();
        for (i, offered) in [&[][..], &["chat"], &["other", "chat"], &["other"]].into_iter().enumerate() {
            let offered: Vec<_> = offered.iter().map(|&name| name.to_owned()).collect();
            let key = Key::new([u8::try_from(i).unwrap(); 16]);
            let offers = offer(&offered);
            let request = client::request(&target, &key, &offers, HeaderMap::new()).unwrap();
            let (response, agreed) = accept_request(&request, &Options::default().subprotocols(["chat"])).unwrap();
            let expected = offered.iter().any(|name| name == "chat").then(|| "chat".to_owned());
            assert_eq!(agreed.subprotocol, expected);
            assert_eq!(client::verify(&response, &key, &offers), Ok(agreed), "{url}");
            let other = Key::new([0xFF; 16]);
            assert_eq!(client::verify(&response, &other, &offers), Err(HandshakeError::Accept), "another's answer");
        }
    }
}
