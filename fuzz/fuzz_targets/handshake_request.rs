//! Any bytes as a request that opens a WebSocket, as the response to one, and as a URL.
//!
//! What a request must have is said here a second time, from RFC 6455 §4.2.1 and over the raw lines: a server accepts a
//! request exactly when both agree.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use libfuzzer_sys::fuzz_target;
use sockeye_proto::handshake::client::{self, Offer, Target};
use sockeye_proto::handshake::server::{Options, accept_request};
use sockeye_proto::handshake::{HandshakeError, Key, OriginPolicy, Refusal};

fuzz_target!(|input: &[u8]| {
    request(input);
    response(input);
    if let Ok(text) = core::str::from_utf8(input) {
        url(text.lines().next().unwrap_or_default());
    }
});

/// The nonce of §1.3, and what answers it.
const NONCE: [u8; 16] = *b"the sample nonce";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const OURS: [&str; 2] = ["chat", "superchat"];
const FRIEND: &str = "https://example.com";

type Lines<'a> = Vec<(String, &'a [u8])>;

fn request(input: &[u8]) {
    let mut parsed = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Request::new(&mut parsed);
    let Ok(httparse::Status::Complete(_)) = head.parse(input) else { return };
    let (Some(method), Some(path), Some(version)) = (head.method, head.path, head.version) else { return };
    let (Ok(uri), Ok(method_value)) = (path.parse::<Uri>(), Method::from_bytes(method.as_bytes())) else { return };
    let Some((map, lines)) = headers(head.headers) else { return };

    let mut request = Request::new(());
    *request.method_mut() = method_value;
    *request.uri_mut() = uri.clone();
    *request.version_mut() = if version == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    *request.headers_mut() = map;

    let opens = method == "GET" && version == 1 && opens_a_websocket(&lines);
    for policy in [OriginPolicy::Any, OriginPolicy::SameHost, OriginPolicy::List(vec![FRIEND.to_owned()])] {
        let allowed = policy.allows(request.headers(), request.uri());
        if allowed {
            may_come_in(&policy, &lines, &uri);
        }
        for subprotocols in [&OURS[..], &[]] {
            let options = Options::default().origin(policy.clone()).subprotocols(subprotocols.iter().copied());
            let answer = accept_request(&request, &options);
            if matches!(answer, Err(Refusal::Extensions)) {
                assert!(opens && !values(&lines, "sec-websocket-extensions").is_empty(), "{lines:?}");
                continue;
            }
            assert_eq!(answer.is_ok(), opens && allowed, "{answer:?}, {policy:?}");
            match answer {
                Ok((response, _)) => accepted(&request, &lines, &response, subprotocols),
                Err(refusal) => refused(&refusal),
            }
        }
    }
}

/// The headers as a map and as they stand, unless there is one that the `http` crate cannot hold.
fn headers<'a>(parsed: &[httparse::Header<'a>]) -> Option<(HeaderMap, Lines<'a>)> {
    let (mut map, mut lines) = (HeaderMap::new(), Vec::new());
    for line in parsed {
        map.append(HeaderName::from_bytes(line.name.as_bytes()).ok()?, HeaderValue::from_bytes(line.value).ok()?);
        lines.push((line.name.to_ascii_lowercase(), line.value));
    }
    Some((map, lines))
}

fn values<'a>(lines: &Lines<'a>, name: &str) -> Vec<&'a [u8]> {
    lines.iter().filter(|(line, _)| line == name).map(|(_, value)| *value).collect()
}

/// The elements of a list; of a line with a byte that no token can have and no list either, none.
fn elements(lines: &Lines<'_>, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for value in values(lines, name) {
        if value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            let list = String::from_utf8_lossy(value).into_owned();
            found.extend(
                list.split(',').map(|one| one.trim_matches(['\t', ' ']).to_owned()).filter(|one| !one.is_empty()),
            );
        }
    }
    found
}

fn has(lines: &Lines<'_>, name: &str, word: &str) -> bool {
    elements(lines, name).iter().any(|element| element.to_ascii_lowercase() == word)
}

