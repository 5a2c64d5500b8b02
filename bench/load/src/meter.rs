//! What the system's accounting says of the server and of the load generator.

use std::fs;
use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use columns::Column;
use rustix::thread::sched_getaffinity;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What was measured, written out as a line of JSON. Fields that a task does not measure are 0.
#[derive(Debug, Default, Serialize)]
pub struct Measure {
    /// Answers; deliveries in a broadcast, connections where those are counted.
    pub messages: u64,
    pub wall_ns: u64,
    pub server_cpu_ns: u64,
    pub load_cpu_ns: u64,
    /// How long the server could have run and did not, because something else had its processor.
    pub server_wait_ns: u64,
    pub load_wait_ns: u64,
    /// Time that the machine below this one took from both processors.
    pub steal_ns: u64,
    /// Time that anything else had the processors that server and load generator share.
    pub others_ns: u64,
    /// Bytes of the answers' payloads as they went over the wire.
    pub answer_bytes: u64,
    /// What the server agreed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extensions: Option<String>,
    /// Bytes of the server's memory for each connection, before and after use.
    pub idle_bytes: u64,
    pub used_bytes: u64,
}

/// Reads the clocks of a server that has nothing to do: the scheduler brings its accounts up to date as it falls asleep.
pub struct Meter {
    server: u32,
    began: Instant,
    first: Clocks,
}

impl Meter {
    pub fn start(server: u32) -> io::Result<Self> {
        settle();
        let first = Clocks::read(server)?;
        Ok(Self { server, began: Instant::now(), first })
    }

    /// Ends the measuring; the last answer has just come.
    pub fn stop(self, messages: u64) -> io::Result<Measure> {
        let (wall, load_cpu) = (self.began.elapsed(), load_cpu());
        settle();
        let last = Clocks::read(self.server)?;
        let (server_cpu_ns, load_cpu_ns) = (last.server_cpu - self.first.server_cpu, load_cpu - self.first.load_cpu);
        Ok(Measure {
            messages,
            wall_ns: nanos(wall),
            server_cpu_ns,
            load_cpu_ns,
            server_wait_ns: last.server_wait - self.first.server_wait,
            load_wait_ns: last.load_wait - self.first.load_wait,
            steal_ns: last.steal - self.first.steal,
            others_ns: (last.busy - self.first.busy).saturating_sub(server_cpu_ns + load_cpu_ns),
            ..Measure::default()
        })
    }
}

impl Measure {
    /// From the server's memory before there were connections, with them idle, and after each was used.
    pub fn memory(column: &Column, [before, idle, used]: [u64; 3]) -> Self {
        let each = |after: u64| after.saturating_sub(before) / column.connections as u64;
        let messages = column.connections as u64;
        Self { messages, idle_bytes: each(idle), used_bytes: each(used), ..Self::default() }
    }
}

/// The resident memory of a server that has had the time to give back what it does not need, in bytes.
pub fn resident_at_rest(pid: u32) -> io::Result<u64> {
    sleep(Duration::from_millis(500));
    resident(pid)
}

fn resident(pid: u32) -> io::Result<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).ok_or(io::ErrorKind::InvalidData)?;
    Ok(pages * rustix::param::page_size() as u64)
}

/// Gives the server the time to fall asleep.
fn settle() {
    sleep(Duration::from_millis(3));
}

struct Clocks {
    server_cpu: u64,
    server_wait: u64,
    load_cpu: u64,
    load_wait: u64,
    steal: u64,
    /// The time that the processors of the load generator have been busy.
    busy: u64,
}

impl Clocks {
    fn read(server: u32) -> io::Result<Self> {
        let (mut server_cpu, mut server_wait) = (0, 0);
        for task in fs::read_dir(format!("/proc/{server}/task"))? {
            let (cpu, wait) = schedstat(&task?.path().join("schedstat").to_string_lossy())?;
            server_cpu += cpu;
            server_wait += wait;
        }
        let (_, load_wait) = schedstat("/proc/self/schedstat")?;
        let (steal, busy) = processors()?;
        Ok(Self { server_cpu, server_wait, load_wait, steal, busy, load_cpu: load_cpu() })
    }
}

/// The time a thread has run and the time it has waited for a processor, in ns.
fn schedstat(path: &str) -> io::Result<(u64, u64)> {
    let text = fs::read_to_string(path)?;
    let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok());
    numbers.next().zip(numbers.next()).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What the machine below took from all processors, and how long those were busy that this process may use, in ns.
fn processors() -> io::Result<(u64, u64)> {
    /// `/proc/stat` counts in hundredths of a second.
    const TICK_NS: u64 = 10_000_000;
    let stat = fs::read_to_string("/proc/stat")?;
    let ours = sched_getaffinity(None)?;
    let (mut stolen, mut busy) = (0, 0);
    for line in stat.lines() {
        // The first line, of all processors together, has no number.
        let Some((number, times)) = line.strip_prefix("cpu").and_then(|line| line.split_once(' ')) else { break };
        let Ok(number) = number.parse() else { continue };
        let times: Vec<u64> = times.split(' ').map_while(|ticks| ticks.parse().ok()).collect();
        let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = times[..] else {
            return Err(io::ErrorKind::InvalidData.into());
        };
        stolen += steal;
        if ours.is_set(number) {
            busy += user + nice + system + irq + softirq;
        }
    }
    Ok((stolen * TICK_NS, busy * TICK_NS))
}

/// The time the load generator itself has run.
fn load_cpu() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn nanos(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}
