//! A comparison for people.

use std::fmt::Write;

use super::page::{Page, Pairs, Route};

/// What to write into the configuration where nothing is compared.
const HOW: &str = "No route has a `probe`, so that nothing is compared. Give one to a route that goes through a router:

  routes:
    - name: chat
      targets: [{ provider: openrouter, model: openai/gpt-5 }]
      probe: { target: openai/gpt-5, share: 0.01, budget_usd_per_day: 1.00 }

Then a hundredth of its calls is sent to the direct target too, for at most $1 a day.
";

/// Writes it out.
pub(super) fn render(page: &Page) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _infallible = write(&mut out, page);
    out
}

fn write(out: &mut String, page: &Page) -> std::fmt::Result {
    if page.routes.is_empty() && page.pairs.is_empty() {
        return out.write_str(HOW);
    }
    if !page.pairs.is_empty() {
        table(out, &page.pairs);
        page.pairs.iter().try_for_each(|pairs| money(out, pairs))?;
        if page.pairs.iter().any(|pairs| rows(pairs).iter().any(|row| row.pairs == 1)) {
            writeln!(out, "One pair has no interval: it takes two at least, and says little with less than thirty.")?;
        }
    }
    page.routes.iter().try_for_each(|route| self::route(out, route, page))
}

/// One measure of one comparison.
struct Row {
    measure: &'static str,
    pairs: u64,
    cells: [String; 4],
}

fn rows(pairs: &Pairs) -> Vec<Row> {
    let time = |measure, time: &Option<super::page::Time>| {
        let it = time.as_ref()?;
        let interval = it.interval_95.map_or("-".into(), |[low, high]| format!("{low:+.1} .. {high:+.1} ms"));
        let (routed, direct) = (format!("{:.1} ms", it.routed_mean), format!("{:.1} ms", it.direct_mean));
        let cells = [routed, direct, format!("{:+.1} ms", it.difference_mean), interval];
        Some(Row { measure, pairs: it.pairs, cells })
    };
    let cost = pairs.cost_usd.as_ref().map(|it| {
        let interval = it.interval_95.map_or("-".into(), |[low, high]| format!("{low:+.6} .. {high:+.6} $"));
        let mean = |sum: &str| sum.parse::<f64>().map_or("-".into(), |sum| format!("{:.6} $", sum / it.pairs as f64));
        let cells = [mean(&it.routed_sum), mean(&it.direct_sum), format!("{:+.6} $", it.difference_mean), interval];
        Row { measure: "cost", pairs: it.pairs, cells }
    });
    [time("ttft", &pairs.ttft_ms), time("duration", &pairs.duration_ms), cost].into_iter().flatten().collect()
}

fn table(out: &mut String, all: &[Pairs]) {
    let head = ["ROUTE", "ROUTED", "DIRECT", "MEASURE", "PAIRS", "ROUTED MEAN", "DIRECT MEAN", "DIFFERENCE", "95 %"];
    let mut lines: Vec<[String; 9]> = vec![head.map(str::to_owned)];
    for pairs in all {
        for row in rows(pairs) {
            let [routed, direct, difference, interval] = row.cells;
            lines.push([
                printable(&pairs.route),
                printable(&format!("{}/{}", pairs.provider, pairs.model)),
                printable(&pairs.direct),
                row.measure.into(),
                row.pairs.to_string(),
                routed,
                direct,
                difference,
                interval,
            ]);
        }
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for line in &lines {
        let mut text = String::new();
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let space = " ".repeat(width - cell.chars().count());
            // Names to the left, numbers to the right.
            text.push_str(&if column < 4 { format!("{cell}{space}  ") } else { format!("{space}{cell}  ") });
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out.push('\n');
}

/// What the pairs cost in all.
fn money(out: &mut String, pairs: &Pairs) -> std::fmt::Result {
    let name = format!("{}: {}/{} beside {}", pairs.route, pairs.provider, pairs.model, pairs.direct);
    let name = printable(&name);
    let Some(it) = &pairs.cost_usd else {
        return writeln!(out, "{name}: the cost of no pair is known on both sides.");
    };
    let markup = it.markup.map_or("the direct cost is zero".into(), |markup| format!("{:+.2} %", markup * 100.0));
    let (routed, direct, more) = (&it.routed_sum, &it.direct_sum, &it.difference_sum);
    writeln!(out, "{name}: ${routed} beside ${direct} in {} pairs, difference ${more} ({markup}).", it.pairs)
}

fn route(out: &mut String, route: &Route, page: &Page) -> std::fmt::Result {
    let model = route.model.as_ref().map_or(String::new(), |model| format!("/{model}"));
    let chosen: u64 = route.calls.values().sum();
    write!(
        out,
        "{}: {} of its calls go to {} too; ${} of ${} spent today; ",
        printable(&route.route),
        route.share,
        printable(&format!("{}{model}", route.provider)),
        route.spent_usd_today,
        route.budget_usd_per_day
    )?;
    if chosen == 0 {
        return writeln!(out, "none was chosen yet.");
    }
    let parts: Vec<String> = route.calls.iter().map(|(result, count)| format!("{count} {result}")).collect();
    write!(out, "{chosen} chosen: {}.", parts.join(", "))?;
    if !page.pairs.iter().any(|pairs| pairs.route == route.route && pairs.pairs > 0) {
        write!(out, " No pair yet.")?;
    }
    writeln!(out)
}

/// Names come from configurations and clients: nothing in them moves the terminal's cursor.
fn printable(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
