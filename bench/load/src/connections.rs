//! Connections a second: opened, used for one echo, and ended without a word.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use columns::Column;
use rustix::net::sockopt::set_socket_linger;

use crate::lane::Lane;
use crate::meter::{Measure, Meter};
use crate::poller::Poller;
use crate::traffic::Traffic;
use crate::{Options, PATIENCE, upgrade};

/// Keeps some connections opening at a time.
pub fn run(column: &Column, options: &Options) -> Result<Measure, Box<dyn Error>> {
    let mut churn = Churn {
        port: options.port,
        request: upgrade::request(None),
        traffic: Traffic::new(column, options.raw),
        slots: (0..column.connections).map(|_| None).collect(),
        poller: Poller::new()?,
        opened: 0,
    };
    churn.run_for(options.duration / 5)?;
    let meter = Meter::start(options.server)?;
    let connections = churn.run_for(options.duration)?;
    Ok(meter.stop(connections)?)
}

struct Churn {
    port: u16,
    request: String,
    traffic: Traffic,
    slots: Vec<Option<Stage>>,
    poller: Poller,
    opened: usize,
}

/// How far a connection is.
enum Stage {
    Upgrading { stream: TcpStream, head: Vec<u8> },
    Echoing(Lane<TcpStream>),
}

impl Churn {
    fn run_for(&mut self, duration: Duration) -> Result<u64, Box<dyn Error>> {
        for index in 0..self.slots.len() {
            self.open(index)?;
        }
        let (mut ended, mut in_flight) = (0, self.slots.len());
        let end = Instant::now() + duration;
        while in_flight > 0 {
            let now = Instant::now();
            if now > end + PATIENCE {
                return Err("answers are missing".into());
            }
            let ready: Vec<usize> = self.poller.ready()?.collect();
            for index in ready {
                if !self.advance(index)? {
                    continue;
                }
                ended += 1;
                if now < end {
                    self.open(index)?;
                } else {
                    in_flight -= 1;
                }
            }
        }
        Ok(ended)
    }

    fn open(&mut self, index: usize) -> Result<(), Box<dyn Error>> {
        let mut stream = upgrade::connect(self.port)?;
        stream.write_all(self.request.as_bytes())?;
        stream.set_nonblocking(true)?;
        // Ended by a reset: no port is left waiting, however many connections there were.
        set_socket_linger(&stream, Some(Duration::ZERO))?;
        self.poller.add(stream.as_fd(), index)?;
        self.slots[index] = Some(Stage::Upgrading { stream, head: Vec::new() });
        self.opened += 1;
        Ok(())
    }

    /// Goes on with a connection. Says whether it is at its end.
    fn advance(&mut self, index: usize) -> Result<bool, Box<dyn Error>> {
        let mut buffer = [0; 4096];
        match self.slots[index].take() {
            None => Ok(false),
            Some(Stage::Upgrading { mut stream, mut head }) => {
                match stream.read(&mut buffer) {
                    Ok(0) => return Err("the server closes instead of an answer".into()),
                    Ok(len) => head.extend_from_slice(&buffer[..len]),
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error.into()),
                }
                self.slots[index] = Some(match upgrade::response(&head) {
                    None => Stage::Upgrading { stream, head },
                    Some(opened) => {
                        opened?;
                        let mut lane = Lane::new(stream, &self.traffic, self.opened);
                        lane.send(1, &self.traffic)?;
                        Stage::Echoing(lane)
                    }
                });
                Ok(false)
            }
            Some(Stage::Echoing(mut lane)) => {
                let done = lane.recv(&self.traffic, &mut buffer)? == 1;
                if !done {
                    self.slots[index] = Some(Stage::Echoing(lane));
                }
                Ok(done)
            }
        }
    }
}
