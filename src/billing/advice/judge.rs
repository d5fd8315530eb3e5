//! The verdict on each road through a router.

use std::collections::BTreeMap;
use std::time::Duration;

use super::road::{Advisor, Name, Part, Road};
use super::times::{Statistic, Times};
use crate::billing::moment::Moment;
use crate::chat::Money;
use crate::pricing::{Kind, normal_forms};

/// Fewer calls on either side say nothing of time.
const FEW: u64 = 20;
/// Fewer say nothing of the slow ones.
const MANY: u64 = 100;
/// A shorter time says nothing of a month.
const SHORT: Duration = Duration::from_secs(3_600);
const MONTH: Duration = Duration::from_secs(30 * 86_400);
/// So much slower is slower.
const SLOWER: f64 = 1.1;

/// What the records say.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// When the first and the last call were.
    pub span: Option<(Moment, Moment)>,
    /// Roads through routers, the one that costs most first.
    pub roads: Vec<Judged>,
    /// Calls of roads beyond the bound.
    pub left_out: u64,
    /// Calls that went direct, or to machines of one's own.
    pub direct_calls: u64,
}

/// One road through a router.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The router.
    pub provider: String,
    /// The model as it was sent.
    pub model: String,
    /// Whose list price the saving is reckoned by.
    pub direct: Option<String>,
    /// Calls on it.
    pub calls: u64,
    /// Calls that the saving is made of: with both costs known, and not in need of the router.
    pub compared: u64,
    /// What going direct would have saved in the time seen; `None`: not known.
    pub saved: Option<Money>,
    /// The same for 30 days.
    pub saved_month: Option<Money>,
    /// How the times compare.
    pub time: Option<Comparison>,
    /// Calls that the router answered after a direct provider had failed.
    pub rescued: u64,
    /// Calls that others served than who serves most: failover, or choice.
    pub elsewhere: u64,
    /// Go direct?
    pub verdict: Verdict,
    /// Why.
    pub reason: String,
}

/// Typical times of calls of the same model.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// Time to first token, or of whole calls.
    pub of: &'static str,
    /// What is compared.
    pub statistic: Statistic,
    /// The direct provider that the records hold calls to.
    pub direct: String,
    /// Through the router, in milliseconds.
    pub routed_ms: f64,
    /// Direct.
    pub direct_ms: f64,
    /// The time that 95 % did not exceed, through the router and direct, where there are calls enough to tell.
    pub p95_ms: Option<(f64, f64)>,
}

/// Go direct?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is cheaper, and nothing is known that speaks against it.
    GoDirect,
    /// It is cheaper, but the router does something for it.
    Weigh,
    /// It is not cheaper.
    Stay,
    /// It cannot be told.
    Unknown,
}

impl Verdict {
    /// The words of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GoDirect => "go direct",
            Self::Weigh => "weigh",
            Self::Stay => "stay",
            Self::Unknown => "unknown",
        }
    }
}

impl Advisor {
    /// Judges every road through a router.
    pub fn judge(&self) -> Advice {
        let kinds = self.kinds();
        let kind = |name: &Name| kinds.get(&*name.provider).copied().flatten();
        let mut direct: BTreeMap<String, Vec<(&Name, &Road)>> = BTreeMap::new();
        for (name, road) in self.roads.iter().filter(|(name, _)| kind(name) == Some(Kind::Direct)) {
            direct.entry(plain(&name.model)).or_default().push((name, road));
        }
        let mut roads = Vec::new();
        for (name, road) in &self.roads {
            match kind(name) {
                Some(Kind::Direct | Kind::Own) => {}
                Some(Kind::Router) => {
                    let same = direct.get(&plain(&name.model)).map_or(&[][..], Vec::as_slice);
                    roads.push(self.through(name, road, same, &kinds));
                }
                None => roads.push(unknown(name, road)),
            }
        }
        let money = |judged: &Judged| std::cmp::Reverse(judged.saved.unwrap_or(Money::from_atto(i128::MIN)));
        roads.sort_by(|a, b| (money(a), &a.provider, &a.model).cmp(&(money(b), &b.provider, &b.model)));
        let known = self.roads.iter().filter(|(name, _)| matches!(kind(name), Some(Kind::Direct | Kind::Own)));
        let direct_calls = known.map(|(_, road)| road.calls).sum();
        Advice { span: self.span, roads, left_out: self.left_out, direct_calls }
    }

