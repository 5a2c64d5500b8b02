//! Which version of HTTP a WebSocket is opened with.

/// The versions that a server may choose from by their names in ALPN (RFC 7301), the one we like best first.
pub(super) type Versions = &'static [&'static [u8]];

pub(super) const HTTP_1_1: &[u8] = b"http/1.1";
pub(super) const HTTP_2: &[u8] = b"h2";

/// HTTP/1.1 alone: a server that were offered HTTP/2 as well might choose it, and there is no Upgrade in that (RFC 9113 §8.6).
pub(super) const ONLY_HTTP_1_1: Versions = &[HTTP_1_1];

/// Which version of HTTP a WebSocket is opened with: see [`Connect::http_version`](crate::Connect::http_version).
#[cfg(feature = "http2")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.1, which every server has. The default: a WebSocket that has a connection for itself gains nothing by HTTP/2.
    #[default]
    H1,
    /// HTTP/2 (RFC 8441): by ALPN with a `wss:` URL, and without asking with a `ws:` URL ("prior knowledge", RFC 9113 §3.3).
    H2,
    /// HTTP/2 where the server chooses it by ALPN and takes WebSockets over it, else HTTP/1.1. A server that chooses HTTP/2 and
    /// then takes none costs a second connection. With a `ws:` URL it is HTTP/1.1, as there is no ALPN without TLS.
    Auto,
}

#[cfg(feature = "http2")]
impl HttpVersion {
    pub(super) const fn offered(self) -> Versions {
        match self {
            Self::H1 => ONLY_HTTP_1_1,
            Self::H2 => &[HTTP_2],
            Self::Auto => &[HTTP_2, HTTP_1_1],
        }
    }
}
