//! The client sent elsewhere: how far it goes, and what it takes along.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support;
use crate::support::{in_time, read_head, switching};
use sockeye::{Connect, Error, ErrorKind, HandshakeError, Phase};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// The heads of all requests that came, in the order in which they did.
type Heads = Arc<Mutex<Vec<String>>>;

/// A server that answers each request as told by its first line.
async fn serving(heads: &Heads, answer: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> SocketAddr {
    let (heads, answer) = (Arc::clone(heads), Arc::new(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (heads, answer) = (Arc::clone(&heads), Arc::clone(&answer));
            tokio::spawn(async move {
                let head = read_head(&mut stream).await;
                let path = head.split(' ').nth(1).unwrap().to_owned();
                heads.lock().unwrap().push(head.clone());
                match answer(&path) {
                    Some(location) => {
                        let status = ["301", "302", "303", "307", "308"][path.len() % 5];
                        let answer =
                            format!("HTTP/1.1 {status} X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                    None => {
                        stream.write_all(switching(&head).as_bytes()).await.unwrap();
                        let _ = support::read_frame(&mut stream).await;
                    }
                }
            });
        }
    });
    address
}

/// A server where `/n` leads to `/n-1`, and `/0` is a WebSocket.
async fn counting_down(heads: &Heads) -> SocketAddr {
    serving(heads, |path| path[1..].parse::<u32>().ok()?.checked_sub(1).map(|next| format!("/{next}"))).await
}

fn paths(heads: &Heads) -> Vec<String> {
    heads.lock().unwrap().iter().map(|head| head.split(' ').nth(1).unwrap().to_owned()).collect()
}

async fn fails(attempt: Connect) -> Error {
    in_time(attempt.into_future()).await.unwrap_err()
}

#[tokio::test]
async fn none_is_followed_unless_asked_for_and_the_error_says_where_it_points() {
    let heads = Heads::default();
    let address = counting_down(&heads).await;
    let error = fails(sockeye::connect(format!("ws://{address}/1"))).await;
    let Error::Refused(answer) = &error else { panic!("{error:?}") };
    assert_eq!(answer.headers()["location"], "/0");
    let said = "the server answered 303 See Other instead of opening a WebSocket, and points to /0";
    assert_eq!((error.to_string().as_str(), error.kind()), (said, ErrorKind::Peer));
    assert_eq!(paths(&heads), ["/1"]);
}

#[tokio::test]
async fn so_many_are_followed_as_were_allowed_and_no_more() {
    let heads = Heads::default();
    let address = counting_down(&heads).await;
    assert!(sockeye::connect(format!("ws://{address}/3")).redirects(3).await.is_ok());
    assert_eq!(paths(&heads), ["/3", "/2", "/1", "/0"]);
    heads.lock().unwrap().clear();
    let error = fails(sockeye::connect(format!("ws://{address}/4")).redirects(3)).await;
    assert!(matches!(error, Error::Refused(_)) && error.to_string().ends_with("points to /0"), "{error}");
    assert_eq!(paths(&heads), ["/4", "/3", "/2", "/1"]);
}

#[tokio::test]
async fn within_one_origin_all_goes_along_and_to_another_no_credentials_do() {
    let (here_heads, there_heads) = (Heads::default(), Heads::default());
    let there = serving(&there_heads, |_| None).await;
    let here = serving(&here_heads, move |path| match path {
        "/a" => Some("b".into()),
        "/b" => Some(format!("http://{there}/c")),
        _ => None,
    })
    .await;
    let secrets = ["authorization: Basic dXNlcjpzZWNyZXQ=\r\n", "cookie: id=1\r\n", "proxy-authorization: x\r\n"];
    let attempt = sockeye::connect(format!("ws://user:secret@{here}/a"))
        .header("Cookie", "id=1")
        .header("Proxy-Authorization", "x")
        .header("Host", "virtual.example")
        .header("X-Other", "goes along")
        .origin("https://example.com")
        .subprotocol("chat");
    let attempt = attempt.redirects(5);
    assert!(attempt.clone().await.is_ok());
    for head in &*here_heads.lock().unwrap() {
        assert!(secrets.iter().all(|secret| head.contains(secret)), "{head}");
        assert!(head.contains("host: virtual.example\r\n"), "{head}");
    }
    let head = there_heads.lock().unwrap()[0].clone();
    assert!(secrets.iter().all(|secret| !head.contains(&secret[..secret.find(':').unwrap()])), "{head}");
    assert!(head.contains(&format!("host: {there}\r\n")), "{head}");
    for line in ["x-other: goes along\r\n", "origin: https://example.com\r\n", "sec-websocket-protocol: chat\r\n"] {
        assert!(head.contains(line), "{head}");
    }
    let all = here_heads.lock().unwrap().clone();
    let key = |head: &str| head.lines().find(|line| line.starts_with("sec-websocket-key")).unwrap().to_owned();
    assert_ne!(key(&all[0]), key(&all[1]), "each request has a key of its own");

    // Back at the first origin they are not said again, either: the one in between has chosen where to.
    let away = Heads::default();
    let back = serving(&away, move |_| Some(format!("ws://{here}/other"))).await;
    let attempt = attempt.url(format!("ws://{back}/"));
    here_heads.lock().unwrap().clear();
    assert!(attempt.bearer_auth("secret").await.is_ok());
    assert!(away.lock().unwrap()[0].contains("authorization: Bearer secret"));
    let head = here_heads.lock().unwrap()[0].clone();
    assert!(!head.contains("authorization") && !head.contains("cookie"), "{head}");
}

#[tokio::test]
async fn what_leads_nowhere_we_go_is_refused_by_name() {
    for (location, why) in [
        ("ftp://example.com/", "no URL of a WebSocket"),
        ("//user:secret@example.com/", "user name"),
        ("http://", "no URL of a WebSocket"),
    ] {
        let address = serving(&Heads::default(), move |_| Some(location.into())).await;
        let error = fails(sockeye::connect(format!("ws://{address}/")).redirects(5)).await;
        assert!(matches!(error, Error::Handshake(HandshakeError::Redirect(_))), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.kind(), ErrorKind::Peer);
    }
}

#[tokio::test(start_paused = true)]
async fn one_deadline_holds_for_all_of_them() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let there = silent.local_addr().unwrap();
    let address = serving(&Heads::default(), move |_| Some(format!("ws://{there}/"))).await;
    let started = tokio::time::Instant::now();
    let error = sockeye::connect(format!("ws://{address}/")).redirects(5).await.unwrap_err();
    assert!(matches!(error, Error::Timeout(Phase::Opening)), "{error:?}");
    assert!(started.elapsed() <= Duration::from_secs(11));
}

