//! Lists in headers.

use super::{judge, with};
use http::{HeaderMap, HeaderValue, header};
use sockeye_proto::handshake::{Refusal, contains_token, tokens};

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
