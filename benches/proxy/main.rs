//! Faregate beside nginx as a plain reverse proxy with keep-alive, over one fake upstream, in interleaved rounds.
//!
//! `benches/run` starts it; docs/benchmarks.md tells how to read it. Start with [`Plan`], then `measure`. It fails when
//! an answer is wrong or missing, never because something is slow.

mod load;
mod measure;
mod process;
mod report;
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

/// What is measured, how often and how long.
#[derive(Debug, Clone)]
struct Plan {
    rounds: usize,
    /// How long each system is driven in one round of one case.
    window: Duration,
    connections: Vec<usize>,
    /// Requests a second of the open loop, over this many connections.
    rate: u32,
    open_connections: usize,
    /// Streams at a time of the paced case, and the pause between two of their chunks.
    paced: usize,
    pace: Duration,
    idle_connections: usize,
    starts: usize,
    workers: usize,
    faregate: std::path::PathBuf,
    /// Only cases whose name holds this.
    only: Option<String>,
    /// Nothing is measured: Faregate alone serves the calls of every case, for a build that is laid out by them.
    train: bool,
}

const HELP: &str = "Faregate beside nginx, over a fake upstream, in interleaved rounds.

  --quick             one short round: finds errors, its numbers mean little
  --rounds N          rounds of each case (default 7)
  --window MS         length of one measurement (default 1500)
  --connections A,B   closed-loop cases (default 1,16,64,256)
  --rate N            open loop, requests a second (default 3000)
  --workers N         workers of both proxies (default: one per core)
  --faregate PATH     another build of Faregate
  --only TEXT         only cases whose name holds this, such as `stream` or `memory`
  --train             measures nothing: drives Faregate alone, for scripts/release";

impl Plan {
    fn full() -> Self {
        Self {
            rounds: 7,
            window: Duration::from_millis(1500),
            connections: vec![1, 16, 64, 256],
            rate: 3000,
            open_connections: 32,
            paced: 64,
            pace: Duration::from_millis(2),
            idle_connections: 1000,
            starts: 11,
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            faregate: env!("CARGO_BIN_EXE_faregate").into(),
            only: None,
            train: false,
        }
    }

    fn parse(args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut plan = Self::full();
        let mut args = args.peekable();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            let number = |text: String| text.parse::<usize>().map_err(|_| format!("{arg}: {text} is no number"));
            match arg.as_str() {
                // Cargo's own.
                "--bench" => {}
                "--help" | "-h" => return Ok(None),
                "--quick" => {
                    plan.rounds = 1;
                    plan.window = Duration::from_millis(250);
                    plan.idle_connections = 100;
                    plan.starts = 3;
                }
                "--rounds" => plan.rounds = number(value()?)?.max(1),
                "--window" => plan.window = Duration::from_millis(number(value()?)?.max(50) as u64),
                "--rate" => plan.rate = u32::try_from(number(value()?)?.max(1)).map_err(|e| e.to_string())?,
                "--workers" => plan.workers = number(value()?)?.max(1),
                "--connections" => {
                    plan.connections = value()?.split(',').map(|n| number(n.into())).collect::<Result<_, _>>()?;
                }
                "--faregate" => plan.faregate = value()?.into(),
                "--train" => plan.train = true,
                "--only" => plan.only = Some(value()?),
                _ => return Err(format!("{arg} is not known; see --help")),
            }
        }
        Ok(Some(plan))
    }

    fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|only| case.contains(only.as_str()))
    }
}

fn main() -> ExitCode {
    // `cargo test --all-targets` starts benchmarks too, without this word.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing is measured here; benches/run does");
        return ExitCode::SUCCESS;
    }
    let plan = match Plan::parse(std::env::args().skip(1)) {
        Ok(Some(plan)) => plan,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    match measure::run(&plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches/run: {error}");
            ExitCode::FAILURE
        }
    }
}
