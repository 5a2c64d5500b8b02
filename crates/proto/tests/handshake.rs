//! The opening handshake as transcripts: what one side says, what the other answers.

use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use sockeye_proto::handshake::client::{self, Offer, Target};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{HandshakeError, Key, OriginPolicy, Refusal, contains_token, tokens};

/// The example of RFC 6455 §1.2 and §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const NONCE: [u8; 16] = *b"the sample nonce";

/// The request every story begins with.
fn request() -> Request<()> {
    Request::get("/chat")
        .header("Host", "server.example.com")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", KEY)
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap()
}

/// The request with this header's values instead of its own.
fn with<V: AsRef<[u8]>>(name: HeaderName, values: impl IntoIterator<Item = V>) -> Request<()> {
    let mut request = request();
    request.headers_mut().remove(&name);
    for value in values {
        request.headers_mut().append(&name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    request
}

/// An offer of these subprotocols.
fn offer<S: AsRef<str>>(subprotocols: impl IntoIterator<Item = S>) -> Offer {
    subprotocols.into_iter().fold(Offer::default(), |offer, name| offer.subprotocol(name.as_ref()))
}

fn judge(request: &Request<()>) -> Result<Response<()>, Refusal> {
    accept_request(request, &Options::default()).map(|(response, _)| response)
}

/// What the server makes of the request with these values of one header.
fn judge_with<V: AsRef<[u8]>>(name: HeaderName, values: impl IntoIterator<Item = V>) -> Result<(), Refusal> {
    judge(&with(name, values)).map(|_| ())
}

/// All headers of a response, in a fixed order.
fn headers<B>(response: &Response<B>) -> Vec<(&str, &str)> {
    let mut all: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}

// --- the server's side ---

#[test]
fn s1_3_the_example_of_the_rfc_is_accepted_with_its_answer_and_nothing_else() {
    let response = judge(&request()).unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(
        headers(&response),
        [("connection", "Upgrade"), ("sec-websocket-accept", ACCEPT), ("upgrade", "websocket")]
    );
}

#[test]
fn every_refusal_has_its_status_its_headers_and_a_line_that_says_why() {
    let line = |refusal: &Refusal| {
        let response: Response<String> = refusal.response();
        assert_eq!(response.status(), refusal.status());
        assert_eq!(*response.body(), format!("{refusal}\n"));
        let ours = matches!(refusal, Refusal::Full | Refusal::Draining);
        assert!(ours || response.body().contains("(RFC "), "{refusal} names its section");
        let all = headers(&response).into_iter();
        // These two go with every text.
        let own = all.filter(|header| {
            !matches!(header, ("content-type", "text/plain; charset=utf-8") | ("cache-control", "no-store"))
        });
        let own: Vec<_> = own.map(|(name, value)| format!("{name}: {value}")).collect();
        (response.status().as_u16(), own.join(", "))
    };
    let upgrade = "connection: Upgrade, sec-websocket-version: 13, upgrade: websocket";
    for (refusal, status, own) in [
        (Refusal::Method, 405, "allow: GET"),
        (Refusal::HttpVersion, 400, ""),
        (Refusal::Connect, 405, "allow: CONNECT"),
        (Refusal::Protocol, 501, ""),
        (Refusal::Host, 400, ""),
        (Refusal::Upgrade, 426, upgrade),
        (Refusal::Connection, 400, ""),
        (Refusal::Version, 426, upgrade),
        (Refusal::Key, 400, ""),
        (Refusal::Subprotocol, 400, ""),
        (Refusal::Body, 400, ""),
        (Refusal::Origin, 403, ""),
        (Refusal::Full, 503, ""),
        (Refusal::Draining, 503, ""),
    ] {
        assert_eq!(line(&refusal), (status, own.to_owned()), "{refusal:?}");
    }
}

#[test]
fn s4_2_1_1_any_method_but_get_is_405() {
    for method in [
        Method::POST,
        Method::HEAD,
        Method::PUT,
        Method::OPTIONS,
        Method::CONNECT,
        Method::from_bytes(b"get").unwrap(),
        Method::from_bytes(b"WEBSOCKET").unwrap(),
    ] {
        let mut request = request();
        *request.method_mut() = method.clone();
        assert_eq!(judge(&request).unwrap_err(), Refusal::Method, "{method}");
    }
}

#[test]
fn s4_2_1_1_http_1_0_and_older_is_400_and_so_is_http_2_with_upgrade() {
    for version in [Version::HTTP_09, Version::HTTP_10, Version::HTTP_2] {
        let mut request = request();
        *request.version_mut() = version;
        assert_eq!(judge(&request).unwrap_err(), Refusal::HttpVersion);
    }
}

#[test]
fn s4_2_1_2_exactly_one_host_is_needed_unless_the_target_names_it() {
    let refused = Err(Refusal::Host);
    assert_eq!(judge_with(header::HOST, [""; 0]), refused, "none");
    assert_eq!(judge_with(header::HOST, [""]), refused, "an empty one");
    assert_eq!(judge_with(header::HOST, ["a.example", "b.example"]), refused, "two");
    assert_eq!(judge_with(header::HOST, ["a.example", "a.example"]), refused, "twice the same");
    assert_eq!(judge_with(header::HOST, ["[::1]:8080"]), Ok(()));

    // RFC 9112 §3.2.2: the absolute form.
    let mut absolute = request();
    *absolute.uri_mut() = "http://server.example.com/chat".parse().unwrap();
    assert!(judge(&absolute).is_ok());
}

#[test]
fn rfc9112_s3_2_a_request_of_http_1_1_has_one_host_even_in_absolute_form() {
    for hosts in [&[][..], &["server.example.com", "server.example.com"]] {
        let mut absolute = with(header::HOST, hosts);
        *absolute.uri_mut() = "http://server.example.com/chat".parse().unwrap();
        assert_eq!(judge(&absolute).unwrap_err(), Refusal::Host, "{hosts:?}");
    }
}

#[test]
fn rfc9112_s3_2_a_host_that_is_none_is_400() {
    for value in ["a b", "a/b", "a@b", "?", "http://a/", "a\tb", "[::1", "a:99999", "a:80:80"] {
        assert_eq!(judge_with(header::HOST, [value]), Err(Refusal::Host), "{value:?}");
    }
}

#[test]
fn s4_2_1_3_without_upgrade_websocket_it_is_426() {
    let refused = Err(Refusal::Upgrade);
    assert_eq!(judge_with(header::UPGRADE, [""; 0]), refused);
    for value in
        ["", ",", "h2c", "websockets", "web socket", "websocket/13", "\"websocket\"", "websocket;q=1", "web,socket"]
    {
        assert_eq!(judge_with(header::UPGRADE, [value]), refused, "{value:?}");
    }
    for value in
        ["websocket", "WebSocket", "WEBSOCKET", "h2c, websocket", "websocket,h2c", "\twebsocket ,", ",,websocket"]
    {
        assert_eq!(judge_with(header::UPGRADE, [value]), Ok(()), "{value:?}");
    }
    assert_eq!(judge_with(header::UPGRADE, ["h2c", "websocket"]), Ok(()), "in the second line");
}

#[test]
fn s4_2_1_4_without_connection_upgrade_it_is_400() {
    let refused = Err(Refusal::Connection);
    assert_eq!(judge_with(header::CONNECTION, [""; 0]), refused);
    for value in [
        "",
        " ",
        ",",
        "close",
        "keep-alive",
        "not-upgrade",
        "upgrade-not",
        "upgrades",
        "up grade",
        "\"upgrade\"",
        "upgrade;x",
    ] {
        assert_eq!(judge_with(header::CONNECTION, [value]), refused, "{value:?}");
    }
    for value in [
        "Upgrade",
        "upgrade",
        "UPGRADE",
        "uPgRaDe",
        // What Firefox sends.
        "keep-alive, Upgrade",
        "Upgrade,keep-alive",
        "keep-alive\t,\tUpgrade\t",
        " , ,, Upgrade , ,",
        "not-upgrade, upgrade",
        "upgrade, upgrade",
    ] {
        assert_eq!(judge_with(header::CONNECTION, [value]), Ok(()), "{value:?}");
    }
    assert_eq!(judge_with(header::CONNECTION, ["keep-alive", "", "Upgrade"]), Ok(()), "in the third line");
    assert_eq!(judge_with(header::CONNECTION, [&b"\xFF"[..], b"Upgrade"]), Ok(()), "another line is no list at all");
    assert_eq!(judge_with(header::CONNECTION, [&b"Upgrade\xFF"[..]]), refused);
}

#[test]
fn s4_2_1_5_a_key_is_sixteen_bytes_in_base64() {
    let refused = Err(Refusal::Key);
    assert_eq!(judge_with(header::SEC_WEBSOCKET_KEY, [""; 0]), refused, "none");
    assert_eq!(judge_with(header::SEC_WEBSOCKET_KEY, [KEY, KEY]), refused, "twice");
    for (value, why) in [
        ("", "nothing"),
        ("dGhlIHNhbXBsZSBub25j", "15 bytes"),
        ("dGhlIHNhbXBsZSBub25jZXM=", "17 bytes"),
        ("dGhlIHNhbXBsZSBub25jZXNz", "18 bytes"),
        ("dGhlIHNhbXBsZSBub25jZQ", "no padding"),
        ("dGhlIHNhbXBsZSBub25jZQ=", "half a padding"),
        ("dGhlIHNhbXBsZSBub25jZQ===", "too much padding"),
        ("dGhlIHNhbXBsZSBub25jZR==", "the last four bits are not 0: two texts for the same bytes"),
        ("-_hlIHNhbXBsZSBub25jZQ==", "the alphabet for URLs"),
        ("dGhlIHNhbXBs ZSBub25jZQ==", "a space"),
        (" dGhlIHNhbXBsZSBub25jZQ==", "a space before it"),
        ("dGhlIHNhbXBsZSBub25jZQ== ", "a space behind it"),
        ("dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==", "a list"),
        ("\"dGhlIHNhbXBsZSBub25jZQ==\"", "quoted"),
    ] {
        assert_eq!(judge_with(header::SEC_WEBSOCKET_KEY, [value]), refused, "{why}");
    }
    // Every last character: only four of the 64 leave the last four bits 0.
    let mut accepted = String::new();
    for last in (b'!'..=b'~').map(char::from) {
        if judge_with(header::SEC_WEBSOCKET_KEY, [format!("AAAAAAAAAAAAAAAAAAAAA{last}==")]).is_ok() {
            accepted.push(last);
        }
    }
    assert_eq!(accepted, "AQgw");
    for len in 0..40 {
        let padded = ["", "=", "=="].map(|padding| format!("{}{padding}", "A".repeat(len)));
        for key in padded {
            let expected = if key.len() == 24 && key.ends_with("==") { Ok(()) } else { refused.clone() };
            assert_eq!(judge_with(header::SEC_WEBSOCKET_KEY, [&key]), expected, "{key}");
        }
    }
}

#[test]
fn s4_2_1_6_any_version_but_13_is_426() {
    let refused = Err(Refusal::Version);
    assert_eq!(judge_with(header::SEC_WEBSOCKET_VERSION, [""; 0]), refused);
    for value in ["", "0", "7", "8", "12", "14", "130", "013", "+13", "13.0", "13, 8", "8, 13", "13,", "0xD", "１３"]
    {
        assert_eq!(judge_with(header::SEC_WEBSOCKET_VERSION, [value]), refused, "{value:?}");
    }
    assert_eq!(judge_with(header::SEC_WEBSOCKET_VERSION, ["13", "13"]), refused, "twice");
    assert_eq!(judge_with(header::SEC_WEBSOCKET_VERSION, ["13", "8"]), refused, "two versions");
}

#[test]
fn a_request_with_a_body_is_400_as_its_bytes_would_pass_for_frames() {
    for (name, values, expected) in [
        (header::CONTENT_LENGTH, &["5"][..], Err(Refusal::Body)),
        (header::CONTENT_LENGTH, &["0", "5"], Err(Refusal::Body)),
        (header::CONTENT_LENGTH, &[""], Err(Refusal::Body)),
        (header::CONTENT_LENGTH, &["0"], Ok(())),
        (header::TRANSFER_ENCODING, &["chunked"], Err(Refusal::Body)),
        (header::TRANSFER_ENCODING, &["identity"], Err(Refusal::Body)),
    ] {
        assert_eq!(judge_with(name.clone(), values), expected, "{name}: {values:?}");
    }
}

#[test]
fn s4_2_2_of_the_subprotocols_the_server_takes_the_one_it_prefers_and_says_which() {
    let ours = Options::default().subprotocols(["superchat", "chat"]);
    for (offered, expected) in [
        (&[][..], Ok(None)),
        (&["chat"], Ok(Some("chat"))),
        (&["chat, superchat"], Ok(Some("superchat"))),
        (&["chat", "superchat"], Ok(Some("superchat"))),
        (&["other,\tchat ,"], Ok(Some("chat"))),
        (&["other"], Ok(None)),
        // Names are compared as they stand.
        (&["Chat"], Ok(None)),
        (&[""], Ok(None)),
        (&["chat, Chat"], Ok(Some("chat"))),
        (&["chat, chat"], Err(Refusal::Subprotocol)),
        (&["chat", "chat"], Err(Refusal::Subprotocol)),
        (&["super chat"], Err(Refusal::Subprotocol)),
        (&["chat;v=1"], Err(Refusal::Subprotocol)),
        (&["\"chat\""], Err(Refusal::Subprotocol)),
        (&["a/b"], Err(Refusal::Subprotocol)),
        (&["chät"], Err(Refusal::Subprotocol)),
    ] {
        let answer = accept_request(&with(header::SEC_WEBSOCKET_PROTOCOL, offered), &ours);
        let chosen = answer.map(|(response, agreed)| {
            let chosen: Vec<_> = response.headers().get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().cloned().collect();
            assert!(chosen.len() <= 1);
            let chosen = chosen.first().map(|name| name.to_str().unwrap().to_owned());
            assert_eq!(chosen, agreed.subprotocol);
            chosen
        });
        assert_eq!(chosen, expected.map(|name| name.map(str::to_owned)), "{offered:?}");
    }
}

#[test]
fn s9_1_extensions_are_passed_over_where_none_is_wanted_and_a_header_that_cannot_be_read_is_400() {
    for value in ["permessage-deflate", "permessage-deflate; client_max_window_bits", "", "x; y=\"ab\""] {
        let response = judge(&with(header::SEC_WEBSOCKET_EXTENSIONS, [value])).unwrap();
        assert!(!response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS), "{value:?}");
    }
    for value in [";;;", "x; y=\"a,b\"", "x y", "x;", "x; y=", "\"x\"", "x; y=\"", "x/y"] {
        assert_eq!(
            judge(&with(header::SEC_WEBSOCKET_EXTENSIONS, [value])).unwrap_err(),
            Refusal::Extensions,
            "{value}"
        );
    }
}

#[test]
fn s10_2_a_page_of_another_origin_is_403_and_only_once_all_else_is_right() {
    let evil = with(header::ORIGIN, ["https://evil.example"]);
    assert_eq!(judge(&evil).unwrap_err(), Refusal::Origin);
    assert!(judge(&with(header::ORIGIN, ["https://server.example.com"])).is_ok());
    assert_eq!(judge_with(header::ORIGIN, ["https://server.example.com"; 2]), Err(Refusal::Origin), "twice");
    assert_eq!(judge_with(header::ORIGIN, [&b"https://server.example.com\xFF"[..]]), Err(Refusal::Origin));

    let listed = Options::default().origin(OriginPolicy::List(vec!["https://evil.example".to_owned()]));
    assert!(accept_request(&evil, &listed).is_ok());
    assert!(accept_request(&evil, &Options::default().origin(OriginPolicy::Any)).is_ok());

    let mut without_key = evil;
    without_key.headers_mut().remove(header::SEC_WEBSOCKET_KEY);
    assert_eq!(judge(&without_key).unwrap_err(), Refusal::Key);
}

#[test]
fn s10_2_with_a_target_in_absolute_form_its_host_counts_and_not_the_header_s() {
    // RFC 9112 §3.2.2: "the server MUST ignore the received Host header field (if any)".
    for (origin, expected) in [("http://a.example", true), ("http://b.example", false)] {
        let mut request = with(header::ORIGIN, [origin]);
        request.headers_mut().insert(header::HOST, HeaderValue::from_static("b.example"));
        *request.uri_mut() = "http://a.example/chat".parse().unwrap();
        assert_eq!(judge(&request).is_ok(), expected, "{origin}");
    }
}

// --- lists ---

#[test]
fn rfc9110_s5_6_1_a_list_is_split_at_commas_over_all_its_lines_and_empty_elements_do_not_count() {
    for (lines, expected) in [
        (&["a"][..], &["a"][..]),
        (&["a,b"], &["a", "b"]),
        (&["a, b", "c"], &["a", "b", "c"]),
        (&[",a,, ,\t,b,"], &["a", "b"]),
        (&["  a\t, \tb  "], &["a", "b"]),
        (&["a b,c"], &["a b", "c"]),
        (&["", ",", " \t"], &[]),
        (&[], &[]),
        // Connection, Upgrade and Sec-WebSocket-Protocol have no quoted strings: a quotation mark is a character that no
        // token has, and a comma ends the element.
        (&["\"a,b\""], &["\"a", "b\""]),
    ] {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::CONNECTION, HeaderValue::from_static(line));
        }
        assert_eq!(tokens(&headers, header::CONNECTION).collect::<Vec<_>>(), expected, "{lines:?}");
        for token in expected {
            assert!(contains_token(&headers, header::CONNECTION, &token.to_ascii_uppercase()));
        }
        assert!(!contains_token(&headers, header::CONNECTION, ""));
        assert!(!contains_token(&headers, header::UPGRADE, "a"), "another header");
    }
}

