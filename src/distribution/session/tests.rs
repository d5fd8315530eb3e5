//! What follows on a refusal.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::*;
use crate::distribution::{Address, Authorities, Keeper, pack};
use crate::telemetry::Telemetry;

/// For what must come.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes the tables that it may.
#[derive(Default)]
struct Sidecar {
    held: Mutex<Option<Arc<str>>>,
    may: Mutex<Vec<&'static str>>,
    /// Every try: the table, and whether it was refused before.
    tries: Mutex<Vec<(String, bool)>>,
}

impl Tables for Arc<Sidecar> {
    fn held(&self) -> Option<Arc<str>> {
        self.held.lock().clone()
    }

    async fn take(&self, table: Table, again: bool) -> Result<(), String> {
        self.tries.lock().push((table.hash.to_string(), again));
        if !self.may.lock().contains(&&*table.hash) {
            return Err("a key is missing".into());
        }
        *self.held.lock() = Some(table.hash);
        Ok(())
    }
}

/// Control's end of a connection, and the sidecar's.
struct Line {
    channel: Channel<DuplexStream>,
    sidecar: Arc<Sidecar>,
    control: Arc<Control>,
    ended: JoinHandle<End>,
}

impl Line {
    /// A sidecar that may take these, tries again after `again`, and has said hello.
    async fn new(may: &[&'static str], again: Duration) -> Self {
        let (near, far) = duplex(64 << 10);
        let (address, token) = (Address::parse("https://control").unwrap(), "token".into());
        let telemetry = Telemetry::new().unwrap();
        let mut control = Control::new(address, Authorities::System, token, Keeper::new(None), telemetry);
        control.again = again;
        let (control, sidecar) = (Arc::new(control), Arc::new(Sidecar::default()));
        sidecar.may.lock().extend(may);
        let (its, tables) = (Arc::clone(&control), Arc::clone(&sidecar));
        let ended = tokio::spawn(async move { Session(Channel::new(far)).serve(&its, &tables).await });
        let mut line = Self { channel: Channel::new(near), sidecar, control, ended };
        assert!(matches!(line.hear().await, ToControl::Hello { table: None, .. }));
        line
    }

    async fn say(&mut self, message: &ToSidecar) {
        let mut out = Vec::new();
        message.write(&mut out);
        self.channel.send(&out).await.unwrap();
    }

    async fn send(&mut self, hash: &str) {
        self.say(&ToSidecar::Table { hash: hash.into(), packed: pack("text") }).await;
    }

    async fn hear(&mut self) -> ToControl {
        let frame = timeout(PATIENCE, self.channel.next(ToControl::most)).await.expect("a frame");
        ToControl::read(frame.unwrap().expect("the connection")).unwrap()
    }

    async fn wait_tries(&self, n: usize) {
        let tried = async {
            while self.sidecar.tries.lock().len() < n {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(PATIENCE, tried).await.expect("more tries");
    }

    fn trouble(&self) -> Option<String> {
        self.control.standing.now().trouble
    }
}

fn ack(hash: &str) -> ToControl {
    ToControl::Ack { hash: hash.into() }
}

fn nack(hash: &str) -> ToControl {
    ToControl::Nack { hash: hash.into(), reason: "a key is missing".into() }
}

#[tokio::test]
async fn a_refused_table_is_tried_again_in_silence_until_it_can_be_used() {
    let mut line = Line::new(&[], Duration::from_millis(30)).await;
    let began = Instant::now();
    line.send("one").await;
    assert_eq!(line.hear().await, nack("one"));
    line.wait_tries(6).await;
    // A pause before each.
    assert!(began.elapsed() >= Duration::from_millis(5 * 30), "{:?}", began.elapsed());
    assert_eq!(line.trouble().as_deref(), Some("a key is missing"));
    // The answer to a ping is the first that is heard since: the tries have said nothing.
    line.say(&ToSidecar::Ping { next: Duration::from_secs(60) }).await;
    assert_eq!(line.hear().await, ToControl::Pong);
    line.sidecar.may.lock().push("one");
    assert_eq!(line.hear().await, ack("one"));
    assert_eq!(line.trouble(), None);
    let mut tries: VecDeque<_> = line.sidecar.tries.lock().drain(..).collect();
    assert_eq!(tries.pop_front(), Some(("one".into(), false)));
    assert!(tries.iter().all(|tried| *tried == ("one".into(), true)), "{tries:?}");
    // That was the last.
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(line.sidecar.tries.lock().is_empty());
}

#[tokio::test]
async fn a_table_that_is_no_longer_wanted_is_not_tried_again() {
    for taken_back in [ToSidecar::Keep { hash: "good".into() }, ToSidecar::None] {
        let mut line = Line::new(&["good"], Duration::from_millis(200)).await;
        line.send("good").await;
        assert_eq!(line.hear().await, ack("good"));
        line.send("bad").await;
        assert_eq!(line.hear().await, nack("bad"));
        line.say(&taken_back).await;
        line.say(&ToSidecar::Ping { next: Duration::from_secs(60) }).await;
        if taken_back != ToSidecar::None {
            assert_eq!(line.hear().await, ack("good"));
            assert_eq!(line.trouble(), None);
        }
        assert_eq!(line.hear().await, ToControl::Pong);
        let tries = line.sidecar.tries.lock().len();
        line.sidecar.may.lock().push("bad");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(line.sidecar.tries.lock().len(), tries, "after {taken_back:?}");
        assert_eq!(line.sidecar.held().as_deref(), Some("good"));
    }
}

#[tokio::test]
async fn the_newest_refused_table_is_the_one_that_is_tried() {
    let mut line = Line::new(&[], Duration::from_millis(100)).await;
    for hash in ["one", "two"] {
        line.send(hash).await;
        assert_eq!(line.hear().await, nack(hash));
    }
    line.sidecar.may.lock().extend(["one", "two"]);
    assert_eq!(line.hear().await, ack("two"));
    assert_eq!(line.sidecar.held().as_deref(), Some("two"));
}

/// A connection whose other end is gone without a word, as after a machine was lost.
#[tokio::test]
async fn control_that_has_gone_silent_is_noticed_while_a_table_is_tried_again_and_again() {
    let mut line = Line::new(&[], Duration::from_millis(500)).await;
    line.send("one").await;
    assert_eq!(line.hear().await, nack("one"));
    // Less than three seconds are never taken for silence.
    line.say(&ToSidecar::Ping { next: Duration::ZERO }).await;
    assert_eq!(line.hear().await, ToControl::Pong);
    let End::Broken(why) = timeout(PATIENCE, line.ended).await.expect("it is noticed").unwrap() else {
        panic!("no bye")
    };
    assert_eq!(why, "control has gone silent");
    assert!(line.sidecar.tries.lock().len() > 2);
}
