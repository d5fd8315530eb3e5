//! Who gets which table, who is woken, and what is counted.

use futures_util::FutureExt;

use super::*;

fn snapshot(route: &str) -> Snapshot {
    let text = format!(
        "providers:\n  p: {{base_url: \"http://127.0.0.1:1/v1\", credentials: none}}\nroutes:\n\
         - {{name: {route}, targets: [{{provider: p}}]}}\n"
    );
    Snapshot::compile(&text, "t").unwrap()
}

fn snapshots() -> Arc<Snapshots> {
    Snapshots::new(Telemetry::new().unwrap())
}

fn woken(seat: &mut Seat) -> bool {
    seat.changed().now_or_never().is_some()
}

fn hash(seat: &mut Seat) -> Option<Arc<str>> {
    seat.current().map(|published| published.snapshot.hash.clone())
}

#[test]
fn only_those_are_woken_whose_table_is_another() {
    let snapshots = snapshots();
    let shop = Scope::Namespace("shop".into());
    let (a, b, c) = (snapshot("a"), snapshot("b"), snapshot("c"));
    let (mut one, mut two) = (snapshots.join("shop", None), snapshots.join("bank", None));
    assert_eq!((hash(&mut one), hash(&mut two)), (None, None));
    assert!(snapshots.publish(Scope::Cluster, a.clone()));
    assert!(woken(&mut one) && woken(&mut two));
    assert_eq!((hash(&mut one), hash(&mut two)), (Some(a.hash.clone()), Some(a.hash.clone())));
    assert!(snapshots.publish(shop.clone(), b.clone()));
    assert!(woken(&mut one) && !woken(&mut two));
    assert_eq!(hash(&mut one), Some(b.hash.clone()));
    // The same again is nothing new; the cluster's next is none of the shop's business.
    assert!(!snapshots.publish(shop.clone(), b.clone()));
    assert!(snapshots.publish(Scope::Cluster, c.clone()));
    assert!(!woken(&mut one) && woken(&mut two));
    assert!(snapshots.withdraw(&shop) && !snapshots.withdraw(&shop));
    assert_eq!((woken(&mut one), hash(&mut one)), (true, Some(c.hash.clone())));
    assert_eq!(snapshots.current("elsewhere").map(|p| p.snapshot.hash.clone()), Some(c.hash));
    // Who comes later has it from the start.
    let mut late = snapshots.join("shop", None);
    assert!(!woken(&mut late) && hash(&mut late).is_some());
}

#[test]
fn a_namespace_whose_own_table_is_bad_does_not_get_the_clusters() {
    let snapshots = snapshots();
    let shop = Scope::Namespace("shop".into());
    let (a, b) = (snapshot("a"), snapshot("b"));
    snapshots.publish(Scope::Cluster, a.clone());
    let mut seat = snapshots.join("shop", None);
    assert_eq!(hash(&mut seat), Some(a.hash.clone()));
    snapshots.hold("shop");
    assert_eq!((woken(&mut seat), hash(&mut seat)), (true, None));
    assert!(snapshots.publish(Scope::Cluster, b.clone()));
    assert!(!woken(&mut seat));
    assert!(snapshots.publish(shop.clone(), a.clone()));
    assert_eq!((woken(&mut seat), hash(&mut seat)), (true, Some(a.hash.clone())));
    // A good one that is in force stays, whatever comes after it.
    snapshots.hold("shop");
    assert_eq!((woken(&mut seat), hash(&mut seat)), (false, Some(a.hash)));
    snapshots.withdraw(&shop);
    snapshots.hold("shop");
    assert!(snapshots.withdraw(&shop), "what was held is let go");
    assert_eq!(hash(&mut seat), Some(b.hash));
}

#[test]
fn answers_are_counted_for_the_table_in_force_alone() {
    let snapshots = snapshots();
    let (a, b) = (snapshot("a"), snapshot("b"));
    snapshots.publish(Scope::Cluster, a.clone());
    let seats: Vec<Seat> =
        (0..3).map(|n| snapshots.join(["shop", "shop", "bank"][n], Some(&format!("pod-{n}")))).collect();
    seats[0].acked(&a.hash);
    seats[0].acked(&a.hash);
    seats[1].nacked(&a.hash, "no key");
    seats[2].acked("something old");
    let expected =
        Programmed { connected: 3, programmed: 1, refused: 1, refusals: vec![(Some("pod-1".into()), "no key".into())] };
    assert_eq!(snapshots.programmed(&Scope::Cluster), expected);
    let gauge = |table, state| snapshots.telemetry.metrics().control_sidecars.with([table, state]).get();
    assert_eq!((gauge("*", "programmed"), gauge("*", "refused"), gauge("*", "pending")), (1, 1, 1));
    // A namespace's own table takes its sidecars out of the cluster's sum.
    let shop = Scope::Namespace("shop".into());
    snapshots.publish(shop.clone(), b.clone());
    seats[0].acked(&a.hash);
    assert_eq!(snapshots.programmed(&shop), Programmed { connected: 2, ..Programmed::default() });
    seats[0].acked(&b.hash);
    seats[1].acked(&b.hash);
    assert_eq!(snapshots.programmed(&shop).programmed, 2);
    assert_eq!(snapshots.programmed(&Scope::Cluster).connected, 1);
    assert_eq!(snapshots.telemetry.metrics().control_programmed_seconds.with([]).count(), 2);
    drop(seats);
    assert_eq!(snapshots.programmed(&shop), Programmed::default());
    assert_eq!(gauge("shop", "programmed") + gauge("*", "pending") + gauge("*", "programmed"), 0);
}
