//! The limit: bytes go back as they came, with no protocol and no runtime.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use harness::Mode;
use rustix::event::epoll::{self, EventData, EventFlags};

/// What answers the one key that the load generator sends.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn main() -> io::Result<()> {
    let broadcast = harness::mode() == Mode::Broadcast;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    // The one of std has room for 128 that wait to be accepted.
    rustix::net::listen(&listener, 1024)?;
    println!("{}", listener.local_addr()?.port());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let number = listener.as_raw_fd() as u64;
    epoll::add(&epoll, &listener, EventData::new_u64(number), EventFlags::IN)?;
    let server = Server { epoll, connections: HashMap::new(), buffer: vec![0; 256 * 1024], broadcast };
    server.run(&listener, number)
}

struct Server {
    epoll: OwnedFd,
    /// By the number of their descriptor.
    connections: HashMap<u64, Connection>,
    buffer: Vec<u8>,
    broadcast: bool,
}

struct Connection {
    stream: TcpStream,
    upgraded: bool,
    /// What there was no room for. Nothing is read until it is written.
    unsent: Vec<u8>,
}

impl Server {
    fn run(mut self, listener: &TcpListener, number: u64) -> io::Result<()> {
        let mut events = Vec::with_capacity(1024);
        loop {
            events.clear();
            epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), None)?;
            for event in &events {
                let id = event.data.u64();
                if id == number {
                    self.accept(listener)?;
                } else if self.advance(id).is_err() {
                    // Closed, which takes it out of the epoll set.
                    self.connections.remove(&id);
                }
            }
        }
    }

    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let id = stream.as_raw_fd() as u64;
        epoll::add(&self.epoll, &stream, EventData::new_u64(id), EventFlags::IN)?;
        self.connections.insert(id, Connection { stream, upgraded: false, unsent: Vec::new() });
        Ok(())
    }

    /// Goes on with a connection that is ready for what it waits for.
    fn advance(&mut self, id: u64) -> io::Result<()> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        if !connection.unsent.is_empty() {
            return connection.write_unsent(&self.epoll, id);
        }
        let len = match connection.stream.read(&mut self.buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let bytes = &self.buffer[..len];
        if !connection.upgraded {
            // The load generator sends its head in one piece.
            connection.upgraded = bytes.ends_with(b"\r\n\r\n");
            connection.write(&self.epoll, id, RESPONSE)
        } else if self.broadcast {
            for (&id, connection) in &mut self.connections {
                connection.write(&self.epoll, id, bytes)?;
            }
            Ok(())
        } else {
            connection.write(&self.epoll, id, bytes)
        }
    }
}

impl Connection {
    fn write(&mut self, epoll: &OwnedFd, id: u64, bytes: &[u8]) -> io::Result<()> {
        let sent = self.try_write(bytes)?;
        if sent < bytes.len() {
            self.unsent = bytes[sent..].to_vec();
            epoll::modify(epoll, &self.stream, EventData::new_u64(id), EventFlags::OUT)?;
        }
        Ok(())
    }

    fn write_unsent(&mut self, epoll: &OwnedFd, id: u64) -> io::Result<()> {
        let unsent = std::mem::take(&mut self.unsent);
        let sent = self.try_write(&unsent)?;
        if sent < unsent.len() {
            self.unsent = unsent[sent..].to_vec();
        } else {
            epoll::modify(epoll, &self.stream, EventData::new_u64(id), EventFlags::IN)?;
        }
        Ok(())
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.stream.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            result => result,
        }
    }
}
