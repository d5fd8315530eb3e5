//! What the status of a RoutingTable says: whether it is good, how many sidecars run it, and what stands in the way.
//!
//! Conditions as in the Gateway API: `Accepted` (the table is sound), `ResolvedRefs` (what it names in the sidecars' pods,
//! keys and files, is there: only they know), `Programmed` (every connected sidecar runs it).

use serde_json::{Value, json};

use crate::control::snapshots::Programmed;
use crate::control::tables::Candidate;

/// Findings in one message.
const MOST: usize = 10;
/// Characters of one finding: some hold what a sidecar said.
const LONGEST: usize = 500;

/// What is known of a table.
pub(super) struct Facts<'f> {
    pub(super) generation: Option<i64>,
    pub(super) candidate: &'f Candidate,
    /// Why it is not used, where it is not.
    pub(super) unused: Option<String>,
    /// What of the namespace is not used because of it.
    pub(super) shadowed: Vec<String>,
    /// The table that its sidecars get, by its hash.
    pub(super) in_force: Option<String>,
    /// Those of all replicas that told of theirs.
    pub(super) sidecars: Programmed,
    /// Replicas that did not.
    pub(super) silent: usize,
    /// As RFC 3339.
    pub(super) now: String,
}

/// What is said of one side of a table.
pub(super) struct Condition {
    kind: &'static str,
    /// `True`, `False` or `Unknown`.
    status: &'static str,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The status; times of what is as in `before` stay.
pub(super) fn status(facts: &Facts<'_>, before: &Value) -> Value {
    let conditions = [accepted(facts), resolved(facts), programmed(facts)];
    let conditions: Vec<Value> = conditions.iter().map(|condition| shown(condition, facts, before)).collect();
    let mut status = json!({ "conditions": conditions });
    if let Some(generation) = facts.generation {
        status["observedGeneration"] = json!(generation);
    }
    if facts.unused.is_none() {
        let Programmed { connected, programmed, refused, .. } = &facts.sidecars;
        status["sidecars"] = json!({ "connected": connected, "programmed": programmed, "refused": refused });
        if let Some(hash) = &facts.in_force {
            status["hash"] = json!(hash);
        }
    }
    status
}

/// Whether a status says this of a table.
pub(super) fn has(status: &Value, condition: &Condition) -> bool {
    let Condition { kind, status: is, reason, message } = condition;
    conditions(status).any(|known| {
        known["type"] == *kind && known["status"] == *is && known["reason"] == *reason && known["message"] == *message
    })
}

/// The reason of a condition in a status.
pub(super) fn reason<'s>(status: &'s Value, kind: &str) -> Option<&'s str> {
    conditions(status).find(|known| known["type"] == kind)?.get("reason")?.as_str()
}

fn conditions(status: &Value) -> impl Iterator<Item = &Value> {
    status.get("conditions").and_then(Value::as_array).into_iter().flatten()
}

fn is_good(facts: &Facts<'_>) -> bool {
    facts.unused.is_none() && facts.candidate.snapshot.is_some()
}

pub(super) fn accepted(facts: &Facts<'_>) -> Condition {
    let condition = |status, reason, message| Condition { kind: "Accepted", status, reason, message };
    if let Some(why) = &facts.unused {
        return condition("False", "NotUsed", why.clone());
    }
    if facts.candidate.snapshot.is_none() {
        let kept = facts.in_force.as_ref().map(|hash| format!("\nsidecars keep the table {hash}")).unwrap_or_default();
        return condition("False", "Invalid", format!("{}{kept}", listed(&facts.candidate.errors)));
    }
    let notes: Vec<String> = facts.shadowed.iter().chain(&facts.candidate.warnings).cloned().collect();
    if notes.is_empty() {
        return condition("True", "Accepted", "the table is sound".into());
    }
    condition("True", "AcceptedWithWarnings", listed(&notes))
}

