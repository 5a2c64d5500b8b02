//! What a connection that compresses costs the server in memory.

use std::error::Error;
use std::time::Instant;

use columns::Column;

use super::message::{Inflate, Message, messages};
use super::{Lane, verify};
use crate::meter::{Measure, resident_at_rest};
use crate::{Options, PATIENCE};

/// Opens the connections one after another, and uses each once.
pub fn run(column: &Column, options: &Options, takeover: bool) -> Result<Measure, Box<dyn Error>> {
    let messages = messages(column)?;
    let open = |next| Lane::open(options.port, takeover, next % messages.len());
    // What the first connection makes a server load and set up is no other connection's.
    let (mut first, agreed) = open(0)?;
    echo(&mut first, &messages)?;
    let before = resident_at_rest(options.server)?;
    let mut lanes = Vec::new();
    for next in 0..column.connections {
        lanes.push(open(next)?.0);
    }
    let idle = resident_at_rest(options.server)?;
    for lane in &mut lanes {
        echo(lane, &messages)?;
    }
    let used = resident_at_rest(options.server)?;
    Ok(Measure { extensions: Some(agreed), ..Measure::memory(column, [before, idle, used]) })
}

fn echo(lane: &mut Lane, messages: &[Message]) -> Result<(), Box<dyn Error>> {
    let until = Instant::now() + PATIENCE;
    let message = &messages[lane.next];
    lane.send(messages)?;
    loop {
        if let Some(answer) = lane.recv()? {
            // A connection's first message refers to nothing before it.
            verify(&answer, &mut Inflate::new(false), message)?;
            lane.advance(messages);
            return Ok(());
        }
        if Instant::now() > until {
            return Err("an answer is missing".into());
        }
    }
}
