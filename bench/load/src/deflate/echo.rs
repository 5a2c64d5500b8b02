//! An echo of compressed messages. The sizes of all answers count, those of the first connection are inflated and compared.

use std::error::Error;
use std::time::{Duration, Instant};

use columns::Column;

use super::message::{Inflate, Message, messages};
use super::{Lane, verify};
use crate::meter::{Measure, Meter};
use crate::poller::Poller;
use crate::{Options, PATIENCE};

/// Measures an echo with one message in flight on each connection.
pub fn run(column: &Column, options: &Options, takeover: bool) -> Result<Measure, Box<dyn Error>> {
    let messages = messages(column)?;
    let poller = Poller::new()?;
    let (mut lanes, mut extensions) = (Vec::new(), None);
    for index in 0..column.connections {
        let (lane, agreed) = Lane::open(options.port, takeover, index % messages.len())?;
        poller.add(&lane.stream, index)?;
        lanes.push(lane);
        extensions = Some(agreed);
    }
    let mut echo = Echo { messages, lanes, poller, inflate: Inflate::new(takeover), answer_bytes: 0 };
    echo.run_for(options.duration / 5)?;
    let meter = Meter::start(options.server)?;
    echo.answer_bytes = 0;
    let messages = echo.run_for(options.duration)?;
    Ok(Measure { answer_bytes: echo.answer_bytes, extensions, ..meter.stop(messages)? })
}

struct Echo {
    messages: Vec<Message>,
    lanes: Vec<Lane>,
    poller: Poller,
    /// That of the first lane.
    inflate: Inflate,
    answer_bytes: u64,
}

impl Echo {
    fn run_for(&mut self, duration: Duration) -> Result<u64, Box<dyn Error>> {
        for lane in &mut self.lanes {
            lane.send(&self.messages)?;
        }
        let (mut answers, mut in_flight) = (0, self.lanes.len());
        let end = Instant::now() + duration;
        while in_flight > 0 {
            let now = Instant::now();
            if now > end + PATIENCE {
                return Err("answers are missing".into());
            }
            for index in self.poller.ready()? {
                let lane = &mut self.lanes[index];
                let message = &self.messages[lane.next];
                let Some(answer) = lane.recv()? else { continue };
                self.answer_bytes += answer.payload.len() as u64;
                if index == 0 {
                    verify(&answer, &mut self.inflate, message)?;
                }
                lane.advance(&self.messages);
                answers += 1;
                if now < end {
                    lane.send(&self.messages)?;
                } else {
                    in_flight -= 1;
                }
            }
        }
        Ok(answers)
    }
}
