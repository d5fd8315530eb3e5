//! What must hold for any usage and any shipped card: costs add up over classes, grow with tokens, and are exact.

use faregate::chat::{Money, ServiceTier, Usage};
use faregate::pricing::{At, Card, Class, Day, PriceBook, Unpriced};
use proptest::prelude::*;

fn cards() -> &'static [Card] {
    static CARDS: std::sync::LazyLock<Vec<Card>> =
        std::sync::LazyLock::new(|| PriceBook::shipped().shipped_cards().map(|listed| listed.card).collect());
    &CARDS
}

fn with(class: Class, count: u64) -> Usage {
    let mut usage = Usage::default();
    add(&mut usage, class, count);
    usage
}

fn add(usage: &mut Usage, class: Class, count: u64) {
    let slot = match class {
        Class::Input => &mut usage.input,
        Class::CacheRead => &mut usage.cache_read,
        Class::CacheWrite5m => &mut usage.cache_write_5m,
        Class::CacheWrite1h => &mut usage.cache_write_1h,
        Class::Output => &mut usage.output,
        Class::Reasoning => &mut usage.reasoning,
        Class::AudioInput => &mut usage.audio_input,
        Class::AudioOutput => &mut usage.audio_output,
        Class::ImageInput => &mut usage.image_input,
        Class::WebSearches => &mut usage.web_searches,
        Class::Requests => return,
    };
    *slot += count;
}

const COUNTED: [Class; 10] = [
    Class::Input,
    Class::CacheRead,
    Class::CacheWrite5m,
    Class::CacheWrite1h,
    Class::Output,
    Class::Reasoning,
    Class::AudioInput,
    Class::AudioOutput,
    Class::ImageInput,
    Class::WebSearches,
];

prop_compose! {
    fn usage()(counts in prop::array::uniform10(prop_oneof![3 => Just(0), 2 => 1_u64..2_000, 1 => 1_u64..2_000_000])) -> Usage {
        let mut usage = Usage::default();
        for (class, count) in COUNTED.into_iter().zip(counts) {
            add(&mut usage, class, count);
        }
        usage
    }
}

prop_compose! {
    fn moment()(day in 20_400_i32..21_000, minute in 0_u16..1_440) -> At {
        At { day: Day(day), minute }
    }
}

/// Whether the context tier is the same for both.
fn same_tier(card: &Card, at: At, a: &Usage, b: &Usage) -> bool {
    let Some(line) = card.line(at, ServiceTier::Standard) else { return false };
    line.rates.iter().all(|(_, rate)| rate.at(a.total_input()) == rate.at(b.total_input()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_total_is_the_sum_of_its_classes_each_priced_alone(
        card in (0..cards().len()).prop_map(|i| &cards()[i]), usage in usage(), at in moment(),
    ) {
        let Ok(cost) = card.cost(&usage, at, ServiceTier::Standard) else { return Ok(()) };
        prop_assert_eq!(cost.total(), Class::ALL.into_iter().map(|class| cost.of(class)).sum::<Money>());
        let request = card.cost(&Usage::default(), at, ServiceTier::Standard).map(|c| c.total()).unwrap_or_default();
        let mut alone = request;
        for class in COUNTED {
            let part = with(class, class.count(&usage));
            if !same_tier(card, at, &usage, &part) {
                return Ok(());
            }
            alone += card.cost(&part, at, ServiceTier::Standard).expect("priced as a part").total() - request;
        }
        prop_assert_eq!(cost.total(), alone);
    }

    #[test]
    fn more_of_anything_never_costs_less_in_the_same_tier(
        card in (0..cards().len()).prop_map(|i| &cards()[i]), usage in usage(), at in moment(),
        class in prop::sample::select(&COUNTED[..]), more in 1_u64..100_000,
    ) {
        let mut dearer = usage;
        add(&mut dearer, class, more);
        if !same_tier(card, at, &usage, &dearer) {
            return Ok(());
        }
        let before = card.cost(&usage, at, ServiceTier::Standard);
        match (before, card.cost(&dearer, at, ServiceTier::Standard)) {
            (Ok(before), Ok(after)) => prop_assert!(after.total() >= before.total()),
            (Err(_), Ok(_)) => prop_assert!(false, "priced only when it used more"),
            (_, Err(_)) => {}
        }
    }

    #[test]
    fn nothing_that_was_used_is_left_out(
        card in (0..cards().len()).prop_map(|i| &cards()[i]), at in moment(),
        class in prop::sample::select(&COUNTED[..]), count in 1_u64..1_000_000,
    ) {
        let Some(line) = card.line(at, ServiceTier::Standard) else { return Ok(()) };
        match card.cost(&with(class, count), at, ServiceTier::Standard) {
            Ok(cost) => {
                let rate = line.rates.own(class).or_else(|| line.rates.own(class.falls_back()?)).expect("a price");
                let prompt = with(class, count).total_input();
                prop_assert_eq!(cost.of(class).atto(), i128::from(count) * i128::from(rate.at(prompt)));
            }
            Err(Unpriced::Class(unpriced)) => prop_assert_eq!(unpriced, class),
            Err(Unpriced::OutputApart) => prop_assert!(line.rates.output_apart),
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn an_amount_that_is_shown_is_read_back_the_same(atto in any::<i64>(), scale in 0_u32..18) {
        let money = Money::from_atto(i128::from(atto) * 10_i128.pow(scale));
        prop_assert_eq!(Money::parse(&money.to_string()), Some(money));
    }
}