#[test]
fn lists_of_64_kib_are_read_once_whatever_they_hold() {
    let size = 64 << 10;
    let patterns = [",", " ", "\t", ", ", "a,", " ,\t", "upgrade", "upgrade-", "\"", "\",", "keep-alive, ", "Upgrade "];
    for name in [header::CONNECTION, header::UPGRADE, header::SEC_WEBSOCKET_EXTENSIONS] {
        for pattern in patterns {
            let value = pattern.repeat(size / pattern.len());
            let word = if name == header::UPGRADE { "websocket" } else { "upgrade" };
            // What is looked for stands at the very end.
            let verdict = judge(&with(name.clone(), [format!("{value},{word}")]));
            let passes = verdict.is_ok()
                || (name == header::SEC_WEBSOCKET_EXTENSIONS && matches!(verdict, Err(Refusal::Extensions)));
            assert!(passes, "{name}: {pattern:?}…");
            let _ = judge(&with(name.clone(), [value]));
        }
        // 1,024 lines of 64 bytes.
        let _ = judge(&with(name, vec![",".repeat(64); 1024]));
    }
    // Different names, which are compared with one another.
    let names: Vec<_> = (0..13_000).map(|number| format!("{number:x}")).collect();
    assert!(judge(&with(header::SEC_WEBSOCKET_PROTOCOL, [names.join(",")])).is_ok());
    for pattern in patterns {
        let _ = judge(&with(header::SEC_WEBSOCKET_PROTOCOL, [pattern.repeat(size / pattern.len())]));
    }
    for name in [header::SEC_WEBSOCKET_KEY, header::SEC_WEBSOCKET_VERSION, header::ORIGIN, header::HOST] {
        let _ = judge(&with(name, ["A".repeat(size)]));
    }
}

