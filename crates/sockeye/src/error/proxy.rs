//! What goes wrong on the way through a proxy.

use core::fmt;
use std::borrow::Cow;

use http::StatusCode;

use super::ErrorKind;

/// Why there is no connection through a proxy. Displayed, it names the proxy and what that said; never its user name or
/// password.
#[derive(Debug)]
pub struct ProxyError(Box<Detour>);

#[derive(Debug)]
struct Detour {
    /// The proxy as a URL.
    proxy: String,
    why: Cow<'static, str>,
    kind: ErrorKind,
    status: Option<StatusCode>,
    source: Option<Box<dyn core::error::Error + Send + Sync>>,
}

#[cfg(feature = "proxy")]
impl ProxyError {
    /// The network, or what the proxy makes of it.
    pub(crate) fn network(proxy: &str, why: impl Into<Cow<'static, str>>) -> Self {
        let (proxy, why) = (proxy.to_owned(), why.into());
        Self(Box::new(Detour { proxy, why, kind: ErrorKind::Network, status: None, source: None }))
    }

    /// The caller: what was set cannot be used, or is not enough for the proxy.
    pub(crate) fn caller(proxy: &str, why: impl Into<Cow<'static, str>>) -> Self {
        let mut error = Self::network(proxy, why);
        error.0.kind = ErrorKind::Caller;
        error
    }

    /// What the proxy answered to CONNECT.
    pub(crate) fn answered(proxy: &str, status: StatusCode) -> Self {
        let mut error = match status {
            StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                Self::caller(proxy, format!("it answered {status}; a user name and password for it go into its URL"))
            }
            _ => Self::network(proxy, format!("it answered {status}")),
        };
        error.0.status = Some(status);
        error
    }

    pub(crate) fn because(mut self, source: impl Into<Box<dyn core::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }
}

impl ProxyError {
    /// The proxy, as a URL without a user name and password; or the variable of the environment that names none.
    #[must_use]
    pub fn proxy(&self) -> &str {
        &self.0.proxy
    }

    pub(super) fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What an HTTP proxy answered to CONNECT: 407 where it wants to know who we are, 502 where it cannot reach the server.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        self.0.status
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection through the proxy {}: {}", self.0.proxy, self.0.why)
    }
}

impl core::error::Error for ProxyError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
