//! What is said of which facts, once.

use serde_json::json;

use super::*;
use crate::control::snapshots::Programmed;
use crate::control::tables::{self, Candidate, Origin};

fn candidate(route: &str) -> Candidate {
    let text = format!(
        "providers:\n  a: {{ base_url: \"http://a/v1\", credentials: none }}\nroutes:\n- name: {route}\n  targets: [{{ provider: a }}]\n"
    );
    tables::read(Origin::ConfigMap, &json!({ "data": { "faregate.yaml": text } }))
}

fn bad() -> Candidate {
    tables::read(Origin::ConfigMap, &json!({ "data": { "faregate.yaml": "routes: 5\n" } }))
}

/// So many sidecars, those that run it, those that refuse it.
fn facts(candidate: &Candidate, [connected, programmed, refused]: [usize; 3]) -> Facts<'_> {
    let refusals = (0..refused).map(|n| (Some(format!("pod-{n}")), "the key is empty".to_owned())).collect();
    Facts {
        generation: None,
        candidate,
        unused: None,
        shadowed: Vec::new(),
        in_force: candidate.snapshot.as_ref().map(|snapshot| snapshot.hash.to_string()),
        sidecars: Programmed { connected, programmed, refused, refusals },
        silent: 0,
        now: "2026-01-02T03:04:05Z".into(),
    }
}

/// What is said, taken as said.
fn say(told: &mut Told, facts: &Facts<'_>, now: Instant) -> Vec<&'static str> {
    let news = told.news(verdicts(facts), now);
    news.iter().for_each(|verdict| told.note(verdict.clone()));
    news.into_iter().map(|verdict| verdict.reason).collect()
}

#[test]
fn each_thing_is_said_once_and_again_when_it_has_changed() {
    let (one, two, bad, now) = (candidate("one"), candidate("two"), bad(), Instant::now());
    let mut told = Told::new(&facts(&one, [0, 0, 0]), &Value::Null, now);
    let mut say = |facts: &Facts<'_>| say(&mut told, facts, now);
    assert_eq!(say(&facts(&one, [0, 0, 0])), ["Accepted"]);
    assert_eq!(say(&facts(&one, [2, 1, 0])), [""; 0]);
    assert_eq!(say(&facts(&one, [2, 2, 0])), ["Programmed"]);
    // Pods come and go.
    for sidecars in [[3, 2, 0], [3, 3, 0], [0, 0, 0], [9, 9, 0]] {
        assert_eq!(say(&facts(&one, sidecars)), [""; 0]);
    }
    assert_eq!(say(&facts(&one, [9, 8, 1])), ["RefusedBySidecars"]);
    assert_eq!(say(&facts(&one, [9, 7, 2])), [""; 0]);
    assert_eq!(say(&facts(&one, [9, 9, 0])), [""; 0]);
    assert_eq!(say(&facts(&bad, [9, 9, 0])), ["Refused"]);
    assert_eq!(say(&facts(&bad, [9, 9, 0])), [""; 0]);
    assert_eq!(say(&facts(&two, [9, 0, 0])), ["Accepted"]);
    assert_eq!(say(&facts(&two, [9, 9, 0])), ["Programmed"]);
    let unused = Facts { unused: Some("another comes before it".into()), ..facts(&two, [9, 9, 0]) };
    assert_eq!(say(&unused), ["NotUsed"]);
    // Nobody can say that all run it.
    let mut fresh = Told::new(&facts(&two, [0, 0, 0]), &Value::Null, now);
    let silent = Facts { silent: 1, ..facts(&two, [9, 9, 0]) };
    assert_eq!(super::tests::say(&mut fresh, &silent, now), ["Accepted"]);
}

#[test]
fn what_a_status_says_already_is_no_news() {
    let (one, two, now) = (candidate("one"), candidate("two"), Instant::now());
    let before = status::status(&facts(&one, [2, 2, 0]), &Value::Null);
    let mut told = Told::new(&facts(&one, [0, 0, 0]), &before, now);
    assert_eq!(say(&mut told, &facts(&one, [0, 0, 0]), now), [""; 0]);
    assert_eq!(say(&mut told, &facts(&one, [2, 2, 0]), now), [""; 0]);
    // Seen for the first time with another table than the status tells of.
    let mut told = Told::new(&facts(&bad(), [0, 0, 0]), &before, now);
    assert_eq!(say(&mut told, &facts(&bad(), [0, 0, 0]), now), ["Refused"]);
    assert_eq!(say(&mut told, &facts(&two, [2, 2, 0]), now), ["Accepted", "Programmed"]);
}

#[test]
fn a_table_that_changes_all_the_time_is_told_of_now_and_then() {
    let (one, two, mut now) = (candidate("one"), candidate("two"), Instant::now());
    let mut told = Told::new(&facts(&one, [0, 0, 0]), &Value::Null, now);
    let mut said = 0;
    for turn in 0..3600 {
        let candidate = if turn % 2 == 0 { &one } else { &two };
        said += say(&mut told, &facts(candidate, [0, 0, 0]), now).len();
        now += Duration::from_secs(1);
    }
    assert!((120..=141).contains(&said), "{said} Events in an hour");
    // When there is room again, it is the newest that is told; after a rest, there is room for as many as at first.
    now += Duration::from_secs(3600);
    let room = (0..100).filter(|turn| {
        let candidate = if turn % 2 == 0 { &one } else { &two };
        !say(&mut told, &facts(candidate, [0, 0, 0]), now).is_empty()
    });
    assert!((19..=20).contains(&room.count()));
}

#[test]
fn an_event_is_as_the_api_server_wants_it() {
    let findings = Candidate { errors: (0..20).map(|n| format!("{n}: {}", "é".repeat(300))).collect(), ..bad() };
    let verdict = verdicts(&facts(&findings, [0, 0, 0])).remove(0);
    let object = |name: &str| ObjectReference {
        kind: Some("ConfigMap".into()),
        namespace: Some("shop".into()),
        name: Some(name.into()),
        uid: Some("u".into()),
        ..ObjectReference::default()
    };
    let long = format!("{}.x", "a".repeat(251));
    let said = event(object(&long), "7", &"r".repeat(300), &verdict);
    let (name, note) = (said.metadata.name.unwrap(), said.note.unwrap());
    assert!(name.len() <= 253 && name.starts_with("aaa"), "{name}");
    assert!((1000..=1024).contains(&note.len()) && note.ends_with("..."), "{} bytes", note.len());
    assert_eq!((said.metadata.namespace.as_deref(), said.type_.as_deref()), (Some("shop"), Some("Warning")));
    assert!(said.reporting_instance.unwrap().len() <= 128);
    // The same has the same name, whoever says it; of another version or another object of that name, it is another.
    let name = |uid: &str, version: &str, by: &str| {
        event(ObjectReference { uid: Some(uid.into()), ..object("t") }, version, by, &verdict).metadata.name.unwrap()
    };
    assert_eq!(name("u", "7", "one"), name("u", "7", "two"));
    assert_ne!(name("u", "7", "one"), name("u", "8", "one"));
    assert_ne!(name("u", "7", "one"), name("v", "7", "one"));
}
