//! `faregate presets`: the providers that Faregate knows.

use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::config::{Preset, Presets};

/// List the providers that Faregate knows.
#[derive(Debug, Args)]
#[command(long_about = "List the providers that Faregate knows by name.

A provider in the configuration that has a preset's name, or names it as `preset`, needs nothing more where the preset \
has an address and its key is in the environment. Any key of the provider overrides the preset's.

  providers:
    openai:                      # preset by name; key from OPENAI_API_KEY
    eu-openai:
      preset: openai
      credentials: {env: EU_OPENAI_KEY}

KEY names the environment variables that may hold the key; the first that is set is taken. `+` marks those set here.")]
#[command(after_help = "Examples:
  faregate presets
  faregate presets openrouter vllm
  faregate presets --json")]
pub struct PresetsArgs {
    /// Only these.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All facts, as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub fn presets(args: &PresetsArgs) -> ExitCode {
    let presets = Presets::builtin();
    let unknown: Vec<&String> = args.names.iter().filter(|name| presets.find(name).is_none()).collect();
    if !unknown.is_empty() {
        for name in unknown {
            eprintln!("faregate: there is no preset `{name}`; `faregate presets` lists them");
        }
        return ExitCode::from(2);
    }
    let chosen: Vec<&str> = args.names.iter().filter_map(|name| presets.find(name)).map(|(name, _)| name).collect();
    let shown = presets.iter().filter(|(name, _)| chosen.is_empty() || chosen.contains(name));
    if args.json {
        let all: serde_json::Map<_, _> =
            shown.map(|(name, preset)| (name.to_owned(), serde_json::json!(preset))).collect();
        print(&format!("{:#}\n", serde_json::Value::from(all)));
    } else {
        print(&table(shown));
    }
    ExitCode::SUCCESS
}

fn table<'p>(presets: impl Iterator<Item = (&'p str, &'p Preset)>) -> String {
    let mut rows = vec![["NAME", "SPEAKS", "KEY", "BASE URL"].map(str::to_owned)];
    let mut notes = vec![String::new()];
    for (name, preset) in presets {
        let (first, rest) = addresses(preset);
        let variables = preset.env.iter().map(|name| format!("{name}{}", if is_set(name) { "+" } else { "" }));
        let key = match (preset.env.is_empty(), preset.keyless) {
            (true, true) => "none".to_owned(),
            (true, false) => "yours".to_owned(),
            (false, keyless) => variables.collect::<Vec<_>>().join(", ") + if keyless { " (optional)" } else { "" },
        };
        rows.push([name.to_owned(), first.0, key, first.1]);
        rows.extend(rest.into_iter().map(|(speaks, url)| [String::new(), speaks, String::new(), url]));
        notes.resize(rows.len() - 1, String::new());
        notes.push(remarks(preset));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or_default();
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for (row, note) in rows.iter().zip(notes) {
        let [name, speaks, key, url] = row;
        let line = format!("{name:0$}  {speaks:1$}  {key:2$}  {url}", widths[0], widths[1], widths[2]);
        out.push_str(line.trim_end());
        out.push('\n');
        for remark in note.lines() {
            out.push_str(&format!("{:1$}  {remark}\n", "", widths[0]));
        }
    }
    out
}

/// What it speaks, and where: the dialects of one URL in one line.
fn addresses(preset: &Preset) -> ((String, String), Vec<(String, String)>) {
    if preset.simulated {
        return (("openai, anthropic".into(), "(in this process)".into()), Vec::new());
    }
    let main = preset.main_dialect();
    let mut lines: Vec<(String, String)> = Vec::new();
    for (dialect, url) in &preset.endpoints {
        match lines.iter_mut().find(|(_, known)| known == url) {
            Some((speaks, _)) => *speaks = format!("{speaks}, {}", dialect.as_str()),
            None => lines.push((dialect.as_str().into(), url.clone())),
        }
    }
    if let Some(form) = &preset.base_url {
        let also = preset.also.iter().filter(|d| **d != main).map(|d| format!(", {}", d.as_str()));
        lines.insert(0, (main.as_str().to_owned() + &also.collect::<String>(), format!("yours: {form}")));
    }
    let rest = lines.split_off(lines.len().min(1));
    (lines.pop().unwrap_or_default(), rest)
}

fn remarks(preset: &Preset) -> String {
    let mut lines = Vec::new();
    if let Some(reason) = &preset.unsupported {
        lines.push(format!("cannot work yet: {reason}"));
    }
    lines.extend(preset.note.clone());
    if !preset.aliases.is_empty() {
        lines.push(format!("also called {}", preset.aliases.join(", ")));
    }
    lines.join("\n")
}

fn is_set(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| !value.trim().is_empty())
}