/// §4.2.1, points 2 to 6 and 8, and that no body follows.
fn opens_a_websocket(lines: &Lines<'_>) -> bool {
    let host = matches!(values(lines, "host")[..], [value] if is_host(value));
    let key = matches!(values(lines, "sec-websocket-key")[..], [value] if is_key(value));
    let version = values(lines, "sec-websocket-version") == [b"13"];
    let body = !values(lines, "transfer-encoding").is_empty()
        || values(lines, "content-length").iter().any(|value| *value != b"0");
    // RFC 9112 §3.2 wants one Host, even where the target names the host.
    host && has(lines, "upgrade", "websocket")
        && has(lines, "connection", "upgrade")
        && version
        && key
        && !body
        && subprotocols_are_tokens(lines)
}

/// A name or address, and perhaps a port (RFC 3986 §3.2).
fn is_host(value: &[u8]) -> bool {
    let Ok(text) = core::str::from_utf8(value) else { return false };
    let Some((host, _)) = (!text.contains('@')).then(|| host_and_port(text, 80)).flatten() else { return false };
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.chars().all(|c| c.is_ascii_graphic() && !"\"#/<>?@[\\]^`{|}:".contains(c)),
    }
}

/// 16 bytes in base64: 21 characters of 6 bits, one that ends in four zero bits, and two signs of padding.
fn is_key(value: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    value.len() == 24 && value[..21].iter().all(digit) && b"AQgw".contains(&value[21]) && value.ends_with(b"==")
}

fn subprotocols_are_tokens(lines: &Lines<'_>) -> bool {
    let name = "sec-websocket-protocol";
    let readable = values(lines, name).iter().all(|value| value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')));
    let offered = elements(lines, name);
    let separators = r#"()<>@,;:\"/[]?={}"#;
    let tokens = offered.iter().all(|one| one.chars().all(|c| c.is_ascii_graphic() && !separators.contains(c)));
    let different = (1..offered.len()).all(|i| !offered[..i].contains(&offered[i]));
    readable && tokens && different
}

/// An origin that a policy lets in is one that it may.
fn may_come_in(policy: &OriginPolicy, lines: &Lines<'_>, uri: &Uri) {
    let origins = values(lines, "origin");
    let [origin] = origins[..] else {
        assert!(origins.is_empty() || *policy == OriginPolicy::Any, "several origins");
        return;
    };
    let origin = String::from_utf8_lossy(origin).to_ascii_lowercase();
    match policy {
        OriginPolicy::List(_) => assert_eq!(origin, FRIEND),
        OriginPolicy::SameHost => {
            let (scheme, rest) = origin.split_once("://").expect("an origin has a scheme");
            let default = if matches!(scheme, "https" | "wss") { 443 } else { 80 };
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            let requested = match (uri.authority(), &values(lines, "host")[..]) {
                (Some(authority), _) => authority.to_string(),
                (None, [first, ..]) => String::from_utf8_lossy(first).into_owned(),
                (None, []) => panic!("the same host as none"),
            };
            // Other than that no browser writes an origin or a host.
            if let (Some(page), Some(server)) =
                (host_and_port(&rest[..end], default), host_and_port(&requested, default))
            {
                assert_eq!(page, server, "another host");
            }
        }
        _ => {}
    }
}

/// `example.com`, `example.com:8080`, `[::1]:8080`, in lower case; `None` for anything else.
fn host_and_port(authority: &str, default: u16) -> Option<(String, u16)> {
    let authority = authority.to_ascii_lowercase();
    assert!(!authority.contains('@'), "a user name lets nobody in");
    let host_end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(host_end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => default,
        Some("") => default,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        _ => return None,
    };
    Some((host.to_owned(), port))
}

/// The response has what §4.2.2 asks for and nothing else, and our own client takes it.
fn accepted(request: &Request<()>, lines: &Lines<'_>, response: &Response<()>, ours: &[&str]) {
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers();
    assert_eq!(headers[header::UPGRADE], "websocket");
    assert_eq!(headers[header::CONNECTION], "Upgrade");
    assert_eq!(headers[header::SEC_WEBSOCKET_ACCEPT].len(), 28, "SHA-1 in base64");
    let offered = elements(lines, "sec-websocket-protocol");
    let expected = ours.iter().find(|name| offered.iter().any(|one| one == *name)).map(|name| (*name).to_owned());
    assert_eq!(headers.len(), 3 + usize::from(expected.is_some()));
    let key = Key::parse(&request.headers()[header::SEC_WEBSOCKET_KEY]).expect("it was accepted");
    let verdict = client::verify(response, &key, &offer(&offered)).map(|agreed| agreed.subprotocol);
    assert_eq!(verdict, Ok(expected));
}

/// An offer of these subprotocols.
fn offer<S: AsRef<str>>(names: &[S]) -> Offer {
    names.iter().fold(Offer::default(), |offer, name| offer.subprotocol(name.as_ref()))
}

fn refused(refusal: &Refusal) {
    let response: Response<String> = refusal.response();
    let headers = response.headers();
    match response.status().as_u16() {
        400 | 403 => {}
        405 => assert_eq!(headers[header::ALLOW], "GET"),
        426 => {
            assert_eq!(headers[header::UPGRADE], "websocket");
            assert_eq!(headers[header::CONNECTION], "Upgrade");
            assert_eq!(headers[header::SEC_WEBSOCKET_VERSION], "13");
        }
        other => panic!("status {other}"),
    }
    assert!(response.body().ends_with('\n'), "a line says why");
}

/// A response that our client takes has what §4.1 asks for.
fn response(input: &[u8]) {
    let mut parsed = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut parsed);
    let Ok(httparse::Status::Complete(_)) = head.parse(input) else { return };
    let Some(status) = head.code.and_then(|code| StatusCode::from_u16(code).ok()) else { return };
    let Some((map, lines)) = headers(head.headers) else { return };
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.headers_mut() = map;

    let chosen = values(&lines, "sec-websocket-protocol");
    let opens = status == StatusCode::SWITCHING_PROTOCOLS
        && matches!(values(&lines, "upgrade")[..], [value] if value.eq_ignore_ascii_case(b"websocket"))
        && has(&lines, "connection", "upgrade")
        && values(&lines, "sec-websocket-accept") == [ACCEPT.as_bytes()]
        && values(&lines, "sec-websocket-extensions").iter().all(|value| value.is_empty())
        && matches!(chosen[..], [] | [b"chat"] | [b"superchat"]);
    let verdict = client::verify(&response, &Key::new(NONCE), &offer(&OURS)).map(|agreed| agreed.subprotocol);
    assert_eq!(verdict.is_ok(), opens, "{verdict:?}");
    if let Ok(subprotocol) = verdict {
        assert_eq!(subprotocol.as_deref().map(str::as_bytes), chosen.first().copied());
    }
}

