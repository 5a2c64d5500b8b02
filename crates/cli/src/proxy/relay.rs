//! Bytes both ways, as they come: in their order, with their ends and resets.

use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use http::StatusCode;
use sockeye::Role;
use sockeye::tap::Ending;
use tokio::time::{Instant, Sleep, sleep_until};

use super::lines::Lines;
use super::way::{Until, Way};
use crate::http1::{Answer, Body, Refused};
use crate::stream::Stream;

/// So long may nothing come from one end once the other has said that it sends no more.
const HALF_CLOSED: Duration = Duration::from_secs(60);
/// So long may nothing come from either end in the middle of an ordinary request and its answer.
const SILENCE: Duration = Duration::from_secs(300);

/// What each end has sent that the other one is still to have.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) client: Vec<u8>,
    pub(super) upstream: Vec<u8>,
}

/// Relays until both ends have ended, or one has broken off. Returns how it ended.
pub(super) async fn relay(client: &mut Stream, upstream: &mut Stream, held: Held, lines: &mut Lines) -> Ending {
    let mut up = Way::new(Role::Client, held.client, Until::End);
    let mut down = Way::new(Role::Server, held.upstream, Until::End);
    let mut first = None;
    let mut patience = None;
    poll_fn(|cx| {
        let moved = up.moved() + down.moved();
        if let Poll::Ready(Err(broken)) = up.poll(cx, client, upstream, lines) {
            return Poll::Ready(broken);
        }
        if let Poll::Ready(Err(broken)) = down.poll(cx, upstream, client, lines) {
            return Poll::Ready(broken);
        }
        first = first.or_else(|| [&up, &down].into_iter().find(|way| way.read_ended()).map(Way::from));
        match (up.has_ended(), down.has_ended()) {
            (true, true) => {
                let broken = up.broken().or_else(|| down.broken());
                Poll::Ready(broken.unwrap_or(Ending::Closed(first)))
            }
            (false, false) => Poll::Pending,
            _ => {
                let patience = patience.get_or_insert_with(|| Patience::new(HALF_CLOSED));
                patience.renew_if(moved != up.moved() + down.moved());
                patience.poll(cx).map(|()| Ending::Failed(format!("half closed, and silent for {HALF_CLOSED:?}")))
            }
        }
    })
    .await
}

/// Relays the rest of an ordinary request, and the answer to it up to its end. Returns how it ended, and whether all of the
/// request has passed; or what the client is to be told where no byte of an answer has come.
pub(super) async fn exchange(
    client: &mut Stream,
    upstream: &mut Stream,
    held: Held,
    (body, answer): (Body, Answer),
    lines: &mut Lines,
) -> Result<(Ending, bool), Refused> {
    let mut up = Way::new(Role::Client, held.client, Until::Request(body));
    let mut down = Way::new(Role::Server, held.upstream, Until::Answer(answer));
    let mut patience = Patience::new(SILENCE);
    let ending = poll_fn(|cx| {
        let moved = up.moved() + down.moved();
        if let Poll::Ready(Err(broken)) = up.poll(cx, client, upstream, lines) {
            return Poll::Ready(broken);
        }
        if let Poll::Ready(Err(broken)) = down.poll(cx, upstream, client, lines) {
            return Poll::Ready(broken);
        }
        if down.has_ended() {
            return Poll::Ready(down.broken().unwrap_or(Ending::Closed(Some(Role::Server))));
        }
        patience.renew_if(moved != up.moved() + down.moved());
        patience.poll(cx).map(|()| Ending::Failed(format!("no answer came for {SILENCE:?}")))
    })
    .await;
    let why = match &ending {
        Ending::Failed(why) => why.clone(),
        Ending::Reset(Role::Server) => "the server broke the connection off in place of an answer".to_owned(),
        _ => return Ok((ending, up.has_ended())),
    };
    if down.moved() == 0 { Err(Refused::new(StatusCode::BAD_GATEWAY, why)) } else { Ok((ending, up.has_ended())) }
}

/// How long something is waited for.
struct Patience {
    span: Duration,
    sleep: Pin<Box<Sleep>>,
    until: Instant,
}

impl Patience {
    fn new(span: Duration) -> Self {
        let until = Instant::now() + span;
        Self { span, sleep: Box::pin(sleep_until(until)), until }
    }

    /// Begins anew if something has come. The timer is set again only once it has gone off.
    fn renew_if(&mut self, moved: bool) {
        if moved {
            self.until = Instant::now() + self.span;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.sleep.as_mut().poll(cx).is_ready() {
            if self.sleep.deadline() >= self.until {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.until);
        }
        Poll::Pending
    }
}
