//! What became of a table as Events of its object: all that the author of a ConfigMap gets to see, since a ConfigMap has no
//! status, and an annotation would be a difference to what stands in Git.
//!
//! The table itself is spoken of whenever something else is to be said of it; its sidecars once for each table and outcome,
//! so that pods that come and go are no news. Nobody gets more than a few Events in a row, whatever happens: then the newest
//! is told when there is room again. Pure; `write` sends. Start with [`verdicts`] and [`Told::news`].

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::ObjectMeta;
use serde_json::Value;

use super::status::{self, Facts};

/// Who says so.
const CONTROLLER: &str = "faregate.dev/control";
/// Events of one object in a row.
const BURST: u32 = 20;
/// After which there is room for one more.
const REFILL: Duration = Duration::from_secs(30);
/// The longest note that the API server takes, in bytes.
const NOTE: usize = 1024;
/// The name of an object may be this long.
const NAME: usize = 253;

/// Something to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    about: About,
    is_warning: bool,
    reason: &'static str,
    note: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    /// The table as it stands.
    Table,
    /// The sidecars that got it, by its hash.
    Sidecars(String),
}

/// What there is to say of a table.
pub(super) fn verdicts(facts: &Facts<'_>) -> Vec<Verdict> {
    let mut all = vec![of_table(facts)];
    all.extend(of_sidecars(facts));
    all
}

fn of_table(facts: &Facts<'_>) -> Verdict {
    let condition = status::accepted(facts);
    let (is_warning, reason) = match condition.reason {
        "Invalid" => (true, "Refused"),
        "NotUsed" => (true, "NotUsed"),
        _ => (false, "Accepted"),
    };
    let hash = facts.candidate.snapshot.as_ref().map(|snapshot| &*snapshot.hash);
    let note = match hash.filter(|_| !is_warning) {
        Some(hash) => format!("sidecars get it as {hash}; {}", condition.message),
        None => condition.message,
    };
    Verdict { about: About::Table, is_warning, reason, note }
}

/// Nothing while it is on its way, or while nobody is there.
fn of_sidecars(facts: &Facts<'_>) -> Option<Verdict> {
    let hash = facts.candidate.snapshot.as_ref().map(|snapshot| snapshot.hash.to_string())?;
    if facts.unused.is_some() || facts.in_force.as_ref() != Some(&hash) {
        return None;
    }
    let condition = status::programmed(facts);
    let (is_warning, note) = match condition.reason {
        "Refused" => (true, format!("{}: {}", condition.message, status::refusals(&facts.sidecars))),
        "Programmed" => (false, format!("every connected sidecar runs {hash} ({} in all)", facts.sidecars.connected)),
        _ => return None,
    };
    let reason = if is_warning { "RefusedBySidecars" } else { "Programmed" };
    Some(Verdict { about: About::Sidecars(hash), is_warning, reason, note })
}

/// What was said of an object.
#[derive(Debug)]
pub(super) struct Told {
    table: Option<Verdict>,
    /// Of the sidecars of which table, and what.
    sidecars: (String, BTreeSet<&'static str>),
    /// So many may follow at once.
    room: u32,
    /// Since when there is less than may be.
    since: Instant,
}

impl Told {
    /// Nothing was said yet, unless the status of the object has said it.
    pub(super) fn new(facts: &Facts<'_>, status: &Value, now: Instant) -> Self {
        let mut told = Self { table: None, sidecars: Default::default(), room: BURST, since: now };
        if status::has(status, &status::accepted(facts)) {
            told.table = Some(of_table(facts));
        }
        let hash = status.get("hash").and_then(Value::as_str).unwrap_or_default();
        let said = match status::reason(status, "Programmed") {
            Some("Programmed") => Some("Programmed"),
            Some("Refused") => Some("RefusedBySidecars"),
            _ => None,
        };
        told.sidecars = (hash.to_owned(), said.into_iter().collect());
        told
    }

    /// Those that are new, as many as there is room for.
    pub(super) fn news(&mut self, verdicts: Vec<Verdict>, now: Instant) -> Vec<Verdict> {
        let new: Vec<Verdict> = verdicts.into_iter().filter(|verdict| self.is_new(verdict)).collect();
        new.into_iter().take_while(|_| self.take_room(now)).collect()
    }

    /// It was said.
    pub(super) fn note(&mut self, verdict: Verdict) {
        match verdict.about.clone() {
            About::Table => self.table = Some(verdict),
            About::Sidecars(hash) => {
                if self.sidecars.0 != hash {
                    self.sidecars = (hash, BTreeSet::new());
                }
                self.sidecars.1.insert(verdict.reason);
            }
        }
    }

    fn is_new(&self, verdict: &Verdict) -> bool {
        match &verdict.about {
            About::Table => self.table.as_ref() != Some(verdict),
            About::Sidecars(hash) => self.sidecars.0 != *hash || !self.sidecars.1.contains(verdict.reason),
        }
    }

    fn take_room(&mut self, now: Instant) -> bool {
        while self.room < BURST && now >= self.since + REFILL {
            self.room += 1;
            self.since += REFILL;
        }
        if self.room == BURST {
            self.since = now;
        }
        let is_there = self.room > 0;
        self.room = self.room.saturating_sub(1);
        is_there
    }
}

/// The Event of a verdict on this version of an object. Its name sees to it that the same is there once, whichever leader says
/// it and however often, for as long as the API server keeps Events (an hour).
pub(super) fn event(object: ObjectReference, version: &str, by: &str, verdict: &Verdict) -> Event {
    let now = Timestamp::now();
    let Verdict { is_warning, reason, note, .. } = verdict;
    let uid = object.uid.as_deref().unwrap_or_default();
    let what = match &verdict.about {
        About::Table => note,
        About::Sidecars(hash) => hash,
    };
    let end = format!(".{:08x}", crc32fast::hash(format!("{uid} {version} {reason} {what}").as_bytes()));
    let name = object.name.as_deref().unwrap_or_default();
    let name = name.get(..name.len().min(NAME - end.len())).unwrap_or_default().trim_end_matches(['.', '-']);
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}{end}")),
            namespace: object.namespace.clone(),
            ..ObjectMeta::default()
        },
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(CONTROLLER.into()),
        reporting_instance: Some(by.get(..by.len().min(128)).unwrap_or(by).into()),
        action: Some(if matches!(verdict.about, About::Table) { "Check" } else { "Distribute" }.into()),
        reason: Some((*reason).into()),
        type_: Some(if *is_warning { "Warning" } else { "Normal" }.into()),
        note: Some(shortened(note)),
        regarding: Some(object),
        ..Event::default()
    }
}

fn shortened(note: &str) -> String {
    const MORE: &str = "...";
    if note.len() <= NOTE {
        return note.to_owned();
    }
    let end = note.floor_char_boundary(NOTE - MORE.len());
    format!("{}{MORE}", note.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests;
