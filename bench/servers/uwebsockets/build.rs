//! Builds the server of `src/server.cpp` with the sources of uWebSockets, as its own build does: -O3, LTO, for this
//! processor, on epoll. Needs g++ and the headers of zlib and OpenSSL.

use std::env;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

const C: &[&str] =
    &["bsd.c", "context.c", "loop.c", "socket.c", "udp.c", "eventing/epoll_kqueue.c", "crypto/openssl.c"];
const CPP: &[&str] = &["crypto/sni_tree.cpp"];
const OPTIMISED: &[&str] = &["-O3", "-flto", "-march=native", "-DLIBUS_USE_OPENSSL", "-w"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/server.cpp");
    let sources = sources()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let usockets = sources.join("uSockets/src");
    let mut objects = Vec::new();
    for source in C {
        objects.push(compile("gcc", "-std=c11", &usockets.join(source), &sources, &out)?);
    }
    for source in CPP {
        objects.push(compile("g++", "-std=c++20", &usockets.join(source), &sources, &out)?);
    }
    let server = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("src/server.cpp");
    objects.push(compile("g++", "-std=c++20", &server, &sources, &out)?);
    let program = out.join("server");
    run(Command::new("g++").args(OPTIMISED).args(&objects).args(["-lz", "-lssl", "-lcrypto", "-o"]).arg(&program))?;
    println!("cargo::rustc-env=SERVER={}", program.display());
    Ok(())
}

/// Where cargo has put the sources.
fn sources() -> Result<PathBuf, Box<dyn Error>> {
    let manifest = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("Cargo.toml");
    let output = Command::new(env::var("CARGO")?)
        .args(["metadata", "--format-version=1", "--manifest-path"])
        .arg(manifest)
        .output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("no packages")?;
    let package = packages.iter().find(|package| package["name"] == "libuwebsockets-sys").ok_or("not among them")?;
    let manifest = package["manifest_path"].as_str().ok_or("no path")?;
    Ok(Path::new(manifest).with_file_name("uWebSockets"))
}

fn compile(compiler: &str, std: &str, source: &Path, sources: &Path, out: &Path) -> Result<PathBuf, Box<dyn Error>> {
    let object = out.join(source.file_name().ok_or("no name")?).with_extension("o");
    let mut command = Command::new(compiler);
    command.args(OPTIMISED).arg(std).arg("-I").arg(sources.join("src")).arg("-I").arg(sources.join("uSockets/src"));
    run(command.arg("-c").arg(source).arg("-o").arg(&object))?;
    Ok(object)
}

fn run(command: &mut Command) -> Result<(), Box<dyn Error>> {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} has failed").into()) }
}
