//! The opening handshake (RFC 6455 §4), which blocks: nothing is measured yet.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use sha1::{Digest, Sha1};

use crate::transport::Tls;

/// The key of RFC 6455 §1.3 and what it has to be answered with: the servers without a protocol know it by heart.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What the key of any other client is answered with (§4.2.2).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

const CERTIFICATE: &[u8] = include_bytes!("../../tls/cert.pem");
/// A server that does not answer for so long is broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// The request that asks for a WebSocket.
pub fn request(extensions: Option<&str>) -> String {
    let extensions = extensions.map_or_else(String::new, |offer| format!("Sec-WebSocket-Extensions: {offer}\r\n"));
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extensions}\r\n"
    )
}

/// The head of a response, once it is whole. `Err` if it is none that opens a WebSocket.
pub fn response(bytes: &[u8]) -> Option<io::Result<&str>> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = core::str::from_utf8(bytes).unwrap_or_default();
    let opened = head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT);
    Some(if opened { Ok(head) } else { Err(io::Error::other(format!("the server refuses: {head}"))) })
}

/// A new TCP connection to the server.
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    set_up(&stream)?;
    Ok(stream)
}

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))
}

/// Opens a WebSocket over TCP. Returns with it the extensions that the server agreed to.
pub fn open(port: u16, extensions: Option<&str>) -> io::Result<(TcpStream, Option<String>)> {
    let mut stream = connect(port)?;
    let agreed = upgrade(&mut stream, extensions)?;
    stream.set_nonblocking(true)?;
    Ok((stream, agreed))
}

/// Takes a WebSocket that a client opens.
pub fn accept(listener: &TcpListener) -> io::Result<TcpStream> {
    let (mut stream, _) = listener.accept()?;
    set_up(&stream)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        read_some(&mut stream, &mut head)?;
    }
    let head = core::str::from_utf8(&head).unwrap_or_default();
    let key = header(head, "sec-websocket-key").ok_or_else(|| io::Error::other(format!("no key: {head}")))?;
    let accept = BASE64_STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes())?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// The listener that the runner has made and given to this process as its standard input.
pub fn listener() -> io::Result<TcpListener> {
    let listener = TcpListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    set_socket_timeout(&listener, Timeout::Recv, Some(PATIENCE))?;
    Ok(listener)
}

/// Opens a WebSocket over TLS.
pub fn open_tls(port: u16, config: &Arc<ClientConfig>) -> io::Result<Tls> {
    let mut stream = connect(port)?;
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    upgrade(&mut rustls::Stream::new(&mut session, &mut stream), None)?;
    stream.set_nonblocking(true)?;
    Ok(Tls::new(stream, session))
}

/// TLS 1.3, with the certificate of the servers as the only root.
pub fn tls_config() -> Result<Arc<ClientConfig>, Box<dyn core::error::Error>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CERTIFICATE)?)?;
    Ok(Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()))
}

fn upgrade(stream: &mut (impl Read + Write), extensions: Option<&str>) -> io::Result<Option<String>> {
    stream.write_all(request(extensions).as_bytes())?;
    let mut bytes = Vec::new();
    loop {
        read_some(stream, &mut bytes)?;
        if let Some(head) = response(&bytes) {
            return Ok(header(head?, "sec-websocket-extensions").map(str::to_owned));
        }
    }
}

fn read_some(stream: &mut impl Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 1024];
    match stream.read(&mut chunk)? {
        0 => return Err(io::ErrorKind::UnexpectedEof.into()),
        len => bytes.extend_from_slice(&chunk[..len]),
    }
    Ok(())
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    headers.find_map(|(this, value)| this.eq_ignore_ascii_case(name).then(|| value.trim()))
}
