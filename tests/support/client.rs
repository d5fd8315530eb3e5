//! A client that sends the bytes it is told to and shows the bytes it gets.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;
use super::http::{Head, Input, Length};

/// One connection to Faregate.
pub struct Client {
    input: Input<TcpStream>,
}

/// An answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: Head,
    /// Without chunk framing.
    pub body: Vec<u8>,
    /// False when the connection ended before the body did.
    pub complete: bool,
    /// Trailer lines.
    pub trailers: Vec<String>,
}

impl Response {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.get(name)
    }

    /// Panics unless the answer has this status and is whole.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.head.headers, String::from_utf8_lossy(&self.body));
        assert!(self.complete, "the answer is not whole");
        self
    }
}

impl Client {
    pub fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { input: Input::new(stream) }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.input.io
    }

    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.io.write_all(bytes.as_ref()).unwrap();
    }

    /// As [`Client::send`], where the other side may close meanwhile.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.input.io.write_all(bytes.as_ref())
    }

    /// Sends a POST with this body and a `content-length`; `headers` are whole lines without line ends.
    #[track_caller]
    pub fn post(&mut self, path: &str, headers: &[&str], body: impl AsRef<[u8]>) {
        let body = body.as_ref();
        let mut out = request_head("POST", path, headers);
        out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        out.extend_from_slice(body);
        self.send(out);
    }

    /// Sends a request without a body.
    #[track_caller]
    pub fn ask(&mut self, method: &str, path: &str, headers: &[&str]) {
        let mut out = request_head(method, path, headers);
        out.extend_from_slice(b"\r\n");
        self.send(out);
    }

    /// The next head.
    #[track_caller]
    pub fn head(&mut self) -> Head {
        self.input.head().unwrap().expect("the connection ended instead of an answer")
    }

    /// The data of the next chunk; `None` after the last.
    #[track_caller]
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        self.input.chunk(&mut Vec::new()).unwrap()
    }

    /// Reads chunks until what came holds `text`; what came.
    #[track_caller]
    pub fn chunks_until(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        while super::http::find(&seen, text.as_bytes()).is_none() {
            let chunk = self.chunk();
            seen.extend(chunk.unwrap_or_else(|| panic!("{text:?} never came: {}", String::from_utf8_lossy(&seen))));
        }
        String::from_utf8(seen).unwrap()
    }

    /// The next answer, whole or as far as it came.
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("POST")
    }

    /// The next answer to a request of this method (an answer to HEAD has no body).
    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        let head = self.head();
        self.rest_of(head, method)
    }

    /// The answer that begins with this head.
    #[track_caller]
    pub fn rest_of(&mut self, head: Head, method: &str) -> Response {
        let status: u16 = head.line.split(' ').nth(1).and_then(|s| s.parse().ok()).expect("a status");
        let (mut body, mut trailers, mut complete) = (Vec::new(), Vec::new(), true);
        if method != "HEAD" && !matches!(status, 100..=199 | 204 | 304) {
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
                Length::Unsaid => body = self.input.rest().unwrap(),
            }
        }
        Response { status, head, body, complete, trailers }
    }

    /// Exactly `n` raw bytes.
    #[track_caller]
    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        let bytes = self.input.take(n).unwrap();
        assert_eq!(bytes.len(), n, "the connection ended after {:?}", String::from_utf8_lossy(&bytes));
        bytes
    }

    /// Everything up to the connection's end, which must come; a reset counts as one.
    pub fn rest(&mut self) -> Vec<u8> {
        match self.input.rest() {
            Ok(rest) => rest,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => std::mem::take(&mut self.input.ahead),
            Err(error) => panic!("the connection did not end: {error}"),
        }
    }

    /// Closes the sending side.
    pub fn finish(&mut self) {
        self.input.io.shutdown(Shutdown::Write).unwrap();
    }

    /// Closes with a reset.
    pub fn reset(self) {
        socket2::SockRef::from(&self.input.io).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

fn request_head(method: &str, path: &str, headers: &[&str]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nhost: gateway.test\r\n");
    for line in headers {
        out.push_str(line);
        out.push_str("\r\n");
    }
    out.into_bytes()
}

/// One POST of a JSON body on a connection of its own.
#[track_caller]
pub fn post(to: SocketAddr, path: &str, body: impl AsRef<[u8]>) -> Response {
    let mut client = Client::connect(to);
    client.post(path, &["content-type: application/json", "connection: close"], body);
    client.response()
}

/// One GET on a connection of its own.
#[track_caller]
pub fn get(to: SocketAddr, path: &str) -> Response {
    let mut client = Client::connect(to);
    client.ask("GET", path, &["connection: close"]);
    client.response()
}
