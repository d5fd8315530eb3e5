//! `faregate bill`: one bill over all providers.

use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::calls::CallArgs;
use super::print;
use crate::billing::report::{self, Origin, Statement};
use crate::billing::{Bill, Dimension, Filter, prometheus};

/// Print one bill over all providers.
#[derive(Debug, Args)]
#[command(long_about = "Print one bill over all providers: what calls cost at list prices, what the accounts are \
charged, and what that comes to with fees.

Calls are read from files of usage records (`observe.usage_records`), and then every number is exact, or from the \
counters of a Prometheus that scrapes Faregate, which are interpolated. What has no price is shown apart, with the \
reason, and is in no sum.

  list       at the list price of the provider that made or serves the model
  billed     as the account is charged: by the answer's own statement, a price card, or the list price
  effective  billed, and fees on top
  markup     effective / list - 1, over the calls with both known

Lines that are no usage record are counted and left out; the first is shown with its place.")]
#[command(after_help = "Examples:
  faregate bill /var/log/faregate/usage.jsonl*
  faregate bill usage.jsonl --by app,day --since 30d
  faregate bill usage.jsonl --by model --provider openrouter --format json
  faregate bill usage.jsonl --format focus > focus.csv
  faregate bill --prometheus http://prometheus:9090 --since 30d --by provider

Exit status: 0 all is well, 1 nothing could be read or the sums do not agree, 2 a wrong command line.")]
pub struct BillArgs {
    #[command(flatten)]
    calls: CallArgs,
    /// What to group by, in this order; `none` gives the total alone [default: provider,model].
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    by: Vec<Grouping>,
    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Grouping {
    Provider,
    Model,
    App,
    Day,
    #[value(name = "served_by")]
    ServedBy,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people; amounts to a millionth of a dollar.
    Table,
    /// One line a group, all digits.
    Csv,
    /// One object, all digits.
    Json,
    /// CSV in the columns of FOCUS 1.2, by day, provider, model and app.
    Focus,
}

/// Prints it.
pub fn bill(args: &BillArgs) -> ExitCode {
    let (filter, by) = match args.calls.filter().and_then(|filter| Ok((filter, dimensions(args)?))) {
        Ok(both) => both,
        Err(why) => {
            eprintln!("faregate: {why}");
            return ExitCode::from(2);
        }
    };
    let written = make(args, &filter, &by).and_then(|statement| Ok((write(&statement, args.format)?, statement)));
    match written {
        Ok((text, statement)) => {
            print(&text);
            tell(&statement, args.format);
            if statement.bill.adds_up() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(why) => {
            eprintln!("faregate: {why}");
            ExitCode::FAILURE
        }
    }
}

fn dimensions(args: &BillArgs) -> Result<Vec<Dimension>, String> {
    if args.format == Format::Focus {
        let given = if args.by.is_empty() { Ok(()) } else { Err("--format focus has rows of its own; leave --by out") };
        return Ok(given.map(|()| report::DIMENSIONS.to_vec())?);
    }
    let mut by = Vec::new();
    for word in &args.by {
        let dimension = match word {
            Grouping::Provider => Dimension::Provider,
            Grouping::Model => Dimension::Model,
            Grouping::App => Dimension::App,
            Grouping::Day => Dimension::Day,
            Grouping::ServedBy => Dimension::ServedBy,
            Grouping::None => continue,
        };
        if by.contains(&dimension) {
            return Err(format!("--by names `{}` twice", dimension.as_str()));
        }
        by.push(dimension);
    }
    match (args.by.is_empty(), args.by.contains(&Grouping::None) && !by.is_empty()) {
        (true, _) => Ok(vec![Dimension::Provider, Dimension::Model]),
        (_, true) => Err("--by none stands alone".into()),
        _ => Ok(by),
    }
}

fn make(args: &BillArgs, filter: &Filter, by: &[Dimension]) -> Result<Statement, String> {
    if let Some(url) = &args.calls.prometheus {
        let client = super::calls::prometheus(url)?;
        return prometheus::bill(&client, filter, by).map_err(|error| error.to_string());
    }
    let mut bill = Bill::new(by);
    let (seen, left_out) = args.calls.read(filter, |record| bill.add(record)).map_err(|error| error.to_string())?;
    Ok(Statement { bill, origin: Origin::Records { seen, left_out }, period: filter.period })
}

fn write(statement: &Statement, format: Format) -> Result<String, String> {
    Ok(match format {
        Format::Table => report::table(statement),
        Format::Csv => report::csv(statement),
        Format::Json => report::json(statement).map_err(|error| error.to_string())?,
        Format::Focus => report::focus(statement),
    })
}

/// What programs that read the output do not see.
fn tell(statement: &Statement, format: Format) {
    let folded = statement.bill.folded();
    if folded > 0 {
        eprintln!("faregate: too many groups: {folded} calls are in the group `other`; group by less, or filter");
    }
    if matches!(format, Format::Csv | Format::Focus) {
        eprintln!("faregate: {}", statement.check());
    }
    if format != Format::Focus {
        return;
    }
    let unpriced = statement.bill.total().unpriced_calls();
    if unpriced > 0 {
        eprintln!("faregate: {unpriced} unpriced calls have no cost and so no row; `faregate bill` names the reasons");
    }
    let nameless = report::nameless(statement);
    if nameless > 0 {
        eprintln!("faregate: {nameless} charged calls have no row, for their records name no provider");
    }
}
