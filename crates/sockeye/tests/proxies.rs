//! The client through proxies: what it asks them, what passes through them, and what it says when they refuse.

use core::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support;
use crate::support::{echo_server, in_time, read_head};
use sockeye::{Connect, Error, ErrorKind, Message, Phase, ProxyError};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// Listens for one client, and does this with it; says where.
async fn listening<F>(then: impl FnOnce(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        then(stream).await;
    });
    address
}

/// A proxy that takes one CONNECT, answers with this, and connects with a server whatever it was asked for.
async fn http_proxy(answer: &'static str, server: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    let address = listening(move |mut client| async move {
        let head = read_head(&mut client).await;
        let _ = tell.send(head);
        let mut server = TcpStream::connect(server).await.unwrap();
        client.write_all(answer.as_bytes()).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    });
    (address.await, told)
}

const ESTABLISHED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

async fn comes_back(attempt: Connect) {
    let mut ws = in_time(attempt.into_future()).await.unwrap();
    ws.send("你好").await.unwrap();
    assert_eq!(ws.recv().await.unwrap(), Some(Message::from("你好")));
}

async fn refused(attempt: Connect) -> ProxyError {
    match in_time(attempt.into_future()).await.unwrap_err() {
        Error::Proxy(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_http_proxy_is_asked_by_connect_for_the_name_and_port_and_sees_no_more() {
    for (url, named) in [
        ("ws://chat.internal/room", "chat.internal:80"),
        ("ws://chat.internal:8080/room", "chat.internal:8080"),
        ("ws://[2001:db8::1]/room", "[2001:db8::1]:80"),
    ] {
        let (proxy, mut told) = http_proxy(ESTABLISHED, echo_server().await).await;
        // Nothing could resolve that name: it is the proxy who does.
        comes_back(sockeye::connect(url).bearer_auth("token").proxy(format!("http://{proxy}"))).await;
        let asked = told.recv().await.unwrap();
        assert_eq!(asked, format!("CONNECT {named} HTTP/1.1\r\nhost: {named}\r\n\r\n"));
    }
    let (proxy, _) = http_proxy("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nVia: x\r\n\r\n", echo_server().await).await;
    comes_back(sockeye::connect("ws://chat.internal/").proxy(proxy.to_string())).await;
}

#[tokio::test]
async fn credentials_are_for_the_proxy_or_for_the_server_and_never_for_both() {
    let (tell, told) = tokio::sync::oneshot::channel();
    let server = listening(move |mut stream| async move { tell.send(read_head(&mut stream).await).unwrap() }).await;
    let (proxy, mut asked) = http_proxy(ESTABLISHED, server).await;
    let attempt = sockeye::connect("ws://user:secret@chat.internal/")
        .header("Cookie", "id=1")
        .proxy(format!("http://Aladdin:open%20sesame@{proxy}"));
    assert!(attempt.await.is_err(), "this server only looks");
    let (asked, told) = (asked.recv().await.unwrap(), told.await.unwrap());
    assert!(asked.contains("proxy-authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"), "{asked}");
    assert!(!asked.contains("\nauthorization") && !asked.contains("cookie"), "{asked}");
    assert!(told.contains("authorization: Basic dXNlcjpzZWNyZXQ=\r\n") && told.contains("cookie: id=1"), "{told}");
    assert!(!told.contains("proxy"), "{told}");
}

#[tokio::test]
async fn what_a_proxy_answers_instead_is_told_with_its_name_and_without_our_password() {
    for (answer, status, kind, said) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            Some(407),
            ErrorKind::Caller,
            "it answered 407 Proxy Authentication Required; a user name and password for it go into its URL",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n<h1>", Some(502), ErrorKind::Network, "it answered 502 Bad Gateway"),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Some(403), ErrorKind::Network, "it answered 403 Forbidden"),
        (
            "HTTP/1.1 301 Moved\r\nLocation: /\r\n\r\n",
            Some(301),
            ErrorKind::Network,
            "it answered 301 Moved Permanently",
        ),
        ("SSH-2.0-OpenSSH\r\n", None, ErrorKind::Network, "what it answered could not be read as HTTP"),
        ("", None, ErrorKind::Network, "it ended the connection before it had answered"),
        ("HTTP/1.1 200 OK\r\nX: ", None, ErrorKind::Network, "it ended the connection before it had answered"),
        ("HTTP/1.1 101 Hm\r\n\r\n", Some(101), ErrorKind::Network, "it answered 101 Switching Protocols"),
    ] {
        let proxy = listening(move |mut client| async move {
            read_head(&mut client).await;
            client.write_all(answer.as_bytes()).await.unwrap();
        })
        .await;
        let attempt = sockeye::connect("wss://chat.internal/").proxy(format!("http://user:s3cret@{proxy}"));
        assert!(!format!("{attempt:?}").contains("s3cret"));
        let error = refused(attempt).await;
        assert_eq!(error.to_string(), format!("no connection through the proxy http://{proxy}: {said}"), "{error:?}");
        assert_eq!(error.status().map(|status| status.as_u16()), status);
        assert_eq!(error.proxy(), format!("http://{proxy}"));
        assert!(!format!("{error:?}").contains("s3cret"));
        assert_eq!(Error::from(error).kind(), kind, "{answer}");
    }
}

#[tokio::test]
async fn a_proxy_s_answer_without_end_is_cut_short() {
    for line in ["X: y\r\n", "yyyyyyyyyyyyyyyy"] {
        let proxy = listening(move |mut client| async move {
            client.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            while client.write_all(line.as_bytes()).await.is_ok() {}
        })
        .await;
        let error = refused(sockeye::connect("ws://chat.internal/").proxy(proxy.to_string())).await;
        assert!(error.to_string().ends_with("what it answered could not be read as HTTP"), "{error}");
        assert!(error.source().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_does_not_answer_is_given_up_when_connecting_is() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = listener.local_addr().unwrap();
    for scheme in ["http", "socks5"] {
        let attempt = sockeye::connect("ws://chat.internal/").proxy(format!("{scheme}://{proxy}"));
        let error = attempt.connect_timeout(Duration::from_secs(2)).await.unwrap_err();
        assert!(matches!(error, Error::Timeout(Phase::Connecting)), "{error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_is_not_there_or_is_none_is_told_apart() {
    // A port that was just free.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = refused(sockeye::connect("ws://chat.internal/").proxy(format!("socks5://{closed}"))).await;
    assert_eq!(error.to_string(), format!("no connection through the proxy socks5://{closed}: it cannot be reached"));
    assert!(error.source().unwrap().downcast_ref::<std::io::Error>().is_some());
    for url in ["ftp://user:s3cret@127.0.0.1", "", "http://", "://user:s3cret@", "http://a b"] {
        let error = Error::from(refused(sockeye::connect("ws://chat.internal/").proxy(url)).await);
        assert_eq!(error.kind(), ErrorKind::Caller, "{url}");
        assert!(error.to_string().contains("that is no URL of a proxy"), "{error}");
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
    }
}

/// What a SOCKS 5 proxy was asked: the methods offered, user name and password, the address as it stood there, and the port.
#[derive(Debug, Default, PartialEq, Eq)]
struct Asked {
    methods: Vec<u8>,
    user: Option<(String, String)>,
    address: Vec<u8>,
    port: u16,
}

/// A SOCKS 5 proxy for one client, which answers with this reply and connects with a server whatever it was asked for.
async fn socks5_proxy(reply: u8, server: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<Asked>) {
    let (tell, told) = mpsc::unbounded_channel();
    let address = listening(move |mut client| async move {
        let mut asked = Asked::default();
        assert_eq!(client.read_u8().await.unwrap(), 5);
        asked.methods = vec![0; client.read_u8().await.unwrap().into()];
        client.read_exact(&mut asked.methods).await.unwrap();
        let method = *asked.methods.last().unwrap();
        client.write_all(&[5, method]).await.unwrap();
        if method == 2 {
            assert_eq!(client.read_u8().await.unwrap(), 1);
            let mut text = async || {
                let mut text = vec![0; client.read_u8().await.unwrap().into()];
                client.read_exact(&mut text).await.unwrap();
                String::from_utf8(text).unwrap()
            };
            let user = (text().await, text().await);
            let known = user.1 == "open sesame";
            asked.user = Some(user);
            client.write_all(&[1, u8::from(!known)]).await.unwrap();
            if !known {
                return;
            }
        }
        let mut head = [0; 4];
        client.read_exact(&mut head).await.unwrap();
        assert_eq!(head[..3], [5, 1, 0]);
        let len = match head[3] {
            1 => 4,
            3 => client.read_u8().await.unwrap().into(),
            4 => 16,
            other => panic!("no address has type {other}"),
        };
        asked.address = vec![0; len];
        client.read_exact(&mut asked.address).await.unwrap();
        asked.port = client.read_u16().await.unwrap();
        let _ = tell.send(asked);
        client.write_all(&[5, reply, 0, 1, 127, 0, 0, 1, 0, 80]).await.unwrap();
        if reply == 0 {
            let mut server = TcpStream::connect(server).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    (address.await, told)
}

#[tokio::test]
async fn a_socks_proxy_is_asked_for_the_name_which_it_looks_up_itself() {
    let user = || Some(("Aladdin".to_owned(), "open sesame".to_owned()));
    for (scheme, before, url, address, port, by, methods) in [
        ("socks5", "", "ws://chat.internal/", &b"chat.internal"[..], 80, None, vec![0]),
        ("socks5h", "", "ws://chat.internal:81/", b"chat.internal", 81, None, vec![0]),
        ("socks5", "Aladdin:open%20sesame@", "ws://chat.internal/", b"chat.internal", 80, user(), vec![2]),
        ("socks5", "", "ws://10.0.0.1/", &[10, 0, 0, 1], 80, None, vec![0]),
        ("socks5", "", "ws://[::1]:9/", &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 9, None, vec![0]),
    ] {
        let (proxy, mut told) = socks5_proxy(0, echo_server().await).await;
        comes_back(sockeye::connect(url).proxy(format!("{scheme}://{before}{proxy}"))).await;
        let expected = Asked { methods, user: by, address: address.to_vec(), port };
        assert_eq!(told.recv().await.unwrap(), expected, "{url}");
    }
}

#[tokio::test]
async fn what_a_socks_proxy_answers_instead_is_told_with_its_name() {
    let server = echo_server().await;
    for (reply, said) in [
        (1, "general server failure"),
        (2, "connection not allowed"),
        (4, "host unreachable"),
        (5, "connection refused"),
        (99, "failed parsing server response"),
    ] {
        let (proxy, _told) = socks5_proxy(reply, server).await;
        let error = refused(sockeye::connect("wss://chat.internal/").proxy(format!("socks5://{proxy}"))).await;
        let proxy = format!("no connection through the proxy socks5://{proxy}: SOCKS error: ");
        assert_eq!(error.to_string(), proxy + said);
    }
    let (proxy, _told) = socks5_proxy(0, server).await;
    let error = refused(sockeye::connect("ws://chat.internal/").proxy(format!("socks5://user:s3cret@{proxy}"))).await;
    assert!(error.to_string().ends_with("credentials not accepted"), "{error}");
    assert!(!format!("{error:?} {error}").contains("s3cret"));
    let proxy =
        listening(|mut client| async move { client.write_all(b"HTTP/1.1 400 No\r\n\r\n").await.unwrap() }).await;
    let error = refused(sockeye::connect("ws://chat.internal/").proxy(format!("socks5://{proxy}"))).await;
    assert!(error.to_string().contains("SOCKS error"), "{error}");
}

#[tokio::test]
async fn socks_4a_takes_the_name_too() {
    let server = echo_server().await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let proxy = listening(move |mut client| async move {
        let mut head = [0; 8];
        client.read_exact(&mut head).await.unwrap();
        let mut rest = Vec::new();
        while rest.iter().filter(|&&byte| byte == 0).count() < 2 {
            rest.push(client.read_u8().await.unwrap());
        }
        tell.send((head.to_vec(), rest)).unwrap();
        client.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut server = TcpStream::connect(server).await.unwrap();
        let _ = copy_bidirectional(&mut client, &mut server).await;
    })
    .await;
    comes_back(sockeye::connect("ws://chat.internal/").proxy(format!("socks4a://{proxy}"))).await;
    let (head, rest) = told.recv().await.unwrap();
    assert_eq!((head[..4].to_vec(), rest.ends_with(b"\0chat.internal\0")), (vec![4, 1, 0, 80], true), "{rest:?}");
}

/// The environment is a process's own, so the test runs itself again in one.
#[tokio::test]
async fn the_environment_says_which_proxy_and_for_whom() {
    const NAME: &str = "proxies::the_environment_says_which_proxy_and_for_whom";
    const URL: &str = "SOCKEYE_TEST_URL";
    if let Ok(url) = std::env::var(URL) {
        let attempt =
            sockeye::connect(url).resolver(|_, _| async { Err::<Vec<_>, _>(std::io::Error::other("direct")) });
        let direct = attempt.clone().no_proxy();
        println!("said: {}", attempt.await.unwrap_err());
        assert!(matches!(direct.await.unwrap_err(), Error::Io(_)));
        return;
    }
    let direct = "said: the connection failed\n";
    let through = |proxy: &str| format!("said: no connection through the proxy {proxy}: ");
    let (a, b) = ("http://127.0.0.1:1", "socks5://127.0.0.1:2");
    let with_user = "http://user:s3cret@127.0.0.1:1";
    type Set<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, Set<'_>, String)] = &[
        ("ws://chat.internal/", &[], direct.into()),
        ("ws://chat.internal/", &[("http_proxy", a)], through(a)),
        ("ws://chat.internal/", &[("HTTP_PROXY", with_user)], through(a)),
        ("ws://chat.internal/", &[("http_proxy", "127.0.0.1:1")], through(a)),
        ("ws://chat.internal/", &[("http_proxy", a), ("HTTP_PROXY", b)], through(a)),
        ("ws://chat.internal/", &[("http_proxy", " "), ("HTTP_PROXY", b)], through(b)),
        ("ws://chat.internal/", &[("https_proxy", a)], direct.into()),
        ("ws://chat.internal/", &[("all_proxy", a)], through(a)),
        ("ws://chat.internal/", &[("ALL_PROXY", b), ("http_proxy", a)], through(a)),
        // In a CGI program it is the header `Proxy` of whoever asks.
        ("ws://chat.internal/", &[("HTTP_PROXY", a), ("REQUEST_METHOD", "GET")], direct.into()),
        ("ws://chat.internal/", &[("HTTP_PROXY", a), ("ALL_PROXY", b), ("REQUEST_METHOD", "GET")], through(b)),
        ("ws://chat.internal/", &[("http_proxy", a), ("REQUEST_METHOD", "GET")], through(a)),
        ("ws://chat.internal/", &[("http_proxy", a), ("no_proxy", "other.internal")], through(a)),
        ("ws://chat.internal/", &[("http_proxy", a), ("no_proxy", "x, .internal")], direct.into()),
        ("ws://chat.internal/", &[("http_proxy", a), ("NO_PROXY", "internal")], direct.into()),
        ("ws://chat.internal/", &[("http_proxy", a), ("no_proxy", "*")], direct.into()),
        ("ws://chat.internal/", &[("http_proxy", a), ("no_proxy", "nternal")], through(a)),
        // Loopback is ours alone; `direct` cannot be told from a closed port there, but a proxy would be named.
        ("ws://localhost:1/", &[("http_proxy", a)], direct.into()),
        ("ws://127.0.0.1:1/", &[("http_proxy", a)], direct.into()),
        ("ws://[::1]:1/", &[("http_proxy", a)], direct.into()),
        // A slip does not lead past the proxy.
        ("ws://chat.internal/", &[("http_proxy", "htp://x:s3cret@y")], through("in $http_proxy")),
        ("ws://chat.internal/", &[("ALL_PROXY", "a b")], through("in $ALL_PROXY")),
    ];
    for (url, set, said) in cases {
        let (url, set, shown) = ((*url).to_owned(), *set, format!("{url} with {set:?}"));
        let mut command = tokio::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", NAME, "--nocapture"]).env(URL, url);
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_ascii_uppercase());
        }
        command.env_remove("REQUEST_METHOD").envs(set.iter().copied());
        let output = String::from_utf8(command.output().await.unwrap().stdout).unwrap();
        assert!(output.contains(&**said), "{shown}: {output}");
        assert!(!output.contains("s3cret"), "{output}");
    }
}

#[cfg(feature = "ring")]
mod over_tls {
    use super::*;
    use sockeye::rustls::pki_types::PrivatePkcs8KeyDer;
    use sockeye::rustls::{ClientConfig, RootCertStore, ServerConfig};

    /// Configurations of a server with these names, and of a client that trusts it.
    fn configured(names: &[&str]) -> (Arc<ServerConfig>, Arc<ClientConfig>) {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let identity = rcgen::generate_simple_self_signed(names).unwrap();
        let certificate = identity.cert.der().clone();
        let key = PrivatePkcs8KeyDer::from(identity.signing_key.serialize_der()).into();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let server = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        (Arc::new(server), Arc::new(client))
    }

    /// A listener that passes everything on to a server and tells the first bytes that it was sent.
    async fn recording(server: SocketAddr) -> (SocketAddr, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (tell, told) = mpsc::unbounded_channel();
        let address = listening(move |mut client| async move {
            let mut first = vec![0; 6];
            client.read_exact(&mut first).await.unwrap();
            let mut server = TcpStream::connect(server).await.unwrap();
            server.write_all(&first).await.unwrap();
            tell.send(first).unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
        (address.await, told)
    }

    #[tokio::test]
    async fn through_every_proxy_the_first_byte_to_the_server_is_a_client_hello_s() {
        let (server, client) = configured(&["chat.internal"]);
        let echo = support::start(|listener| sockeye::serve(listener, support::echo).tls(server)).await;
        for scheme in ["http", "socks5"] {
            let (origin, mut told) = recording(echo).await;
            let proxy = match scheme {
                "http" => http_proxy(ESTABLISHED, origin).await.0,
                _ => socks5_proxy(0, origin).await.0,
            };
            let attempt = sockeye::connect("wss://chat.internal/").tls(Arc::clone(&client));
            comes_back(attempt.proxy(format!("{scheme}://{proxy}"))).await;
            let first = told.recv().await.unwrap();
            // A handshake record with a ClientHello in it (RFC 8446 §5.1, §4).
            assert_eq!((first[0], first[1], first[5]), (0x16, 3, 1), "{scheme}: {first:?}");
        }
    }

    #[tokio::test]
    async fn the_certificate_is_judged_by_the_url_s_name_whatever_a_proxy_connects_us_with() {
        let (server, client) = configured(&["other.internal", "127.0.0.1"]);
        let echo = support::start(|listener| sockeye::serve(listener, support::echo).tls(server)).await;
        for scheme in ["http", "socks5"] {
            let proxy = match scheme {
                "http" => http_proxy(ESTABLISHED, echo).await.0,
                _ => socks5_proxy(0, echo).await.0,
            };
            let attempt = sockeye::connect("wss://chat.internal/").tls(Arc::clone(&client));
            let error = in_time(attempt.proxy(format!("{scheme}://{proxy}")).into_future()).await.unwrap_err();
            assert_eq!(error.to_string(), "no TLS with chat.internal: its certificate is for another name");
        }
    }

    #[tokio::test]
    async fn a_proxy_may_be_spoken_to_over_tls_itself() {
        let (server, client) = configured(&["localhost", "chat.internal"]);
        let echo = support::start({
            let server = Arc::clone(&server);
            |listener| sockeye::serve(listener, support::echo).tls(server)
        })
        .await;
        let acceptor = tokio_rustls::TlsAcceptor::from(server);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(mut client) = acceptor.accept(stream).await else {
                    continue;
                };
                let head = read_head(&mut client).await;
                assert!(head.starts_with("CONNECT chat.internal:443 HTTP/1.1\r\n"), "{head}");
                let mut server = TcpStream::connect(echo).await.unwrap();
                client.write_all(ESTABLISHED.as_bytes()).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            }
        });
        let attempt = sockeye::connect("wss://chat.internal/").tls(client);
        comes_back(attempt.clone().proxy(format!("https://localhost:{port}"))).await;
        let error = attempt.proxy(format!("https://127.0.0.1:{port}")).await.unwrap_err();
        assert_eq!(error.to_string(), "no TLS with 127.0.0.1: its certificate is for another name");
    }
}
