//! `--ui`: the page, on a port of its own, by which whoever has the token sees what is relayed.

use std::io::{self, Write};
use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime};

use http::StatusCode;
use serde_json::json;
use sockeye::{Request, Response, Server, Tap};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::warn;

use super::Proxy;
use crate::answer::plain;
use crate::listening::{address, listen};
use crate::live::{Live, Reach, Reached, Room, Token};
use crate::page;
use crate::view::{Format, json_line};

/// What the page takes.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// Serves the page on this address, to show what is relayed to whoever has the token in the URL that is printed
    #[arg(long, env = "SOCKEYE_UI", value_name = "ADDR", value_parser = address)]
    ui: Option<String>,

    /// The token of --ui, in place of one drawn at random: 16 or more letters, digits, - . _ ~
    #[arg(long, env = "SOCKEYE_UI_TOKEN", value_name = "TOKEN", requires = "ui", value_parser = Token::parse)]
    #[arg(hide_env_values = true)]
    ui_token: Option<Token>,
}

/// The page, before it is served.
pub(super) struct Page {
    listener: TcpListener,
    token: Token,
    room: Room,
    started: (Instant, SystemTime),
}

impl Page {
    /// Listens for whoever wants the page, if it is asked for; and says where.
    pub(super) async fn new(args: &Args, started: (Instant, SystemTime), format: Format) -> io::Result<Option<Self>> {
        let Some(at) = &args.ui else { return Ok(None) };
        let listener = listen(at).await?;
        let address = listener.local_addr()?;
        let token = args.ui_token.clone().map_or_else(Token::draw, Ok)?;
        if !address.ip().is_loopback() {
            warn!("whoever sees the network sees the token of --ui, and what it guards: it has no TLS");
        }
        let url = token.url("http", address);
        // Standard output may be closed; the page is there all the same.
        let _ = match format {
            Format::Json => {
                writeln!(io::stdout(), "{}", json_line(&[("record", json!("inspect")), ("url", json!(url))]))
            }
            Format::Text | Format::Lines => writeln!(io::stdout(), "inspect at {url}"),
        };
        Ok(Some(Self { listener, token, room: Room::of_all(started.0), started }))
    }

    /// Where what it shows is copied to.
    pub(super) fn tap(&self) -> Tap {
        self.room.tap().clone()
    }

    /// Serves it, for a proxy.
    pub(super) fn serve(self, proxy: &Arc<Proxy>) {
        let target = proxy.upstream.url().to_owned();
        let live = Live::of_proxy(self.token, target, by_hand(Arc::downgrade(proxy)), self.room, self.started);
        let answer = move |request| core::future::ready(answer(&live, request));
        tokio::spawn(Server::builder().build().answer(self.listener, answer));
    }
}

/// How a client that is played on the page comes to the server: straight there, and in sight of all who watch the proxy.
fn by_hand(proxy: Weak<Proxy>) -> Arc<Reach> {
    Arc::new(move |path| {
        let proxy = proxy.upgrade();
        Box::pin(async move {
            let proxy = proxy.ok_or("the proxy is about to stop")?;
            let upstream = &proxy.upstream;
            let connected = timeout(proxy.timeout, upstream.connect()).await;
            let stream =
                connected.unwrap_or_else(|_| Err(format!("{} does not answer", upstream.address()))).map(Box::new)?;
            let number = proxy.number();
            let lines = proxy.watchers.open_by_hand(number, &proxy.ends(None));
            let target = upstream.replaces(&path).unwrap_or(path);
            let host = upstream.authority().to_str().unwrap_or_default().to_owned();
            Ok(Reached { stream, host, target, lines, number })
        })
    })
}

fn answer(live: &Live, request: Request) -> Response {
    match request.uri().path() {
        "/inspect/feed" => live.feed(request),
        "/inspect/composer" => live.composer(request),
        _ => page::answer(&request)
            .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here; the page is at /\n")),
    }
}
