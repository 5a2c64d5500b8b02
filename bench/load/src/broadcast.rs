//! One connection's message goes to all of them.

use std::error::Error;
use std::thread::sleep;
use std::time::{Duration, Instant};

use columns::Column;

use crate::lane::{Lane, READ_BYTES};
use crate::meter::{Measure, Meter};
use crate::poller::Poller;
use crate::traffic::Traffic;
use crate::transport::Transport;
use crate::{Options, PATIENCE};

/// Measures deliveries: one message at a time, the next one when all have it.
pub fn run<T: Transport>(column: &Column, options: &Options, transports: Vec<T>) -> Result<Measure, Box<dyn Error>> {
    let traffic = Traffic::new(column, options.raw);
    let poller = Poller::new()?;
    let mut lanes = Vec::new();
    for (index, transport) in transports.into_iter().enumerate() {
        poller.add(transport.fd(), index)?;
        lanes.push(Lane::new(transport, &traffic, 0));
    }
    // A server may subscribe a connection only after it has answered its request.
    sleep(Duration::from_millis(200));
    let mut broadcast = Broadcast { traffic, lanes, poller, buffer: vec![0; READ_BYTES] };
    broadcast.run_for(options.duration / 5)?;
    let meter = Meter::start(options.server)?;
    let deliveries = broadcast.run_for(options.duration)?;
    let answer_bytes = deliveries * column.size as u64;
    Ok(Measure { answer_bytes, ..meter.stop(deliveries)? })
}

struct Broadcast<T> {
    traffic: Traffic,
    lanes: Vec<Lane<T>>,
    poller: Poller,
    buffer: Vec<u8>,
}

impl<T: Transport> Broadcast<T> {
    fn run_for(&mut self, duration: Duration) -> Result<u64, Box<dyn Error>> {
        let mut deliveries = 0;
        let end = Instant::now() + duration;
        while Instant::now() < end {
            let (first, others) = self.lanes.split_first_mut().expect("at least one connection");
            for lane in others {
                lane.expect(1, &self.traffic);
            }
            first.send(1, &self.traffic)?;
            deliveries += self.collect(end + PATIENCE)?;
        }
        Ok(deliveries)
    }

    /// Waits until all have got the message.
    fn collect(&mut self, until: Instant) -> Result<u64, Box<dyn Error>> {
        let mut in_flight = self.lanes.len();
        while in_flight > 0 {
            if Instant::now() > until {
                return Err(format!("{in_flight} of {} did not get a message", self.lanes.len()).into());
            }
            for index in self.poller.ready()? {
                in_flight -= self.lanes[index].recv(&self.traffic, &mut self.buffer)?;
            }
        }
        Ok(self.lanes.len() as u64)
    }
}
