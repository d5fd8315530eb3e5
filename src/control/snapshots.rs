//! Which table each namespace gets, and how far it has come: the seam between those who make tables (the controller)
//! and those who hand them out (`distribution`).
//!
//! One table for the cluster, and tables of namespaces that stand before it. Publishing replaces a table at once and
//! whole; it wakes the sidecars whose table is another than before and nobody else. A table that could not be made never
//! comes here, so the last good one stays. Start with [`Snapshots::publish`] and [`Snapshots::join`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::snapshot::Snapshot;
use crate::telemetry::Telemetry;
use crate::telemetry::cells::Gauge;

/// How many refusals are named; all are counted.
const NAMED: usize = 10;

/// For whom a table is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Every namespace that has none of its own.
    Cluster,
    /// This namespace.
    Namespace(String),
}

/// As it stands in metrics; no namespace is called `*`.
impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("*"),
            Self::Namespace(name) => f.write_str(name),
        }
    }
}

/// A table in force.
#[derive(Debug)]
pub struct Published {
    /// The table.
    pub snapshot: Snapshot,
    /// For whom.
    pub scope: Scope,
    /// Since when.
    pub at: Instant,
}

/// How far a table has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programmed {
    /// Sidecars whose table it is, and that are connected.
    pub connected: usize,
    /// Those of them that run it.
    pub programmed: usize,
    /// Those that refused it.
    pub refused: usize,
    /// Some of the refusals: pod (where it is known) and reason.
    pub refusals: Vec<(Option<String>, String)>,
}

/// All tables in force.
pub struct Snapshots {
    telemetry: Telemetry,
    tables: Mutex<Tables>,
    progress: watch::Sender<u64>,
}

#[derive(Default)]
struct Tables {
    cluster: Option<Arc<Published>>,
    own: BTreeMap<String, Arc<Published>>,
    /// Namespaces with a table of their own of which no good version is known: the cluster's is not theirs.
    held: BTreeSet<String>,
    /// Namespaces with connected sidecars.
    rooms: HashMap<Arc<str>, Arc<Room>>,
}

impl Tables {
    fn of(&self, namespace: &str) -> Option<&Arc<Published>> {
        let cluster = || self.cluster.as_ref().filter(|_| !self.held.contains(namespace));
        self.own.get(namespace).or_else(cluster)
    }
}

/// The sidecars of one namespace.
struct Room {
    current: watch::Sender<Option<Arc<Published>>>,
    members: Mutex<Members>,
}

#[derive(Default)]
struct Members {
    next: u64,
    all: HashMap<u64, Member>,
}

struct Member {
    pod: Option<Box<str>>,
    state: State,
    /// Counts this one among those in the same state.
    counted: Gauge,
}

enum State {
    Pending,
    Programmed,
    Refused(Box<str>),
}

impl State {
    fn label(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Programmed => "programmed",
            Self::Refused(_) => "refused",
        }
    }
}

impl Snapshots {
    /// None yet.
    pub fn new(telemetry: Telemetry) -> Arc<Self> {
        Arc::new(Self { telemetry, tables: Mutex::default(), progress: watch::Sender::new(0) })
    }

    /// Puts a table in force; says whether it is another than before.
    pub fn publish(&self, scope: Scope, snapshot: Snapshot) -> bool {
        let published = Arc::new(Published { snapshot, scope, at: Instant::now() });
        self.change(&published.scope.clone(), Some(published))
    }

    /// Takes a table back: the namespace has the cluster's again. Where none is left, sidecars keep what they run.
    pub fn withdraw(&self, scope: &Scope) -> bool {
        self.change(scope, None)
    }

    /// A namespace has a table of its own of which no good version is known: its sidecars keep what they run, and do not
    /// get the cluster's meanwhile. Changes nothing where a good one is in force; ends with the next table, or its end.
    pub fn hold(&self, namespace: &str) {
        let mut tables = self.tables.lock();
        if tables.own.contains_key(namespace) || !tables.held.insert(namespace.to_owned()) {
            return;
        }
        if let Some(room) = tables.rooms.get(namespace) {
            self.put(room, None);
        }
        drop(tables);
        self.progressed();
    }

    fn change(&self, scope: &Scope, to: Option<Arc<Published>>) -> bool {
        let mut tables = self.tables.lock();
        let before = match scope {
            Scope::Cluster => tables.cluster.as_ref(),
            Scope::Namespace(name) => tables.own.get(name),
        };
        let hash = |published: Option<&Arc<Published>>| published.map(|published| published.snapshot.hash.clone());
        let same = hash(before) == hash(to.as_ref());
        let held = matches!(scope, Scope::Namespace(name) if tables.held.remove(name));
        if same && !held {
            return false;
        }
        match (scope, to) {
            (Scope::Cluster, to) => tables.cluster = to,
            (Scope::Namespace(name), Some(to)) => drop(tables.own.insert(name.clone(), to)),
            (Scope::Namespace(name), None) => drop(tables.own.remove(name)),
        }
        for (namespace, room) in &tables.rooms {
            let concerned = match scope {
                Scope::Cluster => !tables.own.contains_key(&**namespace) && !tables.held.contains(&**namespace),
                Scope::Namespace(name) => **name == **namespace,
            };
            if concerned {
                self.put(room, tables.of(namespace));
            }
        }
        drop(tables);
        self.progressed();
        true
    }

    /// Whoever sits in the room has a new table from now on, and nobody has it yet.
    fn put(&self, room: &Room, table: Option<&Arc<Published>>) {
        let mut members = room.members.lock();
        let counted = self.counted(table, &State::Pending);
        for member in members.all.values_mut() {
            member.go(State::Pending, &counted);
        }
        room.current.send_replace(table.cloned());
    }

