//! `faregate prices`: the price book for people.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::print;
use crate::chat::{Money, ServiceTier, Usage};
use crate::config::{Problems, Severity, check_prices_file};
use crate::pricing::{At, Card, Class, Line, PriceBook, normal_forms, published};
use crate::routing::prices::read_book;

/// Show and check prices.
#[derive(Debug, Args)]
#[command(long_about = "Show the price book that is built in, and check files of prices of your own.

Prices are in dollars per million tokens, and per thousand web searches and requests. They were taken from public price \
lists on the day that `faregate prices age` shows. Prices of your own (negotiated rates, resellers) stand in files that \
the configuration names under `prices.overlays`; they win over the built-in ones.")]
pub struct PricesArgs {
    #[command(subcommand)]
    command: PricesCommand,
}

#[derive(Debug, Subcommand)]
enum PricesCommand {
    /// List price cards.
    #[command(
        visible_alias = "search",
        after_help = "Examples:
  faregate prices list --provider anthropic
  faregate prices search sonnet
  faregate prices list gpt-4o --json"
    )]
    List(ListArgs),
    /// Compare what providers charge for a model, the cheapest first (three input tokens to one output token).
    #[command(after_help = "Examples:
  faregate prices compare gpt-4o
  faregate prices compare claude-sonnet-4-5 --overlay negotiated.yaml")]
    Compare(CompareArgs),
    /// Show how old the prices of each provider are, and where they were taken from.
    Age(AgeArgs),
    /// Check files of prices of your own.
    #[command(after_help = "Exit status: 0 without errors, 1 with errors.")]
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only models whose name holds this text.
    text: Option<String>,
    /// Only this provider.
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Whole cards, as one JSON list.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CompareArgs {
    /// The model, under any of its names.
    model: String,
    /// Files of prices of your own.
    #[arg(long, value_name = "FILE")]
    overlay: Vec<PathBuf>,
    /// Whole cards, as one JSON list.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AgeArgs {
    /// As one JSON list.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON object: `problems`, `errors`, `warnings`.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn prices(args: &PricesArgs) -> ExitCode {
    let now = At::from(SystemTime::now());
    match &args.command {
        PricesCommand::List(args) => list(args, now),
        PricesCommand::Compare(args) => compare(args, now),
        PricesCommand::Age(args) => age(args, now),
        PricesCommand::Check(args) => check(args),
    }
}

fn list(args: &ListArgs, now: At) -> ExitCode {
    let text = args.text.as_deref().unwrap_or_default().to_lowercase();
    let wanted =
        |card: &Card| args.provider.as_deref().is_none_or(|name| *card.provider == *name) && card.model.contains(&text);
    let listed = PriceBook::shipped().shipped_cards().filter(|listed| wanted(&listed.card));
    let cards: Vec<(String, Card)> = listed.map(|listed| (listed.card.provider.to_string(), listed.card)).collect();
    if cards.is_empty() {
        eprintln!("faregate: no price card fits");
        return ExitCode::FAILURE;
    }
    show(&cards, args.json, now);
    ExitCode::SUCCESS
}

fn compare(args: &CompareArgs, now: At) -> ExitCode {
    let book = match read_book(&args.overlay) {
        Ok(book) => book,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::FAILURE;
        }
    };
    let mut cards: BTreeMap<String, Card> = BTreeMap::new();
    for provider in book.sellers() {
        let quote = book.card(&provider, &provider, &args.model);
        if let Some(card) = quote.card(now, ServiceTier::Standard) {
            cards.insert(provider, card.clone());
        }
    }
    // Routers put the author before the name.
    let forms = normal_forms(&args.model);
    for listed in book.shipped_cards() {
        let last = listed.card.model.rsplit('/').next().unwrap_or_default().to_owned();
        if forms.contains(&last) {
            cards.entry(listed.card.provider.to_string()).or_insert(listed.card);
        }
    }
    let mut cards: Vec<(String, Card)> = cards.into_iter().collect();
    let sample = Usage { input: 3_000_000, output: 1_000_000, ..Usage::default() };
    cards.sort_by_key(|(_, card)| {
        card.cost(&sample, now, ServiceTier::Standard).map_or(Money::from_atto(i128::MAX), |cost| cost.total())
    });
    if cards.is_empty() {
        eprintln!("faregate: no price card for `{}`; `faregate prices search TEXT` finds names", args.model);
        return ExitCode::FAILURE;
    }
    show(&cards, args.json, now);
    ExitCode::SUCCESS
}

