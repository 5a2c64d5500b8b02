//! The page in a real browser: `conformance/browser/`.

use core::time::Duration;

use crate::process::{Step, logs};
use crate::setup::{
    CHROMIUM, FFMPEG, NODE, NPM, folder, need, npm_ci, release_binaries, release_binary, sockeye_serve,
};
use crate::stage::{Outcome, Stage};

pub(crate) fn stage() -> Stage {
    Stage { name: "browser", about: "the page, compression and HTTP/2 with Chromium", run: Box::new(run) }
}

fn run() -> Outcome {
    let tests = folder("conformance/browser")?;
    need(&[CHROMIUM, FFMPEG, NODE, NPM])?;
    npm_ci("browser", &tests)?;
    release_binaries()?;
    let (_plain, plain) = sockeye_serve("browser-serve", &[])?;
    let (_compressing, compressing) = sockeye_serve("browser-serve-compression", &["--compression"])?;
    let mut servers = Step::new("browser-deflate-servers", release_binary("deflate_servers")).serve()?;
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| logs().join(name));
    Step::new("browser-certificate", release_binary("certificate")).arg(&cert).arg(&key).run()?;
    let options = ["--tls-cert", &cert.to_string_lossy(), "--tls-key", &key.to_string_lossy()];
    let (_tls, tls) = sockeye_serve("browser-serve-tls", &options)?;
    let (mut inspected, _) = sockeye_serve("browser-serve-inspect", &["--inspect"])?;
    let to = plain.replacen("http", "ws", 1);
    let mut proxy = Step::new("browser-proxy", release_binary("sockeye"))
        .args(["proxy", "--quiet", "--listen", "127.0.0.1:0", "--to", &to, "--ui", "127.0.0.1:0"])
        .serve()?;
    let relaying = proxy.wait_for_line("listening on ")?;
    let urls = servers.wait_for_line("listening on ")?;
    // The files are named in the package, because what `node --test FOLDER` means differs between Node's versions.
    Step::new("browser", "npm")
        .args(["--silent", "test"])
        .dir(&tests)
        .env("SOCKEYE_URL", plain)
        .env("SOCKEYE_COMPRESSED_URL", compressing)
        .env("SOCKEYE_TLS_URL", tls)
        .env("SOCKEYE_TLS_CERT", &cert)
        .env("SOCKEYE_DEFLATE_URLS", urls)
        .env("SOCKEYE_INSPECT_URL", inspected.wait_for_line("inspect at ")?)
        .env("SOCKEYE_PROXY_URL", relaying.split(',').next().unwrap_or_default())
        .env("SOCKEYE_UI_URL", proxy.wait_for_line("inspect at ")?)
        .limit(Duration::from_secs(900))
        .keep(closing_line)
        .run()
}

/// The lines in which Node's test runner says how many tests ran and passed, whichever way it reports.
fn closing_line(line: &str) -> bool {
    let count = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")).unwrap_or_default();
    ["tests ", "pass ", "fail ", "skipped "].iter().any(|start| count.starts_with(start))
}
