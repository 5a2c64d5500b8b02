//! The command line.

use std::path::PathBuf;

use columns::{COLUMNS, Column, MAIN};

use crate::servers::{SERVERS, Server};

pub const USAGE: &str = "\
usage: bench [OPTIONS]

  --columns NAME,…     what to measure; `main` for what decides; everything unless given
  --servers NAME,…     which servers; all unless given
  --rounds N           runs of each server in each column [15]
  --seconds S          how long a run measures [0.5]
  --cores SERVER,LOAD  the processors that the server and the load generator are pinned to [0,1]
  --results FILE       where the raw results go [bench/results/DATE.jsonl]
  --from FILE,…        measure nothing, read raw results
  --table FILE         write the tables between the two lines `<!-- bench -->` of a file
  --svg FILE           write a picture of the main columns
  --list               name columns and servers, and say how long what is asked for takes";

#[derive(Debug)]
pub struct Args {
    pub columns: Vec<&'static Column>,
    pub servers: Vec<&'static Server>,
    pub rounds: usize,
    pub seconds: f64,
    pub server_core: usize,
    pub load_core: usize,
    pub results: Option<PathBuf>,
    pub from: Vec<PathBuf>,
    pub table: Option<PathBuf>,
    pub svg: Option<PathBuf>,
    pub list: bool,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            columns: COLUMNS.iter().collect(),
            servers: SERVERS.iter().collect(),
            rounds: 15,
            seconds: 0.5,
            server_core: 0,
            load_core: 1,
            results: None,
            from: Vec::new(),
            table: None,
            svg: None,
            list: false,
        }
    }
}

impl Args {
    pub fn parse(args: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let (mut parsed, mut args) = (Self::default(), args.into_iter());
        while let Some(option) = args.next() {
            if option == "--list" {
                parsed.list = true;
                continue;
            }
            let value = args.next().ok_or_else(|| format!("{option} needs a value, or is none of the options"))?;
            match option.as_str() {
                "--columns" if value == "main" => parsed.columns = each(MAIN, Column::named)?,
                "--columns" => parsed.columns = each(&value, Column::named)?,
                "--servers" => parsed.servers = each(&value, Server::named)?,
                "--rounds" => parsed.rounds = number(&value)?,
                "--seconds" => parsed.seconds = number(&value)?,
                "--cores" => {
                    let (server, load) = value.split_once(',').ok_or("--cores needs two numbers")?;
                    (parsed.server_core, parsed.load_core) = (number(server)?, number(load)?);
                }
                "--results" => parsed.results = Some(value.into()),
                "--from" => parsed.from = value.split(',').map(PathBuf::from).collect(),
                "--table" => parsed.table = Some(value.into()),
                "--svg" => parsed.svg = Some(value.into()),
                _ => return Err(format!("{option} is none of the options")),
            }
        }
        Ok(parsed)
    }
}

fn each<T>(names: &str, named: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, String> {
    names.split(',').map(|name| named(name).ok_or_else(|| format!("there is no {name}: see --list"))).collect()
}

fn number<T: core::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is not such a number"))
}
