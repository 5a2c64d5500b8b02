//! From a client's first byte to what its request has come to: a WebSocket, an ordinary exchange, or a word that it goes no
//! further.

use core::time::Duration;
use std::io;

use http::StatusCode;
use sockeye::Role;
use sockeye::tap::Ending;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::lines::Lines;
use super::relay::Held;
use super::way::broken;
use crate::http1::{Answer, Body, MAX_HEAD, Refused, Request, Response, head_end};
use crate::stream::{Stream, words};
use crate::upstream::Upstream;

/// So much of what a client sends before its WebSocket is open waits for that, and more stays where it is.
const MAX_EARLY: usize = 64 << 10;
/// One read of a head takes about this much.
const READ: usize = 4 << 10;

/// An opening, as far as it has come.
#[derive(Debug, Default)]
pub(super) struct Opening {
    held: Held,
    /// The request has been read, and is the upstream's to answer.
    asked: bool,
    /// The upstream has said something.
    answered: bool,
}

/// What a request has come to.
#[derive(Debug)]
pub(super) enum Next {
    /// The upstream has opened a WebSocket.
    WebSocket(Stream, Held),
    /// The rest of the request is to pass, and the answer to it.
    Exchange(Stream, Held, Body, Answer),
}

/// Why a connection goes no further.
#[derive(Debug)]
pub(super) enum Stop {
    /// Its client is told.
    Refuse(Refused),
    End(Ending),
}

impl Opening {
    /// Goes all the way.
    pub(super) async fn go(
        &mut self,
        client: &mut Stream,
        upstream: &Upstream,
        lines: &mut Lines,
    ) -> Result<Next, Stop> {
        let request = self.request(client, lines).await?;
        self.asked = true;
        let head = upstream.head_of(&request, &[]);
        let mut stream = upstream.connect().await.map_err(bad_gateway)?;
        if let Err(error) = write(&mut stream, &head).await {
            let refused = format!("{} does not take the request: {}", upstream.address(), words(&error));
            return Err(bad_gateway(refused));
        }
        let mut answer = Answer::to(request.method().clone());
        if !request.asks() {
            let mut body = request.into_body();
            let taken = body.take(&self.held.client).map_err(|why| Refused::new(StatusCode::BAD_REQUEST, why))?;
            self.held.client.truncate(taken);
            return Ok(Next::Exchange(stream, core::mem::take(&mut self.held), body, answer));
        }
        if self.opens(&request, client, &mut stream, lines).await? {
            return Ok(Next::WebSocket(stream, core::mem::take(&mut self.held)));
        }
        // Bytes behind a request that opens no WebSocket are nobody's.
        self.held.client.clear();
        let taken =
            answer.take(&self.held.upstream).map_err(|why| bad_gateway(format!("its answer is none: {why}")))?;
        self.held.upstream.truncate(taken);
        Ok(Next::Exchange(stream, core::mem::take(&mut self.held), Body::Length(0), answer))
    }

    /// What is to be said when the time is over.
    pub(super) fn too_late(&self, upstream: &Upstream, time: Duration) -> Stop {
        let (status, why) = if self.asked {
            (StatusCode::GATEWAY_TIMEOUT, format!("{} did not answer within {time:?}", upstream.address()))
        } else if self.held.client.is_empty() {
            // As browsers do, which open connections ahead.
            return Stop::End(Ending::Failed(format!("the client said nothing within {time:?}")));
        } else {
            (StatusCode::REQUEST_TIMEOUT, format!("no whole request came within {time:?}"))
        };
        Stop::Refuse(Refused::new(status, why))
    }

    /// Whether the upstream has said something.
    pub(super) const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Reads the request's head; what comes with it is held.
    async fn request(&mut self, client: &mut Stream, lines: &mut Lines) -> Result<Request, Stop> {
        let held = &mut self.held.client;
        let mut looked = 0;
        loop {
            if let Some(end) = head_end(held, looked) {
                let behind = held.split_off(end);
                return Ok(Request::read(core::mem::replace(held, behind))?);
            }
            if !Request::may_begin(held) {
                return Err(Refused::new(StatusCode::BAD_REQUEST, "it is no HTTP/1.1 (TLS, perhaps?)").into());
            }
            if held.len() > MAX_HEAD {
                let why = format!("its head has more than {MAX_HEAD} bytes");
                return Err(Refused::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, why).into());
            }
            looked = held.len();
            if read(client, held).await.map_err(|error| Stop::End(broken(Role::Client, &error)))? == 0 {
                return Err(Stop::End(match looked {
                    0 => Ending::Closed(Some(Role::Client)),
                    _ => Ending::Failed("the client ended its connection in the middle of its request".to_owned()),
                }));
            }
            lines.push(Role::Client, &held[looked..]);
        }
    }

    /// Whether the upstream's answer opens the WebSocket. Its head, and all behind it, is held then, and what comes from the
    /// client until then.
    async fn opens(
        &mut self,
        request: &Request,
        client: &mut Stream,
        stream: &mut Stream,
        lines: &mut Lines,
    ) -> Result<bool, Stop> {
        let key = request.key();
        let mut client_sends = true;
        let mut looked = 0;
        loop {
            let held = &mut self.held.upstream;
            if let Some(end) = head_end(held, looked) {
                let none = |why: &str| bad_gateway(format!("the server's answer is none: {why}"));
                let response = Response::read(&held[..end]).map_err(|why| none(&why))?;
                if response.is_interim() {
                    let passed = write(client, &held[..end]).await;
                    passed.map_err(|error| Stop::End(broken(Role::Client, &error)))?;
                    held.drain(..end);
                    looked = 0;
                    continue;
                }
                if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    return Ok(false);
                }
                let opens = response.opens(key.as_ref());
                return opens.map(|()| true).map_err(|error| bad_gateway(format!("the server's 101 is none: {error}")));
            }
            if !Response::may_begin(held) {
                return Err(bad_gateway("what answers there speaks no HTTP/1.1"));
            }
            if held.len() > MAX_HEAD {
                return Err(bad_gateway(format!("the head of its answer has more than {MAX_HEAD} bytes")));
            }
            looked = held.len();
            let early = self.held.client.len();
            tokio::select! {
                count = read(stream, held) => {
                    let count = count.map_err(|error| bad_gateway(format!("no answer came: {}", words(&error))))?;
                    if count == 0 {
                        return Err(bad_gateway("the server ended the connection in place of an answer"));
                    }
                    self.answered = true;
                    lines.push(Role::Server, &held[looked..]);
                }
                count = read(client, &mut self.held.client), if client_sends && early < MAX_EARLY => {
                    client_sends = count.map_err(|error| Stop::End(broken(Role::Client, &error)))? > 0;
                    lines.push(Role::Client, &self.held.client[early..]);
                }
            }
        }
    }
}

/// Reads what is there, behind what was read before; 0 is the end. Dropping the future loses nothing.
async fn read(stream: &mut Stream, into: &mut Vec<u8>) -> io::Result<usize> {
    into.reserve(READ);
    stream.read_buf(into).await
}

async fn write(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

fn bad_gateway(why: impl Into<std::borrow::Cow<'static, str>>) -> Stop {
    Stop::Refuse(Refused::new(StatusCode::BAD_GATEWAY, why))
}

impl From<Refused> for Stop {
    fn from(refused: Refused) -> Self {
        Self::Refuse(refused)
    }
}
