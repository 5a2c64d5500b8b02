//! The client under test for the Autobahn testsuite: asks how many cases there are, echoes through each, and asks for
//! the report.
//!
//! `autobahn_client ws://127.0.0.1:9001 [AGENT]`, where `../autobahn/run.sh client 9001` serves the cases.

use core::error::Error;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::process::ExitCode;
use std::sync::Arc;

use sockeye::{Compression, Message};

/// The suite sends 16 MiB; the default limit is far below.
const MAX_MESSAGE: usize = 64 << 20;

/// With takeover, as the suite chooses in 13.* whether to allow it.
const COMPRESSION: Compression = Compression::takeover();

/// Cases that run at once. The suite takes them in any order, and some wait a second for what must not come.
const AT_ONCE: usize = 4;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let Some(base) = args.next() else {
        eprintln!("usage: autobahn_client ws://HOST:PORT [AGENT]");
        return ExitCode::from(2);
    };
    let agent = args.next().unwrap_or_else(|| "sockeye".to_owned());
    match run(base.trim_end_matches('/'), &agent).await {
        Ok(cases) => {
            println!("{cases} cases ran");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("autobahn_client: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(base: &str, agent: &str) -> Result<usize, BoxError> {
    let cases = case_count(base).await?;
    let next = Arc::new(AtomicUsize::new(1));
    let runners: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (base, agent, next) = (base.to_owned(), agent.to_owned(), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let case = next.fetch_add(1, Ordering::Relaxed);
                    if case > cases {
                        break;
                    }
                    // Most cases break a rule, so an error is the right end of many. The report has the verdict.
                    let _ = echo(&format!("{base}/runCase?case={case}&agent={agent}")).await;
                }
            })
        })
        .collect();
    for runner in runners {
        runner.await?;
    }
    let mut ws = sockeye::connect(format!("{base}/updateReports?agent={agent}")).await?;
    while ws.recv().await?.is_some() {}
    Ok(cases)
}

async fn case_count(base: &str) -> Result<usize, BoxError> {
    let mut ws = sockeye::connect(format!("{base}/getCaseCount")).await?;
    let Some(Message::Text(count)) = ws.recv().await? else {
        return Err("the suite did not say how many cases there are".into());
    };
    let count = count.parse()?;
    while ws.recv().await?.is_some() {}
    Ok(count)
}

async fn echo(url: &str) -> Result<(), BoxError> {
    let mut ws = sockeye::connect(url).max_message(MAX_MESSAGE).compression(COMPRESSION).await?;
    while let Some(message) = ws.recv().await? {
        ws.send(message).await?;
    }
    Ok(())
}
