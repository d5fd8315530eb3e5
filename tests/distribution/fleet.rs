//! Two hundred sidecars: the real client code in this process, and some whole processes among them. Only the processes
//! compile what they get: two hundred machines would, and not this one.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use faregate::distribution::{Address, Authorities, Control, Keeper, Table, Tables, follow};
use faregate::telemetry::Telemetry;

use crate::stage::{Stage, to};
use crate::support::{Faregate, Setup, Upstream, eventually};

/// Holds what it got, and since when.
#[derive(Default)]
struct Sidecar(Mutex<Option<(Arc<str>, Instant)>>);

impl Tables for Sidecar {
    fn held(&self) -> Option<Arc<str>> {
        self.0.lock().unwrap().as_ref().map(|(hash, _)| hash.clone())
    }

    async fn take(&self, table: Table, _: bool) -> Result<(), String> {
        *self.0.lock().unwrap() = Some((table.hash, Instant::now()));
        Ok(())
    }
}

const CLIENTS: usize = 195;
const PROCESSES: usize = 5;

#[test]
fn two_hundred_sidecars_run_a_table_that_was_published() {
    let stage = Stage::new();
    let upstreams = [Upstream::json(200, "{}"), Upstream::json(200, "{}")];
    stage.publish(&to("one", &upstreams[0]));
    let control = stage.start();
    let token = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(token.path(), "token").unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let telemetry = Telemetry::new().unwrap();
    let sidecars: Vec<Arc<Sidecar>> = (0..CLIENTS).map(|_| Arc::default()).collect();
    for sidecar in &sidecars {
        let address = Address::parse(&format!("https://{}", control.address)).unwrap();
        let authorities = Authorities::new(Some(&stage.authority.pem));
        let (token, keeper) = (token.path().to_owned(), Keeper::new(None));
        let control = Control::new(address, authorities, token, keeper, telemetry.clone());
        let sidecar = sidecar.clone();
        runtime.spawn(async move { follow(&control, &*sidecar).await });
    }
    let processes: Vec<Faregate> =
        (0..PROCESSES).map(|_| stage.follow(Setup::without_config(), control.address).start()).collect();
    stage.wait_programmed(CLIENTS + PROCESSES);
    let mut table = to("two", &upstreams[1]);
    for n in 0..200 {
        table
            .push_str(&format!("- {{ name: r{n}, match: {{ model: \"m{n}-*\" }}, targets: [{{ provider: two }}] }}\n"));
    }
    // The route that matches everything goes last.
    let table = table.replacen("- name: all\n  targets: [{ provider: two }]\n", "", 1)
        + "- { name: all, targets: [{ provider: two }] }\n";
    let before = Instant::now();
    let snapshot = stage.publish(&table);
    let compiled = before.elapsed();
    let published = Instant::now();
    stage.wait_programmed(CLIENTS + PROCESSES);
    let last = published.elapsed();
    let mut took: Vec<Duration> = sidecars
        .iter()
        .map(|sidecar| {
            let (hash, at) = sidecar.0.lock().unwrap().clone().unwrap();
            assert_eq!(hash, snapshot.hash);
            at.saturating_duration_since(published)
        })
        .collect();
    took.sort_unstable();
    println!(
        "{} sidecars, {PROCESSES} of them processes; a table of {} bytes ({} as sent), compiled in {compiled:?}; there after \
         {:?} in the median, {:?} at most; the last ACK after {last:?}",
        CLIENTS + PROCESSES,
        snapshot.text.len(),
        snapshot.frame.len(),
        took[CLIENTS / 2],
        took[CLIENTS - 1],
    );
    for process in &processes {
        let runs = || process.metrics().value("faregate_config_info", &[("hash", &*snapshot.hash)]) == Some(1.0);
        eventually("the table in a process", runs);
    }
    assert_eq!(stage.programmed().refused, 0);
    assert_eq!(stage.telemetry.metrics().control_programmed_seconds.with([]).count(), (CLIENTS + PROCESSES) as u64);
}
