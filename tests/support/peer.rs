//! The upstream's side of one connection, for scripts to act on.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::http::{Head, Input, Length};
use super::upstream::Seen;

/// A request as the upstream got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// On which connection, counted from 0.
    pub connection: usize,
    pub method: String,
    /// Path and query.
    pub target: String,
    pub head: Head,
    /// Without chunk framing.
    pub body: Vec<u8>,
    /// Trailer lines.
    pub trailers: Vec<String>,
    /// False when the connection ended before the body did.
    pub complete: bool,
}

impl Request {
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// One connection that Faregate made.
pub struct Peer {
    /// Counted from 0.
    pub connection: usize,
    input: Input<TcpStream>,
    seen: Arc<Seen>,
    /// The script has ended the connection.
    pub over: bool,
    closed: Arc<AtomicBool>,
}

impl Peer {
    pub(super) fn new(connection: usize, stream: TcpStream, seen: Arc<Seen>, closed: Arc<AtomicBool>) -> Self {
        Self { connection, input: Input::new(stream), seen, over: false, closed }
    }

    /// The next request's head; `None` when Faregate closed instead.
    pub fn read_head(&mut self) -> Option<Head> {
        let head = self.input.head().ok().flatten();
        if head.is_none() {
            self.closed.store(true, Ordering::SeqCst);
        }
        head
    }

    /// The next request, whole; recorded. `None` when Faregate closed instead.
    pub fn read_request(&mut self) -> Option<Request> {
        let head = self.read_head()?;
        Some(self.read_body(head))
    }

    /// The body that belongs to a head; recorded with it.
    pub fn read_body(&mut self, head: Head) -> Request {
        let (mut body, mut trailers, mut complete) = (Vec::new(), Vec::new(), true);
        match head.length() {
            Length::Known(n) => {
                body = self.input.take(n).unwrap_or_default();
                complete = body.len() == n;
            }
            Length::Chunked => loop {
                match self.input.chunk(&mut trailers) {
                    Ok(Some(chunk)) => body.extend(chunk),
                    Ok(None) => break,
                    Err(_) => {
                        complete = false;
                        break;
                    }
                }
            },
            Length::Unsaid => {}
        }
        let mut words = head.line.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let request = Request { connection: self.connection, method, target, head, body, trailers, complete };
        self.seen.requests.lock().unwrap().push(request.clone());
        if !request.complete {
            self.closed.store(true, Ordering::SeqCst);
        }
        request
    }

    /// The data of the next chunk of a request's body; `None` after the last, or when Faregate closed.
    pub fn read_chunk(&mut self) -> Option<Vec<u8>> {
        self.input.chunk(&mut Vec::new()).unwrap_or_else(|_| {
            self.closed.store(true, Ordering::SeqCst);
            None
        })
    }

    /// Exactly `n` raw bytes.
    #[track_caller]
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.input.take(n).unwrap();
        assert_eq!(bytes.len(), n, "Faregate closed after {:?}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Sends bytes as they are; nothing when Faregate is gone.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _gone = self.try_send(bytes);
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// Faregate is gone, or does not read.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.input.io.write_all(bytes.as_ref())
    }

    /// A whole answer with `content-length`; `headers` are whole lines without line ends.
    pub fn reply(&mut self, status: u16, headers: &[&str], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut out = head(status, headers);
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        self.send(out);
    }

    /// A whole JSON answer.
    pub fn json(&mut self, status: u16, body: impl AsRef<[u8]>) {
        self.reply(status, &["content-type: application/json"], body);
    }

    /// The head of an event stream; chunks follow.
    pub fn sse_head(&mut self) {
        let mut out = head(200, &["content-type: text/event-stream", "transfer-encoding: chunked"]);
        out.extend_from_slice(b"\r\n");
        self.send(out);
    }

    /// One chunk.
    pub fn chunk(&mut self, data: impl AsRef<[u8]>) {
        let data = data.as_ref();
        let mut out = format!("{:x}\r\n", data.len()).into_bytes();
        out.extend_from_slice(data);
        out.extend_from_slice(b"\r\n");
        self.send(out);
    }

    /// The last chunk.
    pub fn last_chunk(&mut self) {
        self.send(b"0\r\n\r\n");
    }

    /// A whole event stream, a chunk an event.
    pub fn sse(&mut self, events: &[impl AsRef<str>]) {
        self.sse_head();
        for event in events {
            self.chunk(event.as_ref());
        }
        self.last_chunk();
    }

    /// Waits until Faregate has closed the connection; whatever it sends meanwhile is dropped.
    #[track_caller]
    pub fn wait_closed(&mut self) {
        loop {
            match self.input.fill() {
                Ok(n) if n > 0 => self.input.ahead.clear(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => panic!("Faregate keeps the connection open"),
                _ => break,
            }
        }
        self.over = true;
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Closes in good order.
    pub fn close(&mut self) {
        let _gone = self.input.io.shutdown(Shutdown::Both);
        self.over = true;
    }

    /// Closes with a reset.
    pub fn reset(&mut self) {
        let _gone = socket2::SockRef::from(&self.input.io).set_linger(Some(Duration::ZERO));
        self.over = true;
    }

    pub fn stream(&self) -> &TcpStream {
        &self.input.io
    }
}

fn head(status: u16, headers: &[&str]) -> Vec<u8> {
    let mut out = format!("HTTP/1.1 {status} Said\r\n");
    for line in headers {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.into_bytes()
}
