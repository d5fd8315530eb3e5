//! `faregate advise`: go direct?

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::calls::CallArgs;
use super::{Format, show};
use crate::billing::Filter;
use crate::billing::advice::{self, Advice, Advisor, Market};
use crate::config::{self, Surroundings};
use crate::pricing::PriceBook;
use crate::routing::prices::read_book;

/// Tell what going direct would save, and what the router saves.
#[derive(Debug, Args)]
#[command(long_about = "Tell for each model that went through a router: what going direct would save in dollars and \
milliseconds a month, and which calls needed the router.

  SAVES      effective cost less the list price of who serves the model, over the calls with both known
  FASTER BY  difference of the medians of calls of the same model through the router and direct, where the records hold \
at least twenty of each: time to first token of streams, else the time of whole calls
  RESCUED    calls that a router answered after a direct provider had failed, and calls that others served than who \
serves most; these are in no saving

The verdict is `go direct`, `weigh` (cheaper, but the router does something for it), `stay` or `unknown`, with the \
reason. Which providers are routers is known for presets; with --config also for providers with names of your own.")]
#[command(after_help = "Examples:
  faregate advise /var/log/faregate/usage.jsonl*
  faregate advise usage.jsonl --config faregate.yaml --since 30d
  faregate advise --prometheus http://prometheus:9090 --format json")]
pub struct AdviseArgs {
    #[command(flatten)]
    calls: CallArgs,
    /// The configuration that names the providers, and prices of your own.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

/// Prints it.
pub fn advise(args: &AdviseArgs) -> ExitCode {
    let filter = match args.calls.filter() {
        Ok(filter) => filter,
        Err(why) => {
            eprintln!("faregate: {why}");
            return ExitCode::from(2);
        }
    };
    let advice = market(args).and_then(|market| ask(args, &filter, market));
    show(advice.and_then(|advice| match args.format {
        Format::Table => Ok(advice::table(&advice)),
        Format::Json => advice::json(&advice).map_err(|error| error.to_string()),
    }))
}

fn ask(args: &AdviseArgs, filter: &Filter, market: Market) -> Result<Advice, String> {
    if let Some(url) = &args.calls.prometheus {
        let client = super::calls::prometheus(url)?;
        return advice::from_counters(&client, filter, market)
            .map(|advisor| advisor.judge())
            .map_err(|error| error.to_string());
    }
    let mut advisor = Advisor::new(market);
    args.calls.read(filter, |record| advisor.add(record)).map_err(|error| error.to_string())?;
    Ok(advisor.judge())
}

/// Who sells what others serve: presets, and the providers of a configuration.
fn market(args: &AdviseArgs) -> Result<Market, String> {
    let Some(path) = &args.config else { return Ok(Market::new(PriceBook::shipped(), BTreeMap::new())) };
    let surroundings = Surroundings { elsewhere: true, ..Surroundings::process() };
    let config = config::check_file(&super::config_file(path), &surroundings)
        .into_result()
        .map_err(|problems| problems.to_string())?;
    let book = read_book(&config.prices.overlays).map_err(|problems| problems.to_string())?;
    let providers = config::resolve(&config).into_iter();
    let presets = providers.filter_map(|provider| Some((provider.name, provider.preset?))).collect();
    Ok(Market::new(book, presets))
}
