//! The command, run; its output, read.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What a command has done.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Done {
    /// Fails unless all went well.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}{}", self.out, self.err);
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }

    pub fn csv(&self) -> Vec<BTreeMap<String, String>> {
        csv(&self.out)
    }
}

/// Runs Faregate in a folder.
pub fn faregate(folder: &Path, arguments: &[&str]) -> Done {
    fed(folder, arguments, "")
}

/// Runs Faregate with a standard input.
pub fn fed(folder: &Path, arguments: &[&str], input: &str) -> Done {
    let mut child = Command::new(env!("CARGO_BIN_EXE_faregate"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("FAREGATE_PROMETHEUS_TOKEN")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || {
        // A command that refuses its arguments does not read.
        let _gone = stdin.write_all(input.as_bytes());
    });
    let done = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    done.into()
}

/// Rows of CSV (RFC 4180) by the names of the first line; written apart from the code under test.
pub fn csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = Vec::new();
    let (mut row, mut cell, mut quoted) = (Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            c => cell.push(c),
        }
    }
    assert!(!quoted && cell.is_empty() && row.is_empty(), "the last line is not whole");
    let mut rows = rows.into_iter();
    let names: Vec<String> = rows.next().unwrap();
    rows.map(|row| {
        assert_eq!(row.len(), names.len(), "{row:?}");
        names.iter().cloned().zip(row).collect()
    })
    .collect()
}
