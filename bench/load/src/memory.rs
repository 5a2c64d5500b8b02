//! What a connection costs the server in memory: its own, not the kernel's socket buffers.

use std::error::Error;
use std::time::{Duration, Instant};

use columns::Column;

use crate::lane::{Lane, READ_BYTES};
use crate::meter::{Measure, resident_at_rest};
use crate::traffic::Traffic;
use crate::transport::Transport;
use crate::{Options, PATIENCE};

/// How often the Pings are answered that come while connections are opened.
const ANSWER_PINGS: Duration = Duration::from_secs(5);

/// Opens the connections one after another, and uses each once.
pub fn run<T: Transport>(
    column: &Column,
    options: &Options,
    mut open: impl FnMut() -> Result<T, Box<dyn Error>>,
) -> Result<Measure, Box<dyn Error>> {
    let traffic = Traffic::new(column, options.raw);
    let mut buffer = vec![0; READ_BYTES];
    // What the first connection makes a server load and set up is no other connection's.
    let mut first = Lane::new(open()?, &traffic, 0);
    echo(&mut first, &traffic, &mut buffer)?;
    let before = resident_at_rest(options.server)?;
    let (mut lanes, mut answered) = (Vec::new(), Instant::now());
    for begin in 0..column.connections {
        lanes.push(Lane::new(open()?, &traffic, begin));
        // A server that pings takes who does not answer for gone, and opening all takes longer than some wait.
        if answered.elapsed() > ANSWER_PINGS {
            lanes.iter_mut().try_for_each(|lane| lane.answer_pings(&mut buffer))?;
            answered = Instant::now();
        }
    }
    let idle = resident_at_rest(options.server)?;
    for lane in &mut lanes {
        lane.answer_pings(&mut buffer)?;
        echo(lane, &traffic, &mut buffer)?;
    }
    let used = resident_at_rest(options.server)?;
    Ok(Measure::memory(column, [before, idle, used]))
}

fn echo<T: Transport>(lane: &mut Lane<T>, traffic: &Traffic, buffer: &mut [u8]) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + PATIENCE;
    lane.send(1, traffic)?;
    while lane.recv(traffic, buffer)? == 0 {
        lane.pump(traffic)?;
        if Instant::now() > until {
            return Err("an answer is missing".into());
        }
    }
    Ok(())
}
