//! What bytes go over: TCP, or TLS over TCP. Neither ever blocks once opened.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use rustls::ClientConnection;

pub trait Transport {
    /// Whether a read that does not fill its buffer says that nothing is left.
    const SHORT_READ_IS_THE_LAST: bool;

    /// Takes some of the bytes, none if there is no room now.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Passes on what was taken and is not with the system yet.
    fn flush(&mut self) -> io::Result<()>;

    /// Reads what there is, `None` if there is nothing now.
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    fn fd(&self) -> BorrowedFd<'_>;
}

impl Transport for TcpStream {
    const SHORT_READ_IS_THE_LAST: bool = true;

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(later(self.write(bytes))?.unwrap_or(0))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        some(later(self.read(buffer))?)
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

pub struct Tls {
    socket: TcpStream,
    session: ClientConnection,
}

impl Tls {
    /// A session whose handshake is done, over a socket that does not block any more.
    pub fn new(socket: TcpStream, session: ClientConnection) -> Self {
        Self { socket, session }
    }
}

impl Transport for Tls {
    const SHORT_READ_IS_THE_LAST: bool = false;

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let taken = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() && later(self.session.write_tls(&mut self.socket))?.is_some() {}
        Ok(())
    }

    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        loop {
            if let Some(len) = some(later(self.session.reader().read(buffer))?)? {
                return Ok(Some(len));
            }
            let Some(_) = some(later(self.session.read_tls(&mut self.socket))?)? else { return Ok(None) };
            self.session.process_new_packets().map_err(io::Error::other)?;
        }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn later(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// No server ends a connection while it is measured.
fn some(len: Option<usize>) -> io::Result<Option<usize>> {
    if len == Some(0) { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(len) }
}
