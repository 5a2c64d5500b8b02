//! Where a client goes and as whom: user names in URLs, credentials, redirections.

use http::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN};
use http::{HeaderMap, HeaderValue, StatusCode};
use sockeye_proto::handshake::client::{
    Offer, Target, basic_auth, bearer_auth, extended_connect, is_redirection, request,
};
use sockeye_proto::handshake::{HandshakeError, Key};

fn target(url: &str) -> Target {
    Target::parse(url).unwrap_or_else(|error| panic!("{url}: {error}"))
}

fn location(value: &str) -> HeaderMap {
    HeaderMap::from_iter([(LOCATION, HeaderValue::from_bytes(value.as_bytes()).unwrap())])
}

#[test]
fn a_user_name_and_password_in_the_url_become_an_authorization() {
    for (url, user, password) in [
        ("ws://Aladdin:open%20sesame@example.com/", "Aladdin", "open sesame"),
        ("ws://user@example.com/", "user", ""),
        ("ws://user:@example.com/", "user", ""),
        ("ws://:password@example.com/", "", "password"),
        ("ws://user:a:b@example.com/", "user", "a:b"),
        ("wss://us%40er:p%C3%A4ss%2f@example.com:8443/x", "us@er", "päss/"),
        ("ws://a-._~!$&'()*+,;=:b@[::1]/", "a-._~!$&'()*+,;=", "b"),
    ] {
        let target = target(url);
        assert_eq!(target.authorization, Some(basic_auth(user, password).unwrap()), "{url}");
        assert!(!target.authority.to_str().unwrap().contains('@'), "the Host header has no user name: {target:?}");
        assert!(!target.host.contains('@'));
        let request = request(&target, &Key::new([7; 16]), &Offer::default(), HeaderMap::new()).unwrap();
        assert_eq!(request.headers()[AUTHORIZATION], target.authorization.unwrap());
    }
    assert_eq!(target("ws://example.com/a@b").authorization, None);
}

#[test]
fn a_password_is_not_shown() {
    let target = target("ws://user:open-sesame@example.com/");
    let encoded = "dXNlcjpvcGVuLXNlc2FtZQ==";
    assert_eq!(target.authorization.as_ref().unwrap(), &format!("Basic {encoded}"));
    let shown = format!("{target:?}");
    assert!(!shown.contains("sesame") && !shown.contains(encoded), "{shown}");
    let token = bearer_auth("token-of-mine").unwrap();
    assert_eq!(token, "Bearer token-of-mine");
    assert_eq!(format!("{token:?}"), "Sensitive");
}

#[test]
fn rfc7617_s2_a_user_name_has_no_colon_and_neither_has_control_characters() {
    assert_eq!(basic_auth("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert_eq!(basic_auth("test", "123£").unwrap(), "Basic dGVzdDoxMjPCow==", "§2.1, in UTF-8");
    for (user, password) in [("a:b", "c"), ("a\nb", "c"), ("a", "b\u{7f}"), ("a\0", "")] {
        assert!(matches!(basic_auth(user, password), Err(HandshakeError::Credentials(_))), "{user:?} {password:?}");
    }
    for url in ["ws://a%3Ab:c@example.com/", "ws://a:b%0d%0aX@example.com/"] {
        assert!(matches!(Target::parse(url), Err(HandshakeError::Credentials(_))), "{url}");
    }
    for token in ["", "two words", "a\r\nX: y", "tökén"] {
        assert!(matches!(bearer_auth(token), Err(HandshakeError::Credentials(_))), "{token:?}");
    }
}

#[test]
fn what_a_server_would_have_to_choose_from_is_not_sent() {
    let plain = target("ws://example.com/");
    let with_user = target("ws://user:secret@example.com/");
    let ask = |target: &Target, own: &HeaderMap| {
        let by_connect = extended_connect(target, &Offer::default(), own.clone()).map(|_| ());
        let by_get = request(target, &Key::new([7; 16]), &Offer::default(), own.clone()).map(|_| ());
        assert_eq!(by_get, by_connect);
        by_get
    };
    for name in [AUTHORIZATION, HOST, ORIGIN] {
        let mut own = HeaderMap::from_iter([(name.clone(), HeaderValue::from_static("a.example"))]);
        assert_eq!(ask(&plain, &own), Ok(()));
        own.append(&name, HeaderValue::from_static("b.example"));
        assert_eq!(ask(&plain, &own), Err(HandshakeError::RepeatedHeader(name)));
    }
    let own = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static("Bearer x"))]);
    let error = ask(&with_user, &own).unwrap_err();
    assert_eq!(error, HandshakeError::RepeatedHeader(AUTHORIZATION));
    assert!(error.to_string().contains("a user name in the URL sets it, too"), "{error}");
    let own = HeaderMap::from_iter([(COOKIE, HeaderValue::from_static("a=1"))]);
    assert_eq!(ask(&with_user, &own), Ok(()));
}