    /// What each provider is: as the book says, else as the records show.
    fn kinds(&self) -> BTreeMap<&str, Option<Kind>> {
        let mut kinds: BTreeMap<&str, Option<Kind>> = BTreeMap::new();
        for (name, road) in &self.roads {
            let kind = kinds.entry(&name.provider).or_insert_with(|| self.market.kind(&name.provider));
            if self.market.kind(&name.provider).is_none() {
                // Answers that name another server come through a router; who asks for the list price is direct.
                if road.servers.keys().any(Option::is_some) {
                    *kind = Some(Kind::Router);
                } else if road.at_list && kind.is_none() {
                    *kind = Some(Kind::Direct);
                }
            }
        }
        kinds
    }

    fn through(
        &self,
        name: &Name,
        road: &Road,
        same: &[(&Name, &Road)],
        kinds: &BTreeMap<&str, Option<Kind>>,
    ) -> Judged {
        let by_calls = |(by, part): &(&Option<Box<str>>, &Part)| (part.calls, std::cmp::Reverse((*by).clone()));
        let named = road.servers.iter().filter(|(by, _)| by.is_some());
        let main = named.max_by_key(by_calls).and_then(|(by, _)| by.as_deref());
        let (mut kept, mut elsewhere, mut rescued) = (Part::default(), 0, 0);
        for (by, part) in &road.servers {
            if by.is_none() || by.as_deref() == main {
                kept.merge(part);
            } else {
                elsewhere += part.calls;
            }
        }
        for (failed, part) in &road.rescued {
            if kinds.get(&**failed).copied().flatten().or_else(|| self.market.kind(failed)) == Some(Kind::Direct) {
                rescued += part.calls;
            } else {
                kept.merge(part);
            }
        }
        let at = self.span.map_or(Moment(0), |(_, last)| last);
        let direct = self.market.direct(&name.provider, &name.model, main, at);
        let seen = self.span.map_or(Duration::ZERO, |(first, last)| last.since(first));
        let saved = (kept.compared > 0).then(|| kept.effective - kept.list);
        let saved_month = saved.filter(|_| seen >= SHORT).map(|saved| scaled(saved, seen));
        let seller = |(name, _): &&(&Name, &Road)| direct.as_deref() == Some(self.market.preset(&name.provider));
        let best = same.iter().find(seller).or_else(|| same.iter().max_by_key(|(name, road)| (road.calls, *name)));
        let time = best.and_then(|(direct, calls)| compare(road, &direct.provider, calls));
        let mut judged = Judged {
            provider: name.provider.to_string(),
            model: name.model.to_string(),
            direct: direct.or_else(|| main.map(str::to_owned)),
            calls: road.calls,
            compared: kept.compared,
            saved,
            saved_month,
            time,
            rescued,
            elsewhere,
            verdict: Verdict::Unknown,
            reason: String::new(),
        };
        (judged.verdict, judged.reason) = verdict(&judged, seen);
        judged
    }
}

fn unknown(name: &Name, road: &Road) -> Judged {
    Judged {
        provider: name.provider.to_string(),
        model: name.model.to_string(),
        direct: None,
        calls: road.calls,
        compared: 0,
        saved: None,
        saved_month: None,
        time: None,
        rescued: 0,
        elsewhere: 0,
        verdict: Verdict::Unknown,
        reason: "nothing tells whether it is a router; --config names a configuration that says of which preset it is"
            .into(),
    }
}