/// A URL that can be read leads to the same place when it is written again, and to a request that a server takes.
fn url(text: &str) {
    let target = match Target::parse(text) {
        Ok(target) => target,
        Err(HandshakeError::Url(_)) => return,
        Err(HandshakeError::Credentials(_)) => {
            // Without it a control character makes no URL, and the first colon ends the user name.
            assert!(text.contains('%'), "the credentials of {text:?}");
            return;
        }
        Err(other) => panic!("{other} is not about a URL"),
    };
    assert!(!text.contains(['#', ' ', '\t']));
    assert!(!target.host.is_empty());
    let scheme = if target.secure { "wss" } else { "ws" };
    let authority = target.authority.to_str().expect("visible ASCII");
    assert!(!authority.contains(['@', '/', '?']));
    let written = format!("{scheme}://{authority}{}", target.path);
    let again = Target::parse(&written).expect("it was read before");
    let place = |target: &Target| (target.secure, target.host.clone(), target.port, target.path.to_string());
    assert_eq!((place(&again), &again.authority), (place(&target), &target.authority), "{written}");

    let key = Key::new(NONCE);
    let request =
        client::request(&target, &key, &Offer::default(), HeaderMap::new()).expect("we add nothing of our own");
    let (response, agreed) = accept_request(&request, &Options::default()).expect("our server takes our request");
    assert_eq!(client::verify(&response, &key, &Offer::default()), Ok(agreed));
}
