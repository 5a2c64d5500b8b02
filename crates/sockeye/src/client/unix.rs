//! `ws+unix:` URLs, in the grammar that Node's ws has made common: `ws+unix:/run/app.sock:/chat?room=1`.

use sockeye_proto::handshake::HandshakeError;
use sockeye_proto::handshake::client::Target;

/// The path of the socket, and what is asked for over it. `None`: it is no such URL.
///
/// # Errors
/// [`HandshakeError::Url`] where one of both is none.
pub(super) fn split(url: &str) -> Option<Result<(&str, Target), HandshakeError>> {
    const SCHEME: &str = "ws+unix:";
    let scheme = url.get(..SCHEME.len())?;
    let rest = scheme.eq_ignore_ascii_case(SCHEME).then(|| &url[SCHEME.len()..])?;
    // With an empty authority, too: `ws+unix:///run/app.sock`.
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, asked) = rest.split_once(':').unwrap_or((rest, "/"));
    if path.is_empty() {
        return Some(Err(HandshakeError::Url("it has no path of a socket; write ws+unix:/path/of.sock:/what/to/ask")));
    }
    if !asked.is_empty() && !asked.starts_with(['/', '?']) {
        return Some(Err(HandshakeError::Url("what it asks for over the socket begins with /")));
    }
    Some(Target::parse(&format!("ws://localhost{asked}")).map(|target| (path, target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_ends_at_the_first_colon_and_what_is_asked_for_follows() {
        for (url, path, asked) in [
            ("ws+unix:/run/app.sock:/chat?room=1", "/run/app.sock", "/chat?room=1"),
            ("ws+unix:///run/app.sock:/chat", "/run/app.sock", "/chat"),
            ("WS+UNIX:/run/app.sock:/a:b", "/run/app.sock", "/a:b"),
            ("ws+unix:/run/app.sock", "/run/app.sock", "/"),
            ("ws+unix:./app.sock:/", "./app.sock", "/"),
            ("ws+unix:/run/app.sock:?room=1", "/run/app.sock", "?room=1"),
        ] {
            let target = Target::parse(&format!("ws://localhost{asked}")).unwrap();
            assert_eq!(split(url), Some(Ok((path, target))), "{url}");
        }
        for url in ["ws://localhost/", "unix:/run/app.sock", "ws+unix", "", "wé+unix:/x"] {
            assert_eq!(split(url), None, "{url}");
        }
        for url in ["ws+unix:", "ws+unix://", "ws+unix::/chat", "ws+unix:/a:chat", "ws+unix:/a:@b/", "ws+unix:/a:/#b"] {
            assert!(matches!(split(url), Some(Err(HandshakeError::Url(_)))), "{url}: {:?}", split(url));
        }
    }
}
