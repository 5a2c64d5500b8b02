//! uWebSockets: becomes the program that `build.rs` has built. What was set for this process, such as its processor and
//! the end it shares with the runner, holds for that one.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

const TLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tls");

fn main() {
    harness::mode();
    let error = Command::new(env!("SERVER")).args(env::args().skip(1)).current_dir(TLS).exec();
    panic!("{}: {error}", env!("SERVER"));
}
