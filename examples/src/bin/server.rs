//! A server with all that one in the open needs: limits on connections, a login before the 101, pages beside
//! WebSockets, HTTP/2 beside HTTP/1.1, and an end in good order.
//!
//! Run it with `cargo run --bin server -p sockeye-examples`, and open <http://127.0.0.1:9005/?name=anna>. The same port
//! speaks HTTP/2, here with prior knowledge: `curl --http2-prior-knowledge http://127.0.0.1:9005/` (browsers want TLS
//! for it: `.tls(config)`, as in the example `tls`).

use std::time::Duration;

use http::StatusCode;
use sockeye::{Body, Limits, Peer, Request, Response, Server, WebSocket};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let server = Server::builder()
        .limits(Limits::default().message(64 << 10))
        .max_connections(10_000)
        .max_connections_per_address(100)
        .build();
    let listener = TcpListener::bind("127.0.0.1:9005").await?;
    let serving = tokio::spawn(server.answer(listener, answer));

    tokio::signal::ctrl_c().await?;
    let left = server.drain().begin().spread(Duration::from_secs(3)).await;
    println!("{left} connections are left");
    serving.await?
}

async fn answer(mut request: Request) -> Response {
    let peer = request.extensions().get::<Peer>().and_then(Peer::address);
    match request.uri().path() {
        "/" => html(PAGE),
        "/chat" => {
            let Some(name) = name(&request).await else {
                return text(StatusCode::UNAUTHORIZED, "say who you are: /chat?name=…\n");
            };
            match sockeye::upgrade(&mut request) {
                Ok(upgrade) => upgrade.on_upgrade(async move |mut ws: WebSocket| {
                    ws.send(format!("hello {name} from {peer:?}")).await?;
                    while let Some(message) = ws.recv().await? {
                        ws.send(message).await?;
                    }
                    Ok(())
                }),
                Err(refusal) => refusal.response(),
            }
        }
        _ => text(StatusCode::NOT_FOUND, "there is nothing here\n"),
    }
}

/// In earnest a look at a cookie and into a database.
async fn name(request: &Request) -> Option<String> {
    let query = request.uri().query()?;
    query.split('&').find_map(|pair| pair.strip_prefix("name=")).map(str::to_owned)
}

fn text(status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response
}

fn html(page: &'static str) -> Response {
    let mut response = Response::new(Body::from(page));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

const PAGE: &str = "<!DOCTYPE html><title>Server</title><pre id=log></pre><script>
const ws = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/chat${location.search}`);
const show = (line) => { document.getElementById('log').textContent += line + '\\n'; };
ws.onmessage = (event) => show(event.data);
ws.onclose = (event) => show(`closed: ${event.code} ${event.reason}`);
ws.onopen = () => ws.send('an echo');
</script>";
