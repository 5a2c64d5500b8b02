//! The server's side: what a request must have, and how it is answered.

use super::{ACCEPT, KEY, headers, judge, judge_with, request, with};
use http::{HeaderValue, Method, Response, StatusCode, Version, header};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{OriginPolicy, Refusal};

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
