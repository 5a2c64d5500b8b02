//! In place of `splice.rs` where the kernel cannot do that: there are no pipes, and bytes are copied.

use core::task::{Context, Poll};
use std::io;

use tokio::net::TcpStream;

#[derive(Debug)]
pub(super) enum Pipe {}

impl Pipe {
    pub(super) const fn lend() -> Option<Self> {
        None
    }

    pub(super) fn give_back(self) {
        match self {}
    }

    pub(super) const fn holds(&self) -> usize {
        match *self {}
    }

    pub(super) fn poll_fill(&mut self, _: &mut Context<'_>, _: &TcpStream) -> Poll<io::Result<usize>> {
        match *self {}
    }

    pub(super) fn poll_drain(&mut self, _: &mut Context<'_>, _: &TcpStream) -> Poll<io::Result<usize>> {
        match *self {}
    }
}
