//! All series of one metric, by their label values.
//!
//! Not `prometheus::CounterVec` and its like: those key a series by a hash of the label values run together, so that
//! (`ab`, `c`) and (`a`, `bc`) share one series, and each series holds about 1 KB of names. Registry and text format
//! are `prometheus`'s.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::sync::Arc;

use parking_lot::RwLock;
use prometheus::core::{Collector, Desc};
use prometheus::{Registry, proto};

use super::cells::{Cell, Counter, Dollars, Gauge, Histogram, Reading, Since};
use super::names;
use super::table::{Kind, Metric};

/// Counters by `N` labels.
pub type Counters<const N: usize> = Family<Counter, N>;
/// Counters of money.
pub type Amounts<const N: usize> = Family<Dollars, N>;
/// Gauges by `N` labels.
pub type Gauges<const N: usize> = Family<Gauge, N>;
/// Ages by label values.
pub type Ages<const N: usize> = Family<Since, N>;
/// Set-only numbers by `N` labels.
pub type Readings<const N: usize> = Family<Reading, N>;
/// Histograms by `N` labels.
pub type Histograms<const N: usize> = Family<Histogram, N>;

/// Stands between label values in a series' key. Label values hold no control characters, so it is unambiguous.
const SEPARATOR: char = '\u{1f}';

/// All series of one metric.
#[derive(Clone)]
pub struct Family<C, const N: usize> {
    series: Arc<Series<C>>,
    labels: PhantomData<[(); N]>,
}

struct Series<C> {
    metric: &'static Metric,
    desc: Desc,
    cells: RwLock<HashMap<Box<str>, C>>,
}

impl<C: Cell, const N: usize> Family<C, N> {
    /// Adds the metric to a registry.
    ///
    /// # Errors
    /// When the table's row is of another kind or has another number of labels, or its name is taken.
    pub fn register(registry: &Registry, metric: &'static Metric) -> prometheus::Result<Self> {
        if metric.labels.len() != N || !C::fits(metric.kind) {
            return Err(prometheus::Error::Msg(format!("{}: handle and table do not fit", metric.name)));
        }
        let labels = metric.labels.iter().map(ToString::to_string).collect();
        let desc = Desc::new(metric.name.into(), metric.help.into(), labels, HashMap::new())?;
        let series = Arc::new(Series { metric, desc, cells: RwLock::default() });
        registry.register(Box::new(Rows(Arc::clone(&series))))?;
        Ok(Self { series, labels: PhantomData })
    }

    /// The cell of these label values, made on first use. Values are cleaned (see [`names::clean`]).
    /// Costs a look-up: keep the cell where it is needed often.
    pub fn with(&self, values: [&str; N]) -> C {
        let key = key(values);
        if let Some(cell) = self.series.cells.read().get(key.as_str()) {
            return cell.clone();
        }
        let mut cells = self.series.cells.write();
        cells.entry(key.into()).or_insert_with(|| C::new(self.series.metric)).clone()
    }

    /// Makes `rows` the only series.
    pub fn replace<'a>(&self, rows: impl IntoIterator<Item = ([&'a str; N], C)>) {
        let cells = rows.into_iter().map(|(values, cell)| (key(values).into(), cell)).collect();
        *self.series.cells.write() = cells;
    }

    /// Every series with its label values, in no order.
    pub fn rows(&self) -> Vec<(Vec<String>, C)> {
        let cells = self.series.cells.read();
        cells.iter().map(|(key, cell)| (key.split(SEPARATOR).map(Into::into).collect(), cell.clone())).collect()
    }
}

fn key<const N: usize>(values: [&str; N]) -> String {
    let mut key = String::with_capacity(values.iter().map(|value| value.len() + 1).sum());
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            key.push(SEPARATOR);
        }
        key.push_str(&names::clean(value));
    }
    key
}

/// What the registry holds.
struct Rows<C>(Arc<Series<C>>);

impl<C: Cell> Collector for Rows<C> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let metric = self.0.metric;
        let rows = self.0.cells.read().iter().map(|(key, cell)| sample(metric, key, cell)).collect();
        let mut family = proto::MetricFamily::default();
        family.set_name(metric.name.into());
        family.set_help(metric.help.into());
        family.set_field_type(match metric.kind {
            Kind::Counter => proto::MetricType::COUNTER,
            Kind::Gauge => proto::MetricType::GAUGE,
            Kind::Histogram(_) => proto::MetricType::HISTOGRAM,
        });
        family.set_metric(rows);
        vec![family]
    }
}

fn sample<C: Cell>(metric: &Metric, key: &str, cell: &C) -> proto::Metric {
    let pairs = metric.labels.iter().zip(key.split(SEPARATOR)).map(|(name, value)| {
        let mut pair = proto::LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value(value.into());
        pair
    });
    let mut sample = proto::Metric::default();
    sample.set_label(pairs.collect());
    cell.sample(metric.kind, &mut sample);
    sample
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    #[test]
    fn label_values_that_run_together_alike_are_different_series() {
        let family = Counters::<4>::register(&Registry::new(), &table::FALLBACKS).unwrap();
        family.with(["ab", "c", "x", "y"]).inc();
        family.with(["a", "bc", "x", "y"]).add(5);
        assert_eq!(family.with(["ab", "c", "x", "y"]).get(), 1);
        assert_eq!(family.with(["a\u{1f}b", "c", "x", "y"]).get(), 0);
        assert_eq!(family.rows().len(), 3);
    }

    #[test]
    fn a_handle_that_does_not_fit_the_table_is_refused() {
        assert!(Counters::<3>::register(&Registry::new(), &table::FALLBACKS).is_err());
        assert!(Gauges::<4>::register(&Registry::new(), &table::FALLBACKS).is_err());
    }
}