fn resolved(facts: &Facts<'_>) -> Condition {
    let condition = |status, reason, message: String| Condition { kind: "ResolvedRefs", status, reason, message };
    let Programmed { connected, programmed, refused, .. } = &facts.sidecars;
    let where_it_is = "keys and files that a table names are in the pods of the sidecars, and only those know";
    if !is_good(facts) {
        condition("Unknown", "NotAccepted", where_it_is.into())
    } else if *refused > 0 {
        condition("False", "Refused", refusals(&facts.sidecars))
    } else if facts.silent > 0 {
        silent("ResolvedRefs", facts)
    } else if *connected == 0 {
        condition("Unknown", "NoSidecars", format!("{where_it_is}; none is connected"))
    } else if programmed == connected {
        condition("True", "Resolved", "every connected sidecar found what the table names".into())
    } else {
        condition("Unknown", "Pending", format!("{programmed} of {connected} sidecars have told so far"))
    }
}

pub(super) fn programmed(facts: &Facts<'_>) -> Condition {
    let condition = |status, reason, message: String| Condition { kind: "Programmed", status, reason, message };
    let Programmed { connected, programmed, refused, .. } = &facts.sidecars;
    if !is_good(facts) {
        condition("False", "NotAccepted", "a table that is not accepted reaches no sidecar".into())
    } else if *refused > 0 {
        condition("False", "Refused", format!("{refused} of {connected} sidecars keep the table that they had"))
    } else if facts.silent > 0 {
        silent("Programmed", facts)
    } else if *connected == 0 {
        condition("True", "NoSidecars", "no sidecar is connected; those that come get it".into())
    } else if programmed == connected {
        condition("True", "Programmed", "every connected sidecar runs it".into())
    } else {
        condition("False", "Pending", format!("{programmed} of {connected} sidecars run it so far"))
    }
}

/// What nobody can say.
fn silent(kind: &'static str, facts: &Facts<'_>) -> Condition {
    let Programmed { connected, programmed, .. } = &facts.sidecars;
    let message = format!(
        "{programmed} of {connected} sidecars run it; {} of the control plane's replicas do not tell of theirs",
        facts.silent
    );
    Condition { kind, status: "Unknown", reason: "ReplicasSilent", message }
}

pub(super) fn refusals(sidecars: &Programmed) -> String {
    let named = sidecars.refusals.iter();
    let named = named.map(|(pod, reason)| format!("{}: {reason}", pod.as_deref().unwrap_or("a sidecar")));
    listed(&named.collect::<Vec<_>>())
}

fn listed(findings: &[String]) -> String {
    let short = |finding: &String| match finding.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &finding[..end]),
        None => finding.clone(),
    };
    let mut lines: Vec<String> = findings.iter().take(MOST).map(short).collect();
    if findings.len() > MOST {
        lines.push(format!("and {} more", findings.len() - MOST));
    }
    lines.join("\n")
}

