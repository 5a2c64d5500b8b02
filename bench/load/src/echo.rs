//! Messages that come back on their connection.

use std::error::Error;
use std::time::{Duration, Instant};

use columns::Column;

use crate::lane::{Lane, READ_BYTES};
use crate::meter::{Measure, Meter};
use crate::poller::Poller;
use crate::traffic::Traffic;
use crate::transport::Transport;
use crate::{Options, PATIENCE};

/// Measures an echo over connections that are open.
pub fn run<T: Transport>(column: &Column, options: &Options, transports: Vec<T>) -> Result<Measure, Box<dyn Error>> {
    let traffic = Traffic::new(column, options.raw);
    let poller = if column.lets_load_sleep() { Poller::sleeping()? } else { Poller::new()? };
    let mut echo = Echo::new(traffic, column.window, poller, transports)?;
    echo.run_for(options.duration / 5)?;
    let meter = Meter::start(options.server)?;
    let messages = echo.run_for(options.duration)?;
    let answer_bytes = messages * column.size as u64;
    Ok(Measure { answer_bytes, ..meter.stop(messages)? })
}

struct Echo<T> {
    traffic: Traffic,
    window: usize,
    lanes: Vec<Lane<T>>,
    poller: Poller,
    buffer: Vec<u8>,
}

impl<T: Transport> Echo<T> {
    fn new(traffic: Traffic, window: usize, poller: Poller, transports: Vec<T>) -> Result<Self, Box<dyn Error>> {
        let mut lanes = Vec::new();
        for (index, transport) in transports.into_iter().enumerate() {
            poller.add(transport.fd(), index)?;
            lanes.push(Lane::new(transport, &traffic, index));
        }
        Ok(Self { traffic, window, lanes, poller, buffer: vec![0; READ_BYTES] })
    }

    /// Sends for so long, then waits for the answers that are missing. Returns how many came in all.
    fn run_for(&mut self, duration: Duration) -> Result<u64, Box<dyn Error>> {
        for lane in &mut self.lanes {
            lane.send(self.window, &self.traffic)?;
        }
        let (mut answers, mut in_flight) = (0, self.window * self.lanes.len());
        let end = Instant::now() + duration;
        while in_flight > 0 {
            let now = Instant::now();
            if now > end + PATIENCE {
                return Err("answers are missing".into());
            }
            for index in self.poller.ready()? {
                let lane = &mut self.lanes[index];
                lane.pump(&self.traffic)?;
                let arrived = lane.recv(&self.traffic, &mut self.buffer)?;
                answers += arrived as u64;
                if now < end {
                    lane.send(arrived, &self.traffic)?;
                } else {
                    in_flight -= arrived;
                }
            }
        }
        Ok(answers)
    }
}