#[test]
fn rfc3986_s5_4_a_location_is_read_from_where_it_was_given() {
    let here = target("ws://a/b/c/d;p?q");
    for (reference, expected) in [
        // §5.4.1
        ("g", "ws://a/b/c/g"),
        ("./g", "ws://a/b/c/g"),
        ("g/", "ws://a/b/c/g/"),
        ("/g", "ws://a/g"),
        ("//g", "ws://g"),
        ("?y", "ws://a/b/c/d;p?y"),
        ("g?y", "ws://a/b/c/g?y"),
        ("#s", "ws://a/b/c/d;p?q"),
        ("g#s", "ws://a/b/c/g"),
        ("g?y#s", "ws://a/b/c/g?y"),
        (";x", "ws://a/b/c/;x"),
        ("g;x", "ws://a/b/c/g;x"),
        ("g;x?y#s", "ws://a/b/c/g;x?y"),
        ("", "ws://a/b/c/d;p?q"),
        (".", "ws://a/b/c/"),
        ("./", "ws://a/b/c/"),
        ("..", "ws://a/b/"),
        ("../", "ws://a/b/"),
        ("../g", "ws://a/b/g"),
        ("../..", "ws://a/"),
        ("../../", "ws://a/"),
        ("../../g", "ws://a/g"),
        // §5.4.2
        ("../../../g", "ws://a/g"),
        ("../../../../g", "ws://a/g"),
        ("/./g", "ws://a/g"),
        ("/../g", "ws://a/g"),
        ("g.", "ws://a/b/c/g."),
        (".g", "ws://a/b/c/.g"),
        ("g..", "ws://a/b/c/g.."),
        ("..g", "ws://a/b/c/..g"),
        ("./../g", "ws://a/b/g"),
        ("./g/.", "ws://a/b/c/g/"),
        ("g/./h", "ws://a/b/c/g/h"),
        ("g/../h", "ws://a/b/c/h"),
        ("g;x=1/./y", "ws://a/b/c/g;x=1/y"),
        ("g;x=1/../y", "ws://a/b/c/y"),
        ("g?y/./x", "ws://a/b/c/g?y/./x"),
        ("g?y/../x", "ws://a/b/c/g?y/../x"),
        // With a scheme; http: and https: are what a web server knows of.
        ("ws://other/x", "ws://other/x"),
        ("wss://other/x", "wss://other/x"),
        ("http://other:8080/x?y", "ws://other:8080/x?y"),
        ("HTTPS://other/x#s", "wss://other/x"),
    ] {
        assert_eq!(here.redirected(&location(reference)), Ok(target(expected)), "{reference}");
    }
    let here = target("wss://user:secret@[::1]:8443/chat");
    assert_eq!(here.redirected(&location("v2")), Ok(target("wss://[::1]:8443/v2")), "the user stays behind");
    assert_eq!(here.redirected(&location("//[::2]/v2")), Ok(target("wss://[::2]/v2")));
}

#[test]
fn a_location_that_leads_nowhere_we_go_is_refused_with_the_reason() {
    let here = target("wss://example.com/");
    for (reference, why) in [
        ("ws://example.com/", "out of the encryption"),
        ("http://example.com/", "out of the encryption"),
        ("ftp://example.com/", "no URL of a WebSocket"),
        ("javascript:alert(1)", "no URL of a WebSocket"),
        ("https://", "no URL of a WebSocket"),
        ("https:/x", "no URL of a WebSocket"),
        ("//", "no URL of a WebSocket"),
        ("/a b", "no URL of a WebSocket"),
        ("https://user:secret@example.com/", "user name"),
        ("//user@example.com/", "user name"),
        ("/\u{4f60}", "not exactly one Location"),
    ] {
        let error = here.redirected(&location(reference)).expect_err(reference);
        assert!(matches!(error, HandshakeError::Redirect(_)), "{reference}: {error:?}");
        assert!(error.to_string().contains(why), "{reference}: {error}");
        assert!(!error.to_string().contains("secret"));
    }
    let mut twice = location("/a");
    twice.append(LOCATION, HeaderValue::from_static("/b"));
    for headers in [HeaderMap::new(), twice] {
        assert!(here.redirected(&headers).unwrap_err().to_string().contains("not exactly one Location"));
    }
    assert!(target("ws://a/").redirected(&location("//a:80:80/")).is_err());
}

#[test]
fn whatever_bytes_a_location_has_they_are_read_or_refused() {
    let here = target("ws://example.com/a/b?c");
    for good in ["/x", "x", "//example.org/x", "http://example.org/x", "?x", "../x"] {
        for byte in 0..=255u8 {
            for at in 0..=good.len() {
                let value = [&good.as_bytes()[..at], &[byte], &good.as_bytes()[at..]].concat();
                if let Ok(value) = HeaderValue::from_bytes(&value) {
                    let _ = here.redirected(&HeaderMap::from_iter([(LOCATION, value)]));
                }
            }
        }
    }
}

#[test]
fn rfc9110_s15_4_these_statuses_lead_elsewhere_and_no_others() {
    let all = (100..600).filter(|&code| is_redirection(StatusCode::from_u16(code).unwrap()));
    assert_eq!(all.collect::<Vec<_>>(), [301, 302, 303, 307, 308]);
}

#[test]
fn rfc6454_s4_an_origin_is_scheme_host_and_port() {
    let here = target("wss://example.com/a");
    for (other, same) in [
        ("wss://example.com/b?c", true),
        ("wss://EXAMPLE.com:443/", true),
        ("wss://user@example.com/", true),
        ("ws://example.com/", false),
        ("ws://example.com:443/", false),
        ("wss://example.com:444/", false),
        ("wss://www.example.com/", false),
        ("wss://example.com./", false),
    ] {
        assert_eq!(here.is_same_origin(&target(other)), same, "{other}");
    }
}