fn verdict(judged: &Judged, seen: Duration) -> (Verdict, String) {
    let Some(saved) = judged.saved else {
        return (Verdict::Unknown, "no call without need of the router has both a list and an effective cost".into());
    };
    let time = match &judged.time {
        None => format!("time unknown: fewer than {FEW} direct or routed calls of the model"),
        Some(time) if time.direct_ms > time.routed_ms => format!("{:.0} ms slower", time.direct_ms - time.routed_ms),
        Some(time) => format!("{:.0} ms faster", time.routed_ms - time.direct_ms),
    };
    if saved <= Money::ZERO {
        return (Verdict::Stay, format!("the router asks for no more than the list price; direct, {time}"));
    }
    if judged.saved_month.is_none() {
        let minutes = seen.as_secs() / 60;
        return (Verdict::Unknown, format!("{minutes} minutes of records are too few to tell of a month"));
    }
    let needed = match (judged.rescued, judged.elsewhere) {
        (0, 0) => None,
        (rescued, 0) => Some(format!("the router rescued {rescued} calls")),
        (0, other) => Some(format!("others than the usual one served {other} calls: failover, or choice")),
        (rescued, other) => {
            Some(format!("the router rescued {rescued} calls, and others than the usual one served {other}"))
        }
    };
    let slower = judged.time.as_ref().is_some_and(|time| time.direct_ms > SLOWER * time.routed_ms);
    match needed {
        Some(needed) => (Verdict::Weigh, format!("cheaper, but {needed}; {time}")),
        None if slower => (Verdict::Weigh, format!("cheaper, but {time}")),
        None => (Verdict::GoDirect, format!("cheaper; {time}")),
    }
}

/// How the times of the same model compare, where there are enough calls on both sides.
fn compare(routed: &Road, name: &str, direct: &Road) -> Option<Comparison> {
    let pair = |of: &'static str, a: &Times, b: &Times| {
        if a.count() < FEW || b.count() < FEW {
            return None;
        }
        let ((statistic, routed_ms), (_, direct_ms)) = (a.typical()?, b.typical()?);
        let many = a.count() >= MANY && b.count() >= MANY;
        let p95_ms = many.then(|| a.quantile(0.95).zip(b.quantile(0.95))).flatten();
        Some(Comparison { of, statistic, direct: name.to_owned(), routed_ms, direct_ms, p95_ms })
    };
    pair("ttft", &routed.ttft, &direct.ttft).or_else(|| pair("call", &routed.whole, &direct.whole))
}

/// An amount of the time seen, for 30 days.
fn scaled(saved: Money, seen: Duration) -> Money {
    let (month, seen) = (MONTH.as_micros() as i128, seen.as_micros().max(1) as i128);
    let atto = saved.atto();
    Money::from_atto(match atto.checked_mul(month) {
        Some(all) => all / seen,
        None => (atto / seen).saturating_mul(month),
    })
}

/// The model's name without vendor, date and wishes: the same for all who sell it.
fn plain(model: &str) -> String {
    normal_forms(model).into_iter().next_back().unwrap_or_else(|| model.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_a_thirtieth_of_a_month() {
        let cent = Money::parse("0.01").unwrap_or_default();
        assert_eq!(scaled(cent, Duration::from_secs(86_400)).to_string(), "0.3");
        assert_eq!(scaled(cent, Duration::from_secs(60 * 86_400)).to_string(), "0.005");
        assert!(scaled(Money::from_atto(i128::MAX), Duration::from_secs(1)) > cent);
    }

    #[test]
    fn the_same_model_has_one_name_wherever_it_is_sold() {
        for model in ["m-4o", "vendor/m-4o", "M-4o-2024-08-06", "vendor/m-4o:nitro"] {
            assert_eq!(plain(model), "m-4o", "{model}");
        }
        assert_ne!(plain("vendor/m-4o:free"), "m-4o", "free is another model");
    }
}
