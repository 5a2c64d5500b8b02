//! What a client shows a server to say who it is (RFC 7617, RFC 6750).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;

use super::HandshakeError;

/// The `Authorization` for a user name and a password (RFC 7617).
///
/// ```
/// use sockeye_proto::handshake::client::basic_auth;
///
/// let value = basic_auth("Aladdin", "open sesame")?; // the example of RFC 7617 §2
/// assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
/// assert_eq!(format!("{value:?}"), "Sensitive");
/// # Ok::<(), sockeye_proto::handshake::HandshakeError>(())
/// ```
///
/// # Errors
/// [`HandshakeError::Credentials`] for a user name with a colon, and for control characters in either.
pub fn basic_auth(user: impl AsRef<[u8]>, password: impl AsRef<[u8]>) -> Result<HeaderValue, HandshakeError> {
    let (user, password) = (user.as_ref(), password.as_ref());
    //= https://www.rfc-editor.org/rfc/rfc7617#section-2
    if user.contains(&b':') {
        return Err(HandshakeError::Credentials("a user name has no colon (RFC 7617 §2)"));
    }
    if user.iter().chain(password).any(u8::is_ascii_control) {
        return Err(HandshakeError::Credentials("they have no control characters (RFC 7617 §2)"));
    }
    Ok(secret(format!("Basic {}", STANDARD.encode([user, b":", password].concat()))).expect("base64 is visible ASCII"))
}

/// The `Authorization` for a token (RFC 6750 §2.1).
///
/// # Errors
/// [`HandshakeError::Credentials`] for a token that is empty or has other characters than visible ASCII.
pub fn bearer_auth(token: &str) -> Result<HeaderValue, HandshakeError> {
    let why = "a token is of visible ASCII characters (RFC 6750 §2.1)";
    let visible = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| secret(format!("Bearer {token}"))).flatten().ok_or(HandshakeError::Credentials(why))
}

/// The `Authorization` for what stands before the `@` of a URL (RFC 3986 §3.2.1).
pub(super) fn of_userinfo(userinfo: &str) -> Result<HeaderValue, HandshakeError> {
    let unreadable = HandshakeError::Url("its user name or password cannot be read; write what is no letter as %XX");
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    match (percent_decoded(user), percent_decoded(password)) {
        (Some(user), Some(password)) if !userinfo.is_empty() => basic_auth(user, password),
        _ => Err(unreadable),
    }
}

/// The bytes that a part of a URL stands for, or `None` where it is none (RFC 3986 §2.1).
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            _ if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte) => byte,
            _ => return None,
        });
    }
    Some(decoded)
}

/// A header's value that is not to be shown to anybody but the server.
fn secret(value: String) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}
