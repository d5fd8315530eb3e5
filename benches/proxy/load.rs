//! The load generator. Checks every answer's status and length to the last byte.
//!
//! Closed loop: so many connections, each sends its next request as soon as the last answer is whole. Open loop: requests
//! are due at fixed times, on threads that block, so that the latency of one is not hidden by waiting for another;
//! a request that could not be sent when it was due is timed from when it was due.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::upstream;

/// What came of driving one system.
#[derive(Debug, Default)]
pub struct Driven {
    /// Time from request to the last byte of its answer, in microseconds, sorted.
    pub latencies: Vec<f64>,
    pub took: Duration,
    /// Requests, those of the warm-up included.
    pub in_all: usize,
}

impl Driven {
    pub fn requests(&self) -> usize {
        self.latencies.len()
    }

    /// The latency that this share of requests did not exceed.
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get((last as f64 * q).round() as usize).copied().unwrap_or(f64::NAN)
    }

    fn of(mut latencies: Vec<f64>, took: Duration, in_all: usize) -> Self {
        latencies.sort_unstable_by(f64::total_cmp);
        Self { latencies, took, in_all }
    }
}

/// One kind of request.
#[derive(Debug, Clone)]
pub struct Request(Vec<u8>);

impl Request {
    /// A chat request with a body of 1 KB.
    pub fn chat(stream: bool, pace: Option<Duration>) -> Self {
        let options = if stream { r#""stream":true,"# } else { "" };
        let start = format!(
            r#"{{"model":"gpt-bench",{options}"temperature":0.7,"messages":[{{"role":"system","content":"You are a terse assistant."}},{{"role":"user","content":""#
        );
        let text = "Tell me how long it takes. ".repeat(40);
        let end = r#""}]}"#;
        let body = format!("{start}{}{end}", &text[..1024 - start.len() - end.len()]);
        let pace = pace.map(|pace| format!("x-pace-us: {}\r\n", pace.as_micros())).unwrap_or_default();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\
             Content-Type: application/json\r\nUser-Agent: OpenAI/Python 2.8.0\r\nX-Stainless-Lang: python\r\n\
             X-Stainless-Retry-Count: 0\r\nX-Stainless-Runtime: CPython\r\nAuthorization: Bearer sk-of-the-client\r\n\
             Accept-Encoding: gzip, deflate\r\n{pace}Content-Length: {}\r\n\r\n",
            body.len()
        );
        Self([head, body].concat().into_bytes())
    }
}

/// Reads one answer out of pieces of any size.
#[derive(Debug, Default)]
struct Answer {
    seen: Vec<u8>,
    /// Known once the head is here: where the answer ends, unless it is chunked.
    end: Option<usize>,
    head: usize,
}

impl Answer {
    fn clear(&mut self) {
        self.seen.clear();
        (self.end, self.head) = (None, 0);
    }

    /// Whether the answer is complete.
    fn take(&mut self) -> io::Result<bool> {
        if self.head == 0 {
            let Some(at) = memchr::memmem::find(&self.seen, b"\r\n\r\n") else { return Ok(false) };
            self.head = at + 4;
            let head = &self.seen[..self.head];
            if !head.starts_with(b"HTTP/1.1 200 ") {
                return Err(wrong(&self.seen));
            }
            self.end = upstream::header(head, "content-length").map(|length| self.head + length);
        }
        match self.end {
            Some(end) if self.seen.len() == end => Ok(true),
            Some(end) if self.seen.len() > end => Err(wrong(&self.seen)),
            Some(_) => Ok(false),
            None if self.seen.ends_with(b"\r\n0\r\n\r\n") => {
                let body = dechunked(&self.seen[self.head..]).ok_or_else(|| wrong(&self.seen))?;
                let chunks = memchr::memmem::find_iter(&body, b"\"content\":\" token").count();
                let whole = chunks == upstream::CHUNKS && body.ends_with(b"data: [DONE]\n\n");
                if whole { Ok(true) } else { Err(wrong(&self.seen)) }
            }
            None => Ok(false),
        }
    }
}

/// A complete chunked body without its framing; proxies cut chunks anew.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let line = memchr::memmem::find(rest, b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}

