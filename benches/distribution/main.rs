//! How many sidecars one control process carries: memory and CPU of the server with thousands of them connected over TLS,
//! and the time from a table published to the last ACK.
//!
//! `just bench-distribution` starts it; docs/distribution.md tells what came of it. The server and the sidecars are
//! processes of their own, the sidecars run the real client code; they do not compile what they get, since ten thousand
//! machines would, and not this one. It fails when a sidecar is missing, never because something is slow.

mod server;
mod sidecars;
#[path = "../../tests/support/tls.rs"]
#[expect(dead_code, reason = "of the tests' authority, only what issues certificates")]
mod tls;

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use serde_json::Value;

/// Tables that are published at each number of sidecars.
const PUSHES: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("server") => server::run(),
        Some("sidecars") => sidecars::run(&arguments[1..]),
        _ => {
            let counts = arguments.iter().map(|count| count.parse());
            let counts: Vec<usize> = counts.collect::<Result<_, _>>().expect("numbers of sidecars");
            let counts = if counts.is_empty() { vec![1000, 3000, 10_000] } else { counts };
            counts.into_iter().for_each(measure);
        }
    }
    ExitCode::SUCCESS
}

/// A process of this program with another duty, to be spoken to by lines.
struct Part {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Part {
    fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process of this program");
        let input = child.stdin.take().expect("its input");
        let output = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, input, output }
    }

    fn hear(&mut self) -> Value {
        let line = self.output.next().expect("a line").expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    fn ask(&mut self, what: &str) -> Value {
        writeln!(self.input, "{what}").expect("it listens");
        self.hear()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn measure(count: usize) {
    let mut server = Part::start(&["server"]);
    let ready = server.hear();
    let (address, authority) = (ready["address"].as_str().expect("it"), ready["authority"].as_str().expect("it"));
    let before = server.ask("look");
    let mut sidecars = Part::start(&["sidecars", address, authority, &count.to_string()]);
    sidecars.hear();
    let connected = server.ask(&format!("wait {count}"));
    let of = |value: &Value, key: &str| value[key].as_f64().expect("a number");
    let per = |after: &Value, key: &str| (of(after, key) - of(&before, key)) / count as f64;
    println!(
        "{count} sidecars: connected in {:.1} s at {:.2} ms of CPU each; {:.1} KiB resident each",
        of(&connected, "took_ms") / 1e3,
        per(&connected, "cpu_ms"),
        per(&connected, "resident") / 1024.0
    );
    for push in 0..PUSHES {
        let cpu = of(&server.ask("look"), "cpu_ms");
        let pushed = server.ask(&format!("publish {count}"));
        println!(
            "  push {push}: {} bytes each as sent; the last ACK after {:.0} ms, the median after {:.0} ms; {:.3} ms of CPU each",
            pushed["bytes"],
            of(&pushed, "took_ms"),
            of(&pushed, "median_ms"),
            (of(&server.ask("look"), "cpu_ms") - cpu) / count as f64
        );
    }
    let after = server.ask("look");
    println!("  after the pushes: {:.1} KiB resident each", per(&after, "resident") / 1024.0);
}