#[test]
fn no_byte_at_any_place_in_any_header_does_more_than_refuse() {
    let names = [
        (header::HOST, "server.example.com"),
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "Upgrade"),
        (header::SEC_WEBSOCKET_KEY, KEY),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_PROTOCOL, "chat, superchat"),
        (header::SEC_WEBSOCKET_EXTENSIONS, "permessage-deflate"),
        (header::ORIGIN, "https://server.example.com:8080"),
        (header::CONTENT_LENGTH, "0"),
        (header::TRANSFER_ENCODING, "chunked"),
    ];
    let options = [
        Options::default().subprotocols(["chat"]),
        Options::default().origin(OriginPolicy::Any),
        Options::default().origin(OriginPolicy::List(vec!["https://server.example.com:8080".to_owned()])),
    ];
    let (mut tried, mut accepted) = (0, 0);
    for (name, good) in names {
        for byte in 0..=255 {
            for at in [0, good.len() / 2, good.len()] {
                for replaced in [0, 1] {
                    let end = (at + replaced).min(good.len());
                    let value = [&good.as_bytes()[..at], &[byte], &good.as_bytes()[end..]].concat();
                    // Some bytes the http crate does not let into a value; then no server ever sees them.
                    let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                    for options in &options {
                        tried += 1;
                        accepted += u32::from(accept_request(&with(name.clone(), [&value]), options).is_ok());
                    }
                }
            }
        }
    }
    assert!(tried > 40_000 && accepted > 1_000, "{accepted} of {tried} accepted");
}

// --- the client's side ---

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