fn wrong(answer: &[u8]) -> io::Error {
    let shown = String::from_utf8_lossy(&answer[..answer.len().min(400)]).into_owned();
    io::Error::other(format!("an answer is not as it should be: {shown:?}"))
}

fn closed() -> io::Error {
    io::Error::other("the connection was closed inside an answer")
}

/// Drives `address` from `connections` connections for `window`, after a tenth of it to warm up.
pub fn closed_loop(address: SocketAddr, connections: usize, window: Duration, request: &Request) -> io::Result<Driven> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let begin = Instant::now() + window / 10;
        let end = begin + window;
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..connections {
            let request = request.clone();
            tasks.spawn(async move {
                let mut socket = TcpStream::connect(address).await?;
                socket.set_nodelay(true)?;
                let mut answer = Answer::default();
                let mut latencies = Vec::with_capacity(1024);
                let mut in_all = 0;
                while Instant::now() < end {
                    answer.clear();
                    let sent = Instant::now();
                    socket.write_all(&request.0).await?;
                    while !answer.take()? {
                        if socket.read_buf(&mut answer.seen).await? == 0 {
                            return Err(closed());
                        }
                    }
                    in_all += 1;
                    if sent >= begin {
                        latencies.push(micros(sent.elapsed()));
                    }
                }
                Ok((latencies, in_all))
            });
        }
        let mut latencies = Vec::new();
        let mut in_all = 0;
        while let Some(done) = tasks.join_next().await {
            let (timed, made) = done.map_err(io::Error::other)??;
            latencies.extend(timed);
            in_all += made;
        }
        Ok(Driven::of(latencies, begin.elapsed(), in_all))
    })
}

/// Sends `rate` requests a second in all over `connections` connections for `window`.
pub fn open_loop(
    address: SocketAddr,
    connections: usize,
    rate: u32,
    window: Duration,
    request: &Request,
) -> io::Result<Driven> {
    let every = Duration::from_secs(connections as u64) / rate;
    let begin = Instant::now() + Duration::from_millis(20);
    let results: Vec<io::Result<Vec<f64>>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|n| {
                let first = begin + every.mul_f64(n as f64 / connections as f64);
                scope.spawn(move || on_time(address, first, every, begin + window, request))
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap_or_else(|_| Err(io::Error::other("a thread died")))).collect()
    });
    let mut latencies = Vec::new();
    for result in results {
        latencies.extend(result?);
    }
    let in_all = latencies.len();
    Ok(Driven::of(latencies, window, in_all))
}

fn on_time(
    address: SocketAddr,
    first: Instant,
    every: Duration,
    end: Instant,
    request: &Request,
) -> io::Result<Vec<f64>> {
    let mut socket = StdStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut answer = Answer::default();
    let mut piece = [0; 16 * 1024];
    let mut latencies = Vec::new();
    let mut due = first;
    while due < end {
        let late = Instant::now() >= due;
        if !late {
            std::thread::sleep(due - Instant::now());
        }
        let sent = if late { due } else { Instant::now() };
        answer.clear();
        socket.write_all(&request.0)?;
        while !answer.take()? {
            match socket.read(&mut piece)? {
                0 => return Err(closed()),
                n => answer.seen.extend_from_slice(&piece[..n]),
            }
        }
        latencies.push(micros(sent.elapsed()));
        due += every;
    }
    Ok(latencies)
}

/// Opens connections, makes one call on each, and leaves them open.
pub fn park(address: SocketAddr, connections: usize, request: &Request) -> io::Result<Vec<StdStream>> {
    let mut parked = Vec::with_capacity(connections);
    let mut answer = Answer::default();
    let mut piece = [0; 16 * 1024];
    for _ in 0..connections {
        let mut socket = StdStream::connect(address)?;
        answer.clear();
        socket.write_all(&request.0)?;
        while !answer.take()? {
            match socket.read(&mut piece)? {
                0 => return Err(closed()),
                n => answer.seen.extend_from_slice(&piece[..n]),
            }
        }
        parked.push(socket);
    }
    Ok(parked)
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1000.0
}
