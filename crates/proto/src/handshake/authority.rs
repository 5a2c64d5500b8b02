//! `host[:port]`, as it stands in a URL, an Origin and a Host header (RFC 3986 §3.2).

use core::net::Ipv6Addr;

/// Host and port, or `None` if it is not both in the grammar and a host. An IPv6 address keeps its brackets. A port that is
/// missing or empty is `None`, too.
pub(super) fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_len = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, _) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            address.len() + 2
        }
        None => {
            let name = authority.split(':').next()?;
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
            (!name.is_empty() && name.bytes().all(allowed)).then_some(name.len())?
        }
    };
    let (host, port) = authority.split_at(host_len);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        // A sign is no digit, though `parse` would take it.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    Some((host, port))
}
