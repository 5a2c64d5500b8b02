//! `/inspect/feed` and `/inspect/composer`: what a page sees of connections, and who sees nothing.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sockeye::rustls::{ClientConfig, RootCertStore};
use sockeye::{CloseCode, Error, HttpVersion, Message, WebSocket};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const W: &str = "00112233445566778899aabbccddeeff";
const OTHER: &str = "ffeeddccbbaa99887766554433221100";
const TOKEN: &str = "a-token-for-tests";

/// A server of its own for a test, on a free port; it ends with the test.
struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        Self::run(&[&["serve"], arguments].concat())
    }

    fn run(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockeye"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SOCKEYE_")) {
            command.env_remove(name);
        }
        let command = command.args(arguments).args(["--listen", "127.0.0.1:0"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let mut server = Self { process, output, address: String::new() };
        server.address = server.said("listening on ");
        server
    }

    fn watched() -> Self {
        Self::start(&["--inspect", "--inspect-token", TOKEN])
    }

    /// The next line of its output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The address in the next line of its output.
    fn said(&mut self, what: &str) -> String {
        let line = self.line();
        let (_, rest) = line.strip_prefix(what).and_then(|url| url.split_once("://")).expect("it says where it is");
        rest.split([',', '/']).next().unwrap().to_owned()
    }

    async fn open(&self, path: &str) -> WebSocket {
        sockeye::connect(format!("ws://{}{path}", self.address)).max_message(16 << 20).await.unwrap()
    }

    /// A feed behind its greeting, and what is kept.
    async fn feed(&self, query: &str) -> Feed {
        let mut feed = Feed { ws: self.open(&format!("/inspect/feed?{query}")).await, lines: Vec::new() };
        while feed.lines.last().is_none_or(|line| line["record"] != "live") {
            feed.more().await;
        }
        feed
    }

    /// The answer to an ordinary request.
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(stream.read_to_string(&mut answer)).await.unwrap();
        answer
    }

    /// The status and the body of an answer that opens no WebSocket.
    async fn refusal(&self, path: &str, origin: Option<&str>) -> (u16, String) {
        let mut connect = sockeye::connect(format!("ws://{}{path}", self.address));
        if let Some(origin) = origin {
            connect = connect.origin(origin);
        }
        match connect.await {
            Err(Error::Refused(response)) => {
                (response.status().as_u16(), String::from_utf8_lossy(response.body()).into_owned())
            }
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a page has been told so far.
struct Feed {
    ws: WebSocket,
    lines: Vec<Value>,
}

impl Feed {
    async fn more(&mut self) {
        let Message::Text(text) = within(self.ws.recv()).await.unwrap().expect("it goes on") else {
            panic!("a feed is text");
        };
        self.lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }

    /// The first line that is so; waits for it.
    async fn line(&mut self, is: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(line) = self.lines.iter().find(|line| is(line)) {
                return line.clone();
            }
            self.more().await;
        }
    }

    async fn record(&mut self, record: &str) -> Value {
        self.line(|line| line["record"] == record).await
    }

    fn records(&self) -> Vec<&str> {
        self.lines.iter().filter_map(|line| line["record"].as_str()).collect()
    }
}

/// A page that plays a client.
struct Composer(WebSocket);

impl Composer {
    async fn says(&self, order: Value) {
        self.0.send(order.to_string()).await.unwrap();
    }

    async fn hears(&mut self) -> Value {
        let heard = within(self.0.recv()).await.unwrap().expect("it says something");
        let Message::Text(text) = heard else { panic!("{heard:?}") };
        serde_json::from_str(&text).unwrap()
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.expect("it happens within a minute")
}

#[tokio::test]
async fn a_page_sees_every_bit_of_what_it_sends_itself() {
    let server = Server::start(&[]);
    let mut feed = server.feed(&format!("watch={W}")).await;
    let hello = feed.lines[0].clone();
    assert_eq!((&hello["record"], &hello["mode"], &hello["all"]), (&json!("hello"), &json!("serve"), &json!(false)));
    assert!(hello["started"].as_str().unwrap().ends_with('Z') && hello["composer"] == true);
    assert_eq!(feed.records(), ["hello", "live"]);

    let mut ws = server.open(&format!("/echo?watch={W}")).await;
    ws.send("你好").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("你好".into()));
    ws.close(CloseCode::NORMAL, "bye").await.unwrap();

    let closed = feed.record("closed").await;
    // As a server should (§7.1.1): a client has TCP's TIME_WAIT before it then.
    assert_eq!(closed["ending"], "closed, by the server first");
    assert_eq!(feed.records()[2..], ["opened", "frame", "frame", "frame", "frame", "closed"]);
    let [opened, sent, echo, close, answer] = &feed.lines[2..7] else { panic!() };
    assert_eq!((&opened["connection"], &opened["begins"]), (&json!(1), &json!("frames")));
    assert_eq!((&opened["server"], &opened["target"]), (&json!(server.address), &json!(format!("/echo?watch={W}"))));
    assert!(opened["client"].as_str().unwrap().starts_with("127.0.0.1:") && opened["compression"].is_null());

    assert_eq!((&sent["from"], &sent["opcode_name"], &sent["fin"]), (&json!("client"), &json!("text"), &json!(true)));
    assert_eq!((&sent["payload"], &sent["text"]), (&json!("e4bda0e5a5bd"), &json!("你好")));
    let key = sent["masking_key"].as_str().unwrap();
    assert_eq!(sent["header"], json!(format!("8186{key}")));
    assert_ne!(sent["payload_masked"], sent["payload"]);
    assert_eq!((&echo["from"], &echo["header"], &echo["text"]), (&json!("server"), &json!("8106"), &json!("你好")));
    assert_eq!(close["close"], json!({ "code": 1000, "name": "Normal Closure", "reason": "bye" }));
    assert_eq!((&answer["from"], &answer["opcode_name"]), (&json!("server"), &json!("close")));
    assert!(sent["time_ns"].as_u64().unwrap() >= opened["time_ns"].as_u64().unwrap());
}

#[tokio::test]
async fn another_page_sees_nothing_of_it_and_a_connection_without_a_key_is_seen_by_nobody() {
    let server = Server::start(&[]);
    let (mut feed, mut other) =
        (server.feed(&format!("watch={W}")).await, server.feed(&format!("watch={OTHER}")).await);
    for path in ["/echo", "/echo?watch=1234", &format!("/echo?watch={W}"), &format!("/echo?watch={OTHER}")] {
        let mut ws = server.open(path).await;
        ws.send(path).await.unwrap();
        ws.recv().await.unwrap();
        ws.close(CloseCode::NORMAL, "").await.unwrap();
    }
    for (feed, key) in [(&mut feed, W), (&mut other, OTHER)] {
        feed.record("closed").await;
        let texts: Vec<_> = feed.lines.iter().filter_map(|line| line["text"].as_str()).collect();
        assert_eq!(texts, [format!("/echo?watch={key}"), format!("/echo?watch={key}")]);
        assert_eq!(feed.records().iter().filter(|record| **record == "opened").count(), 1);
    }
}

#[tokio::test]
async fn with_inspect_whoever_has_the_token_that_is_printed_sees_all_connections() {
    let mut server = Server::start(&["--inspect", "--compression"]);
    let url = server.line();
    let token = url.strip_prefix(&format!("inspect at http://{}/#", server.address)).expect("a URL to open").to_owned();
    assert!(token.strip_prefix("token=").is_some_and(|token| token.len() == 32));
    let mut feed = server.feed(&token).await;
    assert_eq!(feed.lines[0]["all"], true);
    let mut compressed = sockeye::connect(format!("ws://{}/echo?x", server.address))
        .compression(sockeye::Compression::no_takeover())
        .await
        .unwrap();
    let text = "again and again and ".repeat(50);
    compressed.send(text.as_str()).await.unwrap();
    compressed.recv().await.unwrap();
    let opened = feed.record("opened").await;
    assert_eq!(opened["target"], "/echo?x");
    assert_eq!(opened["compression"]["client_takeover"], false);
    let frame = feed.record("frame").await;
    assert_eq!((&frame["rsv1"], &frame["inflated"]["outcome"]), (&json!(true), &json!("good")));
    assert_eq!(frame["message"]["text"], json!(text));
    // Neither feeds nor composers are among them.
    let ping = server.open("/echo").await;
    ping.ping().await.unwrap();
    feed.line(|line| line["opcode_name"] == "pong").await;
    assert_eq!(feed.records().iter().filter(|record| **record == "opened").count(), 2);
}

#[tokio::test]
async fn over_tls_and_http_2_the_same_is_seen_as_over_neither() {
    let folder = std::env::temp_dir().join(format!("sockeye-live-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let identity = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    std::fs::write(path("cert.pem"), identity.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), identity.signing_key.serialize_pem()).unwrap();
    let server = Server::start(&["--tls-cert", &path("cert.pem"), "--tls-key", &path("key.pem")]);
    std::fs::remove_dir_all(&folder).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(identity.cert.der().clone()).unwrap();
    let config = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());

    let url = |path: &str| format!("wss://{}{path}?watch={W}", server.address);
    let ws = sockeye::connect(url("/inspect/feed")).tls(Arc::clone(&config)).await.unwrap();
    let mut feed = Feed { ws, lines: Vec::new() };
    feed.record("live").await;
    for (connection, version) in [(1, HttpVersion::H1), (2, HttpVersion::H2)] {
        let connect = sockeye::connect(url("/echo")).tls(Arc::clone(&config)).http_version(version);
        let mut ws = connect.await.unwrap();
        ws.send("你好").await.unwrap();
        assert_eq!(ws.recv().await.unwrap(), Some("你好".into()));
        ws.close(CloseCode::NORMAL, "").await.unwrap();
        feed.line(|line| line["connection"] == connection && line["record"] == "closed").await;
        let of = feed.lines.iter().filter(|line| line["connection"] == connection);
        let told: Vec<_> =
            of.map(|line| line["opcode_name"].as_str().or_else(|| line["record"].as_str()).unwrap()).collect();
        assert_eq!(told, ["opened", "text", "text", "close", "close", "closed"], "{version:?}");
    }
    assert!(feed.lines.iter().all(|line| line["violations"].as_array().is_none_or(Vec::is_empty)));
}

#[tokio::test]
async fn nobody_comes_in_with_a_wrong_token_or_from_another_origin() {
    let server = Server::watched();
    for route in ["/inspect/feed", "/inspect/composer"] {
        for query in ["", "?token=", "?token=a-token-for-testS", "?watch=12", &format!("?token=no&watch={W}")] {
            let (status, why) = server.refusal(&format!("{route}{query}"), None).await;
            assert_eq!(status, 403, "{route}{query}");
            assert!(why.ends_with('\n') && why.len() > 10, "{why}");
        }
        for query in [format!("token={TOKEN}"), format!("watch={W}")] {
            let path = format!("{route}?{query}");
            assert_eq!(server.refusal(&path, Some("https://example.com")).await.0, 403);
            let own = format!("http://{}", server.address);
            let ws = sockeye::connect(format!("ws://{}{path}", server.address)).origin(own).await;
            assert!(ws.is_ok(), "{path}");
        }
    }
    // Whoever else may connect to /echo may not see what goes over it.
    let open = Server::start(&["--allow-origin", "*"]);
    assert_eq!(open.refusal(&format!("/inspect/feed?watch={W}"), Some("https://example.com")).await.0, 403);
    let without = open.refusal(&format!("/inspect/feed?token={TOKEN}"), None).await;
    assert_eq!(without, (403, "there is no token for this server: it was started without --inspect\n".into()));
}

#[tokio::test]
async fn no_more_watch_at_a_time_than_may_and_those_with_the_token_are_counted_apart() {
    let server = Server::watched();
    let mut feeds = Vec::new();
    for number in 0..16 {
        feeds.push(server.feed(&format!("watch={number:032x}")).await);
    }
    let (status, why) = server.refusal(&format!("/inspect/feed?watch={W}"), None).await;
    assert_eq!((status, why.contains("close another page")), (503, true));
    server.feed(&format!("token={TOKEN}")).await;
    feeds.pop().unwrap().ws.close(CloseCode::NORMAL, "").await.unwrap();
    let again = async {
        while sockeye::connect(format!("ws://{}/inspect/feed?watch={W}", server.address)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(again).await;
}

#[tokio::test]
async fn a_page_that_loads_again_gets_what_it_has_seen_before() {
    let server = Server::start(&[]);
    let mut feed = server.feed(&format!("watch={W}")).await;
    let ws = server.open(&format!("/echo?watch={W}")).await;
    ws.send("one").await.unwrap();
    feed.line(|line| line["from"] == "server").await;
    feed.ws.close(CloseCode::NORMAL, "").await.unwrap();
    // Nobody watches; what happens is kept all the same.
    ws.send("two").await.unwrap();

    let mut again = server.feed(&format!("watch={W}")).await;
    again.line(|line| line["text"] == "two" && line["from"] == "server").await;
    let first: Vec<_> = again.lines.iter().skip(1).take(feed.lines.len() - 2).collect();
    assert_eq!(first, feed.lines.iter().filter(|line| line["record"] != "live").skip(1).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_takes_nothing_slows_nobody_and_is_told_how_much_it_missed() {
    let server = Server::watched();
    let socket = TcpSocket::new_v4().unwrap();
    // Else the system holds for the page what the page does not take: up to tens of megabytes.
    socket.set_recv_buffer_size(16 << 10).unwrap();
    let stream = socket.connect(server.address.parse().unwrap()).await.unwrap();
    let url = format!("ws://{}/inspect/feed?token={TOKEN}", server.address);
    let ws = sockeye::connect(url).max_message(16 << 20).over(stream).await.unwrap();
    let mut slow = Feed { ws, lines: Vec::new() };
    let mut fast = server.feed(&format!("token={TOKEN}")).await;
    let mut ws = server.open("/echo").await;
    // The server's socket, the connection's queue and the feed's hold 10 MiB. The records of one echo are 200 KB.
    let payload = vec![7; 32 << 10];
    for number in 1..=120 {
        ws.send(payload.clone()).await.unwrap();
        assert!(matches!(within(ws.recv()).await.unwrap(), Some(Message::Binary(echo)) if echo.len() == payload.len()));
        fast.line(|line| line["frame"] == number && line["from"] == "server").await;
    }
    assert!(!fast.records().contains(&"missed"));

    let missed = slow.record("missed").await["records"].as_u64().unwrap();
    ws.send("the last").await.unwrap();
    slow.line(|line| line["text"] == "the last").await;
    let all_missed: u64 = slow.lines.iter().filter_map(|line| line["records"].as_u64()).sum();
    assert_eq!(all_missed, missed);
    let frames = slow.lines.iter().filter(|line| line["record"] == "frame" && line["text"].is_null()).count() as u64;
    assert_eq!(frames + missed, 240);
}

#[tokio::test]
async fn a_violation_that_a_composer_sends_is_named_with_its_section() {
    let server = Server::start(&[]);
    let mut feed = server.feed(&format!("watch={W}")).await;
    let mut composer = Composer(server.open(&format!("/inspect/composer?watch={W}")).await);
    composer.says(json!({ "send": "8100" })).await;
    assert_eq!(composer.hears().await, json!({ "refused": "nothing is open yet" }));
    composer.says(json!({ "open": { "path": "/echo", "compression": true } })).await;
    let opened = composer.hears().await;
    assert_eq!(opened, json!({ "opened": { "connection": 1, "status": 101, "extensions": null } }));
    // A good frame, "Hello" of the RFC; then one with a reserved opcode and no mask.
    composer.says(json!({ "send": "818537fa213d7f9f4d5158" })).await;
    let echo = feed.line(|line| line["from"] == "server" && line["record"] == "frame").await;
    assert_eq!((&echo["text"], &echo["connection"]), (&json!("Hello"), &json!(1)));
    composer.says(json!({ "send": "8300" })).await;
    assert_eq!(composer.hears().await, json!({ "closed": "the server has closed the connection" }));

    let bad = feed.line(|line| line["header"] == "8300").await;
    let sections: Vec<_> = bad["violations"].as_array().unwrap().iter().map(|rule| &rule["section"]).collect();
    assert_eq!(sections, [&json!("5.2"), &json!("5.1")]);
    let close = feed.line(|line| line["opcode_name"] == "close").await;
    assert_eq!((&close["from"], &close["close"]["code"]), (&json!("server"), &json!(1002)));
    feed.record("closed").await;
    // Its bytes are raw, so that the handshake is there, too.
    assert_eq!(feed.records()[2..5], ["opened", "request", "response"]);
}

#[tokio::test]
async fn a_composer_ends_its_side_or_drops_the_connection_or_asks_for_what_is_not_there() {
    let server = Server::watched();
    let mut feed = server.feed(&format!("token={TOKEN}")).await;
    let compose = async || Composer(server.open(&format!("/inspect/composer?token={TOKEN}")).await);

    let mut composer = compose().await;
    composer.says(json!({ "open": { "path": "/nothing" } })).await;
    assert_eq!(composer.hears().await["opened"]["status"], 404);
    composer.says(json!({ "end": true })).await;
    assert_eq!(composer.hears().await, json!({ "closed": "the server has closed the connection" }));

    let mut composer = compose().await;
    composer.says(json!({ "open": {} })).await;
    assert_eq!(composer.hears().await["opened"]["connection"], 2);
    composer.says(json!({ "open": {} })).await;
    assert!(composer.hears().await["refused"].is_string());
    composer.says(json!({ "send": "81" })).await;
    composer.says(json!({ "end": true })).await;
    assert!(composer.hears().await["closed"].is_string());
    let cut = feed.line(|line| line["connection"] == 2 && line["header"] == "81").await;
    assert_eq!(cut["missing_is_exact"], false);

    let mut composer = compose().await;
    composer.says(json!({ "open": {} })).await;
    composer.hears().await;
    composer.says(json!({ "drop": true })).await;
    assert_eq!(composer.hears().await, json!({ "closed": "dropped" }));
    let closed = feed.line(|line| line["connection"] == 3 && line["record"] == "closed").await;
    assert_eq!(closed["ending"], "reset by the client");
}

#[tokio::test]
async fn what_a_proxy_relays_is_seen_on_a_page_of_its_own_by_whoever_has_the_token() {
    let server = Server::start(&[]);
    let to = format!("ws://{}", server.address);
    let arguments = ["proxy", "--quiet", "--to", &to, "--ui", "127.0.0.1:0", "--ui-token", TOKEN];
    let mut proxy = Server::run(&arguments);
    let relayed = proxy.address.clone();
    proxy.address = proxy.said("inspect at ");
    assert_ne!(proxy.address, relayed);

    let mut feed = proxy.feed(&format!("token={TOKEN}")).await;
    let hello = feed.lines[0].clone();
    assert_eq!((&hello["mode"], &hello["target"], &hello["all"]), (&json!("proxy"), &json!(to), &json!(true)));
    assert_eq!(hello["composer"], true);
    let mut ws = sockeye::connect(format!("ws://{relayed}/echo")).await.unwrap();
    ws.send("你好").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some("你好".into()));
    ws.close(CloseCode::NORMAL, "").await.unwrap();
    let opened = feed.record("opened").await;
    assert_eq!((&opened["begins"], &opened["server"]), (&json!("handshake"), &json!(server.address)));
    let sent = feed.line(|line| line["text"] == "你好" && line["from"] == "client").await;
    assert_eq!((&sent["masked"], &sent["payload"]), (&json!(true), &json!("e4bda0e5a5bd")));
    feed.record("closed").await;
    assert_eq!(feed.records()[2..5], ["opened", "request", "response"]);

    let other = format!("/inspect/feed?watch={W}");
    for path in ["/inspect/feed", "/inspect/feed?token=no", &other] {
        assert_eq!(proxy.refusal(path, None).await.0, 403, "{path}");
    }
    assert_eq!(proxy.refusal("/inspect/composer?token=no", None).await.0, 403);
    // A browser tells a page nothing of an answer that opens no WebSocket: so the page asks as for anything else.
    let answer = proxy.get(&other).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("a token is needed"), "{answer}");
    // The page is there, and neither the server nor the proxy is by it.
    let (status, page) = proxy.refusal("/", None).await;
    assert!(status == 200 && page.starts_with("<!doctype html>"));
    assert_eq!(proxy.refusal("/echo", None).await.0, 404);
}

#[tokio::test]
async fn a_client_is_played_to_the_server_behind_a_proxy_and_nowhere_else() {
    let server = Server::start(&[]);
    let to = format!("ws://{}/echo", server.address);
    let arguments = ["proxy", "--quiet", "--to", &to, "--ui", "127.0.0.1:0", "--ui-token", TOKEN];
    let mut proxy = Server::run(&arguments);
    proxy.address = proxy.said("inspect at ");
    let mut feed = proxy.feed(&format!("token={TOKEN}")).await;
    let mut composer = Composer(proxy.open(&format!("/inspect/composer?token={TOKEN}")).await);
    // The path of --to counts, as it does for everybody.
    composer.says(json!({ "open": { "path": "/" } })).await;
    assert_eq!(composer.hears().await["opened"], json!({ "connection": 1, "status": 101, "extensions": null }));
    let request = feed.record("request").await;
    let host = request["headers"].as_array().unwrap().iter().find(|header| header["name"] == "Host");
    assert_eq!((&request["target"], &host.unwrap()["value"]), (&json!("/echo"), &json!(server.address)));
    composer.says(json!({ "send": "818537fa213d7f9f4d5158" })).await;
    let echo = feed.line(|line| line["from"] == "server" && line["record"] == "frame").await;
    assert_eq!((&echo["text"], &echo["connection"]), (&json!("Hello"), &json!(1)));
    composer.says(json!({ "send": "c100" })).await;
    let bad = feed.line(|line| line["header"] == "c100").await;
    assert_eq!(bad["violations"][0]["section"], "5.2");
    assert_eq!(composer.hears().await, json!({ "closed": "the server has closed the connection" }));

    drop(server);
    let mut composer = Composer(proxy.open(&format!("/inspect/composer?token={TOKEN}")).await);
    composer.says(json!({ "open": { "path": "/" } })).await;
    let why = composer.hears().await["refused"].as_str().unwrap().to_owned();
    assert!(why.starts_with("cannot connect to 127.0.0.1:"), "{why}");
}

#[tokio::test]
async fn a_server_that_stops_closes_feeds_and_composers_with_1001() {
    let mut server = Server::watched();
    let mut feed = server.feed(&format!("token={TOKEN}")).await;
    let mut composer = Composer(server.open(&format!("/inspect/composer?token={TOKEN}")).await);
    composer.says(json!({ "open": {} })).await;
    composer.hears().await;
    let stopped = Command::new("kill").args(["-s", "TERM", &server.process.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    while within(feed.ws.recv()).await.is_ok_and(|message| message.is_some()) {}
    assert_eq!(feed.ws.closed().await.code(), CloseCode::GOING_AWAY);
    while within(composer.0.recv()).await.is_ok_and(|message| message.is_some()) {}
    let ended = async {
        loop {
            if let Some(status) = server.process.try_wait().unwrap() {
                return status.code();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert_eq!(within(ended).await, Some(0));
}