    /// The gauge of sidecars in a state.
    fn counted(&self, table: Option<&Arc<Published>>, state: &State) -> Gauge {
        let table = table.map_or_else(|| "none".into(), |published| published.scope.to_string());
        self.telemetry.metrics().control_sidecars.with([&table, state.label()])
    }

    /// The table of a namespace.
    pub fn current(&self, namespace: &str) -> Option<Arc<Published>> {
        self.tables.lock().of(namespace).cloned()
    }

    /// Every table in force.
    pub fn in_force(&self) -> Vec<Arc<Published>> {
        let tables = self.tables.lock();
        tables.cluster.iter().chain(tables.own.values()).cloned().collect()
    }

    /// A sidecar of this namespace has come.
    pub fn join(self: &Arc<Self>, namespace: &str, pod: Option<&str>) -> Seat {
        let mut tables = self.tables.lock();
        let room = match tables.rooms.get_key_value(namespace) {
            Some((name, room)) => (name.clone(), room.clone()),
            None => {
                let current = watch::Sender::new(tables.of(namespace).cloned());
                let room = Arc::new(Room { current, members: Mutex::default() });
                let name: Arc<str> = namespace.into();
                tables.rooms.insert(name.clone(), room.clone());
                (name, room)
            }
        };
        let (namespace, room) = room;
        let changes = room.current.subscribe();
        let mut members = room.members.lock();
        let id = members.next;
        members.next += 1;
        let counted = self.counted(changes.borrow().as_ref(), &State::Pending);
        counted.add(1);
        members.all.insert(id, Member { pod: pod.map(Into::into), state: State::Pending, counted });
        drop(members);
        drop(tables);
        self.progressed();
        Seat { snapshots: self.clone(), namespace, room, id, changes, since: Instant::now() }
    }

    /// How far the table of a scope has come. Nothing where there is no such table.
    pub fn programmed(&self, scope: &Scope) -> Programmed {
        let tables = self.tables.lock();
        let mut sum = Programmed::default();
        for (namespace, room) in &tables.rooms {
            if tables.of(namespace).is_none_or(|published| published.scope != *scope) {
                continue;
            }
            for member in room.members.lock().all.values() {
                sum.connected += 1;
                match &member.state {
                    State::Pending => {}
                    State::Programmed => sum.programmed += 1,
                    State::Refused(reason) => {
                        sum.refused += 1;
                        if sum.refusals.len() < NAMED {
                            sum.refusals.push((member.pod.as_deref().map(Into::into), reason.to_string()));
                        }
                    }
                }
            }
        }
        sum
    }

    /// Changes whenever what [`Snapshots::programmed`] says may have changed: thousands of times within a second after a
    /// table was published. Wait a little before looking.
    pub fn progress(&self) -> watch::Receiver<u64> {
        self.progress.subscribe()
    }

    fn progressed(&self) {
        self.progress.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Member {
    fn go(&mut self, state: State, counted: &Gauge) {
        self.state = state;
        self.counted.add(-1);
        self.counted = counted.clone();
        self.counted.add(1);
    }
}

/// A connected sidecar, until it is dropped.
pub struct Seat {
    snapshots: Arc<Snapshots>,
    namespace: Arc<str>,
    room: Arc<Room>,
    id: u64,
    changes: watch::Receiver<Option<Arc<Published>>>,
    since: Instant,
}

impl Seat {
    /// The sidecar's table now; from here on [`Seat::changed`] waits for another.
    pub fn current(&mut self) -> Option<Arc<Published>> {
        self.changes.borrow_and_update().clone()
    }

    /// Waits until the table is another than the last that [`Seat::current`] gave. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The room, which this seat holds, has the sender.
            std::future::pending::<()>().await;
        }
    }

    /// The sidecar runs this table.
    pub fn acked(&self, hash: &str) {
        if let Some(published) = self.answer(hash, State::Programmed) {
            let metrics = self.snapshots.telemetry.metrics();
            metrics.control_answers.with(["programmed"]).inc();
            // One that came later says when it came, not how fast the table did.
            if published.at > self.since {
                metrics.control_programmed_seconds.with([]).observe(published.at.elapsed());
            }
        }
    }

    /// The sidecar refuses this table, for this reason.
    pub fn nacked(&self, hash: &str, reason: &str) {
        if self.answer(hash, State::Refused(reason.into())).is_some() {
            self.snapshots.telemetry.metrics().control_answers.with(["refused"]).inc();
        }
    }

    /// Notes what the sidecar says of its present table; what it says of another is old, and of no account.
    fn answer(&self, hash: &str, state: State) -> Option<Arc<Published>> {
        let mut members = self.room.members.lock();
        let published = self.room.current.borrow().clone().filter(|published| *published.snapshot.hash == *hash)?;
        let member = members.all.get_mut(&self.id)?;
        let again = matches!((&member.state, &state), (State::Programmed, State::Programmed));
        if again {
            return None;
        }
        let counted = self.snapshots.counted(Some(&published), &state);
        member.go(state, &counted);
        drop(members);
        self.snapshots.progressed();
        Some(published)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut tables = self.snapshots.tables.lock();
        let mut members = self.room.members.lock();
        if let Some(member) = members.all.remove(&self.id) {
            member.counted.add(-1);
        }
        if members.all.is_empty() {
            tables.rooms.remove(&*self.namespace);
        }
        drop(members);
        drop(tables);
        self.snapshots.progressed();
    }
}

#[cfg(test)]
mod tests;
