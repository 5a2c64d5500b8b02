//! The opening handshake as transcripts: what one side says, what the other answers.

mod client;
mod lists;
mod server;

use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use sockeye_proto::handshake::Refusal;
use sockeye_proto::handshake::client::Offer;
use sockeye_proto::handshake::server::{Options, accept_request};

/// The example of RFC 6455 §1.2 and §1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const NONCE: [u8; 16] = *b"the sample nonce";

/// The request every story begins with.
fn request() -> Request<()> {
    Request::get("/chat")
        .header("Host", "server.example.com")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", KEY)
        .header("Sec-WebSocket-Version", "13")
        .body(())
        .unwrap()
}

/// The request with this header's values instead of its own.
fn with<V: AsRef<[u8]>>(name: HeaderName, values: impl IntoIterator<Item = V>) -> Request<()> {
    let mut request = request();
    request.headers_mut().remove(&name);
    for value in values {
        request.headers_mut().append(&name, HeaderValue::from_bytes(value.as_ref()).unwrap());
    }
    request
}

/// An offer of these subprotocols.
fn offer<S: AsRef<str>>(subprotocols: impl IntoIterator<Item = S>) -> Offer {
    subprotocols.into_iter().fold(Offer::default(), |offer, name| offer.subprotocol(name.as_ref()))
}

fn judge(request: &Request<()>) -> Result<Response<()>, Refusal> {
    accept_request(request, &Options::default()).map(|(response, _)| response)
}

/// What the server makes of the request with these values of one header.
fn judge_with<V: AsRef<[u8]>>(name: HeaderName, values: impl IntoIterator<Item = V>) -> Result<(), Refusal> {
    judge(&with(name, values)).map(|_| ())
}

/// All headers of a response, in a fixed order.
fn headers<B>(response: &Response<B>) -> Vec<(&str, &str)> {
    let mut all: Vec<_> =
        response.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    all.sort_unstable();
    all
}
