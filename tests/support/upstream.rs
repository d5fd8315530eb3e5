//! A provider of the tests' own: real sockets, and a script that says what happens on them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::gate::eventually;
use super::peer::{Peer, Request};

/// What happens on one request.
pub type Script = Box<dyn Fn(&mut Peer, &Request) + Send + Sync>;

/// What an upstream has seen so far.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) requests: Mutex<Vec<Request>>,
    /// By connection: Faregate has closed it.
    closed: Mutex<Vec<Arc<AtomicBool>>>,
}

/// A listening upstream. Its threads end with the test's process.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

impl Upstream {
    /// An upstream whose script runs once for every request, after that was read whole. The connection is kept for
    /// the next request unless the script ends it.
    pub fn start(script: impl Fn(&mut Peer, &Request) + Send + Sync + 'static) -> Self {
        Self::raw(move |peer| {
            while !peer.over
                && let Some(request) = peer.read_request()
            {
                if request.complete {
                    script(peer, &request);
                }
            }
        })
    }

    /// An upstream that answers its n-th request with the n-th script, and further ones with the last.
    pub fn in_turn(scripts: Vec<Script>) -> Self {
        let turn = AtomicUsize::new(0);
        Self::start(move |peer, request| {
            let at = turn.fetch_add(1, Ordering::SeqCst).min(scripts.len() - 1);
            scripts[at](peer, request);
        })
    }

    /// An upstream that answers everything with this JSON body.
    pub fn json(status: u16, body: &'static str) -> Self {
        Self::start(move |peer, _| peer.json(status, body))
    }

    /// An upstream whose script runs once for every connection and reads what it wants to.
    pub fn raw(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::on(TcpListener::bind("127.0.0.1:0").unwrap(), script)
    }

    /// As [`Upstream::raw`], on a listener of the caller's.
    pub fn on(listener: TcpListener, script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (script, keeper) = (Arc::new(script), seen.clone());
        std::thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                let closed = Arc::new(AtomicBool::new(false));
                keeper.closed.lock().unwrap().push(closed.clone());
                let mut peer = Peer::new(connection, stream, keeper.clone(), closed);
                let script = script.clone();
                std::thread::spawn(move || script(&mut peer));
            }
        });
        Self { address, seen }
    }

    /// Base URL with the usual version path.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// All requests so far, in the order in which they were complete (or broke off).
    pub fn requests(&self) -> Vec<Request> {
        self.seen.requests.lock().unwrap().clone()
    }

    /// The newest request of which this holds.
    pub fn find(&self, holds: impl Fn(&Request) -> bool) -> Option<Request> {
        self.seen.requests.lock().unwrap().iter().rfind(|request| holds(request)).cloned()
    }

    /// The only request so far.
    #[track_caller]
    pub fn request(&self) -> Request {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests at the upstream");
        requests.remove(0)
    }

    /// Connections that Faregate has made.
    pub fn connections(&self) -> usize {
        self.seen.closed.lock().unwrap().len()
    }

    /// Waits for the n-th request (counted from 1).
    #[track_caller]
    pub fn wait_requests(&self, n: usize) {
        eventually(&format!("request {n} at the upstream"), || self.seen.requests.lock().unwrap().len() >= n);
    }

    /// Waits until the script has noticed that Faregate closed this connection (counted from 0).
    #[track_caller]
    pub fn wait_closed(&self, connection: usize) {
        eventually(&format!("end of connection {connection}"), || self.is_closed(connection));
    }

    /// Whether the script has noticed that Faregate closed this connection.
    pub fn is_closed(&self, connection: usize) -> bool {
        self.seen.closed.lock().unwrap().get(connection).is_some_and(|closed| closed.load(Ordering::SeqCst))
    }
}

/// An address that refuses connections, and keeps refusing for as long as the socket lives.
pub fn refusing() -> (SocketAddr, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address, socket)
}

/// An address where connecting never ends: its backlog is full.
pub struct Blackhole {
    pub address: SocketAddr,
    _listener: Socket,
    _waiting: Vec<TcpStream>,
}

impl Blackhole {
    pub fn new() -> Self {
        let (address, listener) = refusing();
        listener.listen(0).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
            waiting.push(stream);
            assert!(waiting.len() < 64, "the backlog never fills");
        }
        Self { address, _listener: listener, _waiting: waiting }
    }
}

impl Default for Blackhole {
    fn default() -> Self {
        Self::new()
    }
}
