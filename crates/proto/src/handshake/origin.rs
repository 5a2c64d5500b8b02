//! Which pages may connect (RFC 6455 §10.2): a browser sends cookies along to whatever address a page names, so a server
//! that looks at cookies must look at the page's origin, too.

use http::{HeaderMap, Uri, header};

use super::authority::host_and_port;

/// Which origins a server accepts. Programs that are not browsers send none, and pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Pages that came from the host and port the request is for.
    #[default]
    SameHost,
    /// Pages from these origins, each as a browser writes it: `https://example.com`, `http://localhost:3000`.
    List(Vec<String>),
    /// Pages of the same host, and those from these origins.
    SameHostOr(Vec<String>),
    /// Any page. For servers that know a connection by something a browser does not send by itself.
    Any,
}

impl OriginPolicy {
    /// Whether a request with these headers, for this target, may connect.
    #[must_use]
    pub fn allows(&self, headers: &HeaderMap, target: &Uri) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).into_iter();
        let origin = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin,
            // Two origins: nobody can say which one is meant.
            (Some(_), Some(_)) => return *self == Self::Any,
        };
        let Ok(origin) = origin.to_str() else {
            return *self == Self::Any;
        };
        match self {
            Self::Any => true,
            Self::List(allowed) => is_listed(origin, allowed),
            Self::SameHost => same_host(origin, headers, target).unwrap_or(false),
            Self::SameHostOr(allowed) => {
                is_listed(origin, allowed) || same_host(origin, headers, target).unwrap_or(false)
            }
        }
    }
}

fn is_listed(origin: &str, allowed: &[String]) -> bool {
    allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
}

/// Whether an origin names the host and port that the request is for. `None`: one of them cannot be read.
fn same_host(origin: &str, headers: &HeaderMap, target: &Uri) -> Option<bool> {
    let (scheme, origin) = origin.split_once("://")?;
    let default_port = match scheme.to_ascii_lowercase().as_str() {
        "http" | "ws" => 80,
        "https" | "wss" => 443,
        _ => return None,
    };
    let requested = match target.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let ((host, port), (requested_host, requested_port)) = (host_and_port(origin)?, host_and_port(requested)?);
    // Host does not say which scheme it is for, so a missing port means that of the origin's scheme.
    let same_port = port.unwrap_or(default_port) == requested_port.unwrap_or(default_port);
    Some(host.eq_ignore_ascii_case(requested_host) && same_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn allows(policy: &OriginPolicy, host: &'static str, origins: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static(host));
        for origin in origins {
            headers.append(header::ORIGIN, HeaderValue::from_static(origin));
        }
        policy.allows(&headers, &Uri::from_static("/echo"))
    }

    #[test]
    fn same_host_takes_the_page_s_own_host_and_no_other() {
        let same = OriginPolicy::SameHost;
        for (host, origin, expected) in [
            ("example.com", "https://example.com", true),
            ("example.com", "http://example.com", true),
            ("example.com:443", "https://example.com", true),
            ("EXAMPLE.com", "https://example.COM", true),
            ("localhost:8080", "http://localhost:8080", true),
            ("[::1]:8080", "http://[::1]:8080", true),
            ("localhost:8080", "http://localhost:3000", false),
            ("example.com", "https://example.com:8443", false),
            ("example.com", "https://example.com.evil.org", false),
            ("example.com", "https://sub.example.com", false),
            ("example.com", "https://example.com@evil.org", false),
            ("example.com", "https://evil.org@example.com", false),
            ("example.com", "null", false),
            ("example.com", "file://", false),
            ("example.com", "", false),
        ] {
            assert_eq!(allows(&same, host, &[origin]), expected, "{origin} at {host}");
        }
        assert!(allows(&same, "example.com", &[]), "programs send no origin");
        assert!(!allows(&same, "example.com", &["https://example.com", "https://evil.org"]));
    }

    #[test]
    fn a_list_takes_what_it_names_to_the_letter() {
        let list = OriginPolicy::List(vec!["https://example.com".into()]);
        assert!(allows(&list, "api.example.com", &["https://example.com"]));
        assert!(!allows(&list, "api.example.com", &["http://example.com"]));
        assert!(!allows(&list, "api.example.com", &["https://api.example.com"]));
        assert!(allows(&list, "api.example.com", &[]));
    }

    #[test]
    fn the_same_host_or_a_list_takes_both_and_no_other() {
        let both = OriginPolicy::SameHostOr(vec!["https://friend.example".into()]);
        for (origin, expected) in [
            ("https://example.com", true),
            ("https://friend.example", true),
            ("http://friend.example", false),
            ("https://evil.example", false),
            ("null", false),
        ] {
            assert_eq!(allows(&both, "example.com", &[origin]), expected, "{origin}");
        }
    }

    #[test]
    fn any_takes_even_null() {
        assert!(allows(&OriginPolicy::Any, "example.com", &["null"]));
    }
}