fn shown(condition: &Condition, facts: &Facts<'_>, before: &Value) -> Value {
    let Condition { kind, status, reason, message } = condition;
    let earlier = conditions(before).filter(|known| known["type"] == *kind && known["status"] == *status);
    let since = earlier.filter_map(|known| known["lastTransitionTime"].as_str()).next();
    let mut shown = json!({
        "type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since.unwrap_or(&facts.now),
    });
    if let Some(generation) = facts.generation {
        shown["observedGeneration"] = json!(generation);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::tables;
    use super::*;
    use crate::control::tables::Origin;

    fn candidate(provider: &str) -> Candidate {
        let spec = json!({ "providers": { "a": { "base_url": "http://a/v1", "credentials": "none" } },
            "routes": [{ "name": "r", "targets": [{ "provider": provider }] }] });
        tables::read(Origin::RoutingTable, &json!({ "spec": spec }))
    }

    fn facts(candidate: &Candidate, connected: usize, programmed: usize, refused: usize) -> Facts<'_> {
        let refusals = (0..refused).map(|n| (Some(format!("pod-{n}")), "the key is empty".to_owned())).collect();
        Facts {
            generation: Some(7),
            candidate,
            unused: None,
            shadowed: Vec::new(),
            in_force: Some("0123".into()),
            sidecars: Programmed { connected, programmed, refused, refusals },
            silent: 0,
            now: "2026-01-02T03:04:05Z".into(),
        }
    }

    fn words(status: &Value) -> Vec<String> {
        let conditions = status["conditions"].as_array().unwrap();
        conditions.iter().map(|c| format!("{}={} {}", c["type"], c["status"], c["reason"]).replace('"', "")).collect()
    }

    #[test]
    fn each_state_has_its_conditions() {
        let (good, bad) = (candidate("a"), candidate("b"));
        for (facts, accepted, resolved, programmed) in [
            (facts(&good, 0, 0, 0), "True Accepted", "Unknown NoSidecars", "True NoSidecars"),
            (facts(&good, 3, 1, 0), "True Accepted", "Unknown Pending", "False Pending"),
            (facts(&good, 3, 3, 0), "True Accepted", "True Resolved", "True Programmed"),
            (facts(&good, 3, 2, 1), "True Accepted", "False Refused", "False Refused"),
            (
                Facts { silent: 1, ..facts(&good, 3, 3, 0) },
                "True Accepted",
                "Unknown ReplicasSilent",
                "Unknown ReplicasSilent",
            ),
            (facts(&bad, 3, 3, 0), "False Invalid", "Unknown NotAccepted", "False NotAccepted"),
            (
                Facts { unused: Some("not this one".into()), ..facts(&good, 3, 3, 0) },
                "False NotUsed",
                "Unknown NotAccepted",
                "False NotAccepted",
            ),
            (
                Facts { shadowed: vec!["the ConfigMap".into()], ..facts(&good, 0, 0, 0) },
                "True AcceptedWithWarnings",
                "Unknown NoSidecars",
                "True NoSidecars",
            ),
        ] {
            let status = status(&facts, &Value::Null);
            let expected = [
                format!("Accepted={accepted}"),
                format!("ResolvedRefs={resolved}"),
                format!("Programmed={programmed}"),
            ];
            assert_eq!(words(&status), expected);
            assert_eq!(status["observedGeneration"], 7);
            assert_eq!(status["hash"].is_string(), facts.unused.is_none());
        }
        let refused = status(&facts(&good, 3, 2, 1), &Value::Null);
        assert_eq!(refused["conditions"][1]["message"], "pod-0: the key is empty");
        let kept = status(&facts(&bad, 0, 0, 0), &Value::Null);
        let said = kept["conditions"][0]["message"].as_str().unwrap();
        assert!(said.contains("no provider is called `b`") && said.ends_with("sidecars keep the table 0123"), "{said}");
    }

    #[test]
    fn the_time_of_a_condition_is_that_of_its_last_change() {
        let good = candidate("a");
        let first = status(&facts(&good, 0, 0, 0), &Value::Null);
        fn later(facts: Facts<'_>) -> Facts<'_> {
            Facts { now: "2030-01-01T00:00:00Z".into(), ..facts }
        }
        assert_eq!(status(&later(facts(&good, 0, 0, 0)), &first), first);
        let changed = status(&later(facts(&good, 2, 1, 0)), &first);
        let times: Vec<&Value> = (0..3).map(|at| &changed["conditions"][at]["lastTransitionTime"]).collect();
        assert_eq!(times, ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z", "2030-01-01T00:00:00Z"]);
    }

    #[test]
    fn long_findings_are_cut() {
        let findings: Vec<String> = (0..12).map(|n| format!("{n}{}", "é".repeat(600))).collect();
        let text = listed(&findings);
        assert_eq!(text.lines().count(), 11);
        assert!(text.ends_with("and 2 more") && text.len() < 12_000);
    }
}
