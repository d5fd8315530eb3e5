//! What holds for any records: no grouping, order or split changes the sum.

use faregate::billing::report::DIMENSIONS;
use faregate::billing::{Bill, Dimension, Record, Tally};
use proptest::prelude::*;

fn line(
    (day, app, provider, model): (u32, u8, u8, u8),
    (list, billed): (Option<u32>, Option<u32>),
    (tokens, charged): (Option<u32>, bool),
) -> String {
    // Amounts of a whole number of 1e-18 dollars, far below what a float can hold beside a dollar.
    let amount = |atto: Option<u32>, dollars: u32| atto.map_or("null".into(), |atto| format!("{dollars}.{atto:018}"));
    let unpriced = if billed.is_none() { r#""no price for the model""# } else { "null" };
    let cost = format!(
        r#"{{"list":{},"billed":{},"effective":{},"cost_source":"reported","unpriced":{unpriced}}}"#,
        amount(list, 1),
        amount(billed, 2),
        amount(billed, 3)
    );
    let tokens = tokens.map_or(r#""unknown""#.into(), |n| format!(r#"{{"input":{n},"output":1}}"#));
    format!(
        r#"{{"time":"2026-11-{:02}T10:00:00Z","app":"a{app}","provider":"p{provider}","model_sent":"m{model}","outcome":"ok","tokens":{tokens},"cost":{}}}"#,
        day % 28 + 1,
        if charged { cost.as_str() } else { "null" }
    )
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    let names = (0_u32..40, 0_u8..3, 0_u8..3, 0_u8..4);
    let money = (prop::option::of(any::<u32>()), prop::option::of(any::<u32>()));
    let rest = (prop::option::of(0_u32..1_000_000), prop::bool::weighted(0.9));
    prop::collection::vec((names, money, rest).prop_map(|(a, b, c)| line(a, b, c)), 0..60)
}

fn grouping() -> impl Strategy<Value = Vec<Dimension>> {
    prop::sample::subsequence(DIMENSIONS.to_vec(), 0..=DIMENSIONS.len()).prop_shuffle()
}

fn bill(lines: &[String], by: &[Dimension]) -> Bill {
    let mut bill = Bill::new(by);
    for line in lines {
        bill.add(&Record::parse(line.as_bytes()).expect("a record"));
    }
    bill
}

fn same(a: &Bill, b: &Bill) -> bool {
    a.groups() == b.groups() && a.total() == b.total() && a.span() == b.span()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_total_is_the_sum_of_the_groups_whatever_they_are(lines in lines(), by in grouping(), other in grouping()) {
        let (one, two) = (bill(&lines, &by), bill(&lines, &other));
        prop_assert_eq!(one.total(), two.total());
        prop_assert!(one.adds_up() && two.adds_up());
        let total = one.total();
        prop_assert_eq!(total.calls as usize, lines.len());
        prop_assert_eq!(total.calls, total.charged + total.unpriced_calls() + total.not_charged);
    }

    #[test]
    fn the_order_of_records_does_not_show(lines in lines(), by in grouping(), seed in any::<u64>()) {
        let mut shuffled: Vec<(u64, String)> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| ((n as u64 + 1).wrapping_mul(seed | 1).rotate_left(17), line.clone()))
            .collect();
        shuffled.sort();
        let shuffled: Vec<String> = shuffled.into_iter().map(|(_, line)| line).collect();
        prop_assert!(same(&bill(&lines, &by), &bill(&shuffled, &by)));
    }

    #[test]
    fn sums_of_parts_are_the_sum(lines in lines(), cut in any::<prop::sample::Index>()) {
        let (a, b) = lines.split_at(cut.index(lines.len() + 1));
        let mut merged = Tally::default();
        merged.merge(bill(a, &[]).total());
        merged.merge(bill(b, &[]).total());
        let whole = bill(&lines, &[]);
        prop_assert_eq!(&merged, whole.total());
    }
}