fn show(cards: &[(String, Card)], json: bool, now: At) {
    if json {
        let all: Vec<Value> = cards.iter().map(|(provider, card)| whole(provider, card)).collect();
        print(&format!("{:#}\n", Value::from(all)));
        return;
    }
    let mut rows = vec![["PROVIDER", "MODEL", "INPUT", "CACHE READ", "OUTPUT", "SINCE", ""].map(str::to_owned)];
    for (provider, card) in cards {
        let Some(line) = card.line(now, ServiceTier::Standard).or(card.lines.first()) else { continue };
        let price = |class: Class| {
            let rate = line.rates.own(class);
            rate.and_then(|rate| rate.tiers().next())
                .map_or_else(|| "-".into(), |(_, p)| published(p, class).to_string())
        };
        rows.push([
            provider.clone(),
            card.model.to_string(),
            price(Class::Input),
            price(Class::CacheRead),
            price(Class::Output),
            line.from.map(|day| day.to_string()).unwrap_or_default(),
            more(card, line),
        ]);
    }
    print(&columns(&rows));
}

/// What the columns do not show.
fn more(card: &Card, line: &Line) -> String {
    let mut more = Vec::new();
    if card.own {
        more.push("own".to_owned());
    }
    if line.rates.iter().any(|(_, rate)| rate.tiers().count() > 1) {
        more.push("context tiers".to_owned());
    }
    if card.lines.iter().any(|line| line.hours.is_some()) {
        more.push("hours".to_owned());
    }
    let mut tiers: Vec<&str> = card.lines.iter().map(|line| line.tier.as_str()).filter(|t| *t != "standard").collect();
    tiers.dedup();
    more.extend(tiers.into_iter().map(str::to_owned));
    more.join(", ")
}

fn columns(rows: &[[String; 7]]) -> String {
    let mut widths = [0; 7];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.len().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).enumerate().map(|(i, (cell, width))| {
            if (2..=4).contains(&i) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn whole(provider: &str, card: &Card) -> Value {
    let lines: Vec<Value> = card.lines.iter().map(line).collect();
    let day = |day: Option<crate::pricing::Day>| day.map(|day| day.to_string());
    json!({ "provider": provider, "card": card.provider, "model": card.model, "taken": day(card.taken), "own": card.own, "prices": lines })
}

fn line(line: &Line) -> Value {
    let rates: Map<String, Value> = line
        .rates
        .iter()
        .map(|(class, rate)| {
            let tiers = rate.tiers().map(|(above, price)| {
                json!({ "above_tokens": above.unwrap_or(0), "dollars": published(price, class).to_string(), "per": class.per() })
            });
            (class.as_str().to_owned(), tiers.collect())
        })
        .collect();
    json!({
        "tier": line.tier.as_str(),
        "from": line.from.map(|day| day.to_string()),
        "hours": line.hours.map(|hours| hours.to_string()),
        "output_charged_apart": line.rates.output_apart,
        "rates": rates,
    })
}

fn age(args: &AgeArgs, now: At) -> ExitCode {
    let book = PriceBook::shipped();
    let mut counts: BTreeMap<String, (usize, &'static [&'static str])> = BTreeMap::new();
    for listed in book.shipped_cards() {
        let entry = counts.entry(listed.card.provider.to_string()).or_default();
        *entry = (entry.0 + 1, listed.sources);
    }
    let mut rows = Vec::new();
    for (provider, taken) in book.shipped_providers() {
        let (cards, sources) = counts.get(provider).copied().unwrap_or_default();
        let days = taken.map(|taken| now.day.since(taken));
        rows.push((provider, cards, taken.map(|day| day.to_string()), days, sources));
    }
    if args.json {
        let all: Vec<Value> = rows
            .iter()
            .map(|(provider, cards, taken, days, sources)| {
                json!({ "provider": provider, "cards": cards, "taken": taken, "age_days": days, "sources": sources })
            })
            .collect();
        print(&format!("{:#}\n", Value::from(all)));
        return ExitCode::SUCCESS;
    }
    let mut text = format!("{:<26}  {:>6}  {:<10}  {:>8}  SOURCE\n", "PROVIDER", "CARDS", "TAKEN", "AGE");
    for (provider, cards, taken, days, sources) in rows {
        let age = days.map(|days| format!("{days} d")).unwrap_or_default();
        let source = sources.first().copied().unwrap_or_default();
        text.push_str(&format!("{provider:<26}  {cards:>6}  {:<10}  {age:>8}  {source}\n", taken.unwrap_or_default()));
    }
    print(&text);
    ExitCode::SUCCESS
}

fn check(args: &CheckArgs) -> ExitCode {
    let mut all = Problems::default();
    for file in &args.files {
        all.0.extend(check_prices_file(file).problems.0);
    }
    let errors = all.0.iter().filter(|problem| problem.severity == Severity::Error).count();
    if args.json {
        let report = json!({ "problems": all, "errors": errors, "warnings": all.0.len() - errors });
        print(&format!("{report:#}\n"));
    } else {
        let findings = if all.0.is_empty() { String::new() } else { format!("{all}\n") };
        let count = |n: usize, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let found = if errors == 0 { "no problems".into() } else { count(errors, "error") };
        print(&format!("{findings}{}: {found}\n", count(args.files.len(), "file")));
    }
    if errors > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
