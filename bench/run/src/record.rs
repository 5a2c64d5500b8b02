//! Raw results: a file with a line of JSON for each run, and one before them for what they ran on.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    Environment(Environment),
    Run(Run),
}

/// What the runs after it ran on.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Environment {
    /// UTC.
    pub date: String,
    pub processor: String,
    pub kernel: String,
    pub rustc: String,
    /// The commit of this repository; with a `+` if files differ from it.
    pub commit: String,
    pub rounds: usize,
    pub seconds: f64,
    /// Crates and their versions.
    pub versions: Vec<(String, String)>,
}

/// One run of one server in one column.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Run {
    pub column: String,
    pub server: String,
    pub round: usize,
    /// Other work got in the way more than the bound.
    pub disturbed: bool,
    #[serde(flatten)]
    pub measure: Measure,
}

/// What the load generator prints.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Measure {
    pub messages: u64,
    pub wall_ns: u64,
    pub server_cpu_ns: u64,
    pub load_cpu_ns: u64,
    pub server_wait_ns: u64,
    pub load_wait_ns: u64,
    pub steal_ns: u64,
    pub answer_bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extensions: Option<String>,
    pub idle_bytes: u64,
    pub used_bytes: u64,
}

impl Measure {
    /// The server's processor time for a message, in µs.
    pub fn cpu_us(&self) -> f64 {
        self.server_cpu_ns as f64 / 1e3 / self.messages as f64
    }

    /// Messages a second.
    pub fn rate(&self) -> f64 {
        self.messages as f64 / (self.wall_ns as f64 / 1e9)
    }

    /// Bytes a second, one way.
    pub fn bytes_rate(&self) -> f64 {
        self.answer_bytes as f64 / (self.wall_ns as f64 / 1e9)
    }

    /// Whether anything but the server and the load generator had their processors for more than the bound.
    pub fn is_disturbed(&self) -> bool {
        /// Of the time: enough for the kernel's own threads, too little for another program.
        const BOUND: f64 = 0.02;
        let bound = self.wall_ns as f64 * BOUND;
        [self.server_wait_ns, self.load_wait_ns, self.steal_ns].into_iter().any(|time| time as f64 > bound)
    }
}
