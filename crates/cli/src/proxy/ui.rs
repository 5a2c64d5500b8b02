//! `--ui`: the page, on a port of its own, by which whoever has the token sees what is relayed.

use std::io::{self, Write};
use std::time::{Instant, SystemTime};

use http::StatusCode;
use serde_json::json;
use sockeye::{Request, Response, Server, Tap};
use tracing::warn;

use crate::answer::plain;
use crate::listening::{address, listen};
use crate::live::{Live, Token};
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

/// Serves the page, if it is asked for, of a proxy that leads `to` a URL; and says where. The tap is what it shows.
pub(super) async fn start(
    args: &Args,
    to: &str,
    started: (Instant, SystemTime),
    format: Format,
) -> io::Result<Option<Tap>> {
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
        Format::Json => writeln!(io::stdout(), "{}", json_line(&[("record", json!("inspect")), ("url", json!(url))])),
        Format::Text | Format::Lines => writeln!(io::stdout(), "inspect at {url}"),
    };
    let (live, tap) = Live::of_proxy(token, to.to_owned(), started);
    let served = Server::builder().build().answer(listener, move |request| core::future::ready(answer(&live, request)));
    tokio::spawn(served);
    Ok(Some(tap))
}

fn answer(live: &Live, request: Request) -> Response {
    match request.uri().path() {
        "/inspect/feed" => live.feed(request),
        "/inspect/composer" => live.composer(request),
        _ => page::answer(&request)
            .unwrap_or_else(|| plain(StatusCode::NOT_FOUND, "there is nothing here; the page is at /\n")),
    }
}