#[tokio::test]
async fn a_stream_that_is_there_already_leads_nowhere_else() {
    let address = counting_down(&Heads::default()).await;
    let stream = TcpStream::connect(address).await.unwrap();
    let error = sockeye::connect(format!("ws://{address}/1")).redirects(5).over(stream).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_left_for_nothing_else() {
    let folder = std::env::temp_dir().join(format!("sockeye-redirects-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("away.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        for location in ["/elsewhere", "ws://example.com/"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_head(&mut stream).await;
            let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let error = fails(sockeye::connect("ws://localhost/").unix(&path).redirects(5)).await;
    assert!(error.to_string().ends_with("it leads away from the socket or connection to be used"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(feature = "ring")]
#[tokio::test]
async fn none_leads_out_of_the_encryption_and_the_next_certificate_is_judged_by_its_own_name() {
    use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
    use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};

    let identity = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = identity.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let client = Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth());

    let plain = Heads::default();
    let out = serving(&plain, |_| None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let head = read_head(&mut stream).await;
            let location = match head.split(' ').nth(1).unwrap() {
                "/out" => format!("http://{out}/"),
                _ => format!("https://127.0.0.1:{port}/"),
            };
            let answer = format!("HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let attempt = |path: &str| sockeye::connect(format!("wss://localhost:{port}{path}")).tls(Arc::clone(&client));
    let error = fails(attempt("/out").redirects(5)).await;
    assert!(error.to_string().ends_with("it leads from wss to ws, out of the encryption"), "{error}");
    assert!(plain.lock().unwrap().is_empty());
    let error = fails(attempt("/other").redirects(5)).await;
    assert_eq!(error.to_string(), "no TLS with 127.0.0.1: its certificate is for another name");
}
