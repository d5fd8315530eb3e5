//! The fake provider: as lean as it can be, so that it is not the bottleneck. One thread, prepared answers.
//!
//! Answers `POST` bodies of known length: a JSON completion, or, where the body says `"stream":true`, 50 content chunks
//! of a stream, each in a write of its own. `x-pace-us` is the pause between two chunks; without it other connections
//! get their turn in between, which is what keeps chunks apart under load.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Content chunks of one stream.
pub const CHUNKS: usize = 50;

/// Every answer, ready to be written.
struct Answers {
    json: Vec<u8>,
    head: &'static [u8],
    content: Vec<Vec<u8>>,
    usage: Vec<u8>,
    done: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let text = "All work and no play makes a dull benchmark. ".repeat(12);
        let body = format!(
            r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1764000000,"model":"gpt-bench","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":230,"completion_tokens":120,"total_tokens":350}}}}"#
        );
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_0123456789\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let start = r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764000000,"model":"gpt-bench","system_fingerprint":"fp_1","#;
        let content = |n: usize| {
            chunk(&format!(
                r#"data: {start}"choices":[{{"index":0,"delta":{{"content":" token{n:02}"}},"logprobs":null,"finish_reason":null}}],"usage":null}}{}"#,
                "\n\n"
            ))
        };
        let usage = r#""choices":[],"usage":{"prompt_tokens":230,"completion_tokens":50,"total_tokens":280}}"#;
        Self {
            json: [head.into_bytes(), body.into_bytes()].concat(),
            head: b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n",
            content: (0..CHUNKS).map(content).collect(),
            usage: chunk(&format!("data: {start}{usage}\n\n")),
            done: [chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat(),
        }
    }
}

fn chunk(data: &str) -> Vec<u8> {
    format!("{:x}\r\n{data}\r\n", data.len()).into_bytes()
}

/// Starts the provider on a thread of its own; it ends with the process.
pub fn start() -> io::Result<SocketAddr> {
    let listener = StdListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("upstream".into()).spawn(move || {
        runtime.block_on(async {
            let Ok(listener) = TcpListener::from_std(listener) else { return };
            let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A connection that breaks is the proxy's business; the load generator sees it.
                    let _closed = serve(socket, answers).await;
                });
            }
        });
    })?;
    Ok(address)
}

async fn serve(mut socket: TcpStream, answers: &'static Answers) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut input = Vec::with_capacity(4096);
    loop {
        let Some((head, end)) = read_request(&mut socket, &mut input).await? else { return Ok(()) };
        let body = &input[head..end];
        let streams = memchr::memmem::find(body, b"\"stream\":true").is_some();
        let counts = memchr::memmem::find(body, b"\"include_usage\":true").is_some();
        let pace = header(&input[..head], "x-pace-us").map(|us| Duration::from_micros(us as u64));
        input.drain(..end);
        if !streams {
            socket.write_all(&answers.json).await?;
            continue;
        }
        socket.write_all(answers.head).await?;
        for chunk in &answers.content {
            match pace {
                Some(pace) => tokio::time::sleep(pace).await,
                None => tokio::task::yield_now().await,
            }
            socket.write_all(chunk).await?;
        }
        if counts {
            socket.write_all(&answers.usage).await?;
        }
        socket.write_all(&answers.done).await?;
    }
}

/// Where the head and the whole request end in `input`; `None` when the peer is done.
async fn read_request(socket: &mut TcpStream, input: &mut Vec<u8>) -> io::Result<Option<(usize, usize)>> {
    loop {
        if let Some(at) = memchr::memmem::find(input, b"\r\n\r\n") {
            let head = at + 4;
            let end = head + header(&input[..head], "content-length").unwrap_or(0);
            if input.len() >= end {
                return Ok(Some((head, end)));
            }
        }
        if socket.read_buf(input).await? == 0 {
            return Ok(None);
        }
    }
}

/// A header's value as a number; `name` in lower case.
pub fn header(head: &[u8], name: &str) -> Option<usize> {
    head.split(|b| *b == b'\n').find_map(|line| {
        let (key, value) = line.split_at(line.iter().position(|b| *b == b':')?);
        key.eq_ignore_ascii_case(name.as_bytes()).then_some(())?;
        std::str::from_utf8(&value[1..]).ok()?.trim().parse().ok()
    })
}
