//! Raw results: a file with a line of JSON for each run, and one before them for what they ran on.

use columns::{Column, Task};
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
    /// What was asked for on the command line of the runner.
    #[serde(default)]
    pub arguments: String,
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
    #[serde(default)]
    pub others_ns: u64,
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
    pub fn is_disturbed(&self, column: &Column) -> bool {
        /// Of the time: enough for the kernel's own threads, too little for another program.
        const BOUND: f64 = 0.02;
        /// Where the two share both processors they wait for each other, too, and only the system's ticks of 10 ms tell
        /// who else was there.
        const SHARED_BOUND: f64 = 0.1;
        let of_time = |time: u64| time as f64 / self.wall_ns as f64;
        if column.task == Task::Proxy {
            // The server behind the proxy has the load generator's processor, and a recorder the proxy's.
            return of_time(self.steal_ns) > BOUND;
        }
        if !column.is_pinned() {
            return of_time(self.others_ns) > SHARED_BOUND || of_time(self.steal_ns) > BOUND;
        }
        [self.server_wait_ns, self.load_wait_ns, self.steal_ns].into_iter().any(|time| of_time(time) > BOUND)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_disturbed_by_others_and_not_by_server_and_load_generator_sharing_processors() {
        let measure = |name: &str, time: u64| {
            let json = r#"{"messages":1,"wall_ns":1000,"server_cpu_ns":0,"load_cpu_ns":0,"server_wait_ns":0,
                "load_wait_ns":0,"steal_ns":0,"answer_bytes":0,"idle_bytes":0,"used_bytes":0,"others_ns":0}"#;
            serde_json::from_str::<Measure>(&json.replace(&format!("\"{name}\":0"), &format!("\"{name}\":{time}")))
                .unwrap()
        };
        let disturbed =
            |column: &str, name: &str, time: u64| measure(name, time).is_disturbed(Column::named(column).unwrap());
        for name in ["server_wait_ns", "load_wait_ns", "steal_ns"] {
            assert!(!disturbed("b", name, 20) && disturbed("b", name, 21), "{name}");
        }
        assert!(!disturbed("b-2-threads", "server_wait_ns", 900));
        assert!(disturbed("b-2-threads", "steal_ns", 21));
        assert!(!disturbed("b-2-threads", "others_ns", 100) && disturbed("b-2-threads", "others_ns", 101));
    }
}
