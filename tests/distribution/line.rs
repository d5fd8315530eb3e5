//! A line to control on which a test says what it likes.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use faregate::distribution::{Channel, ToControl, ToSidecar};
use rustls::pki_types::ServerName;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::support::PATIENCE;
use crate::support::tls::Authority;

pub type Line = Channel<TlsStream<TcpStream>>;

/// TLS is up, nothing is said yet.
pub async fn connect(authority: &Authority, to: SocketAddr) -> io::Result<Line> {
    over(authority, TcpSocket::new_v4()?, to).await
}

/// The same with hardly any room for what comes.
pub async fn connect_narrow(authority: &Authority, to: SocketAddr) -> io::Result<Line> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(8 << 10)?;
    over(authority, socket, to).await
}

async fn over(authority: &Authority, socket: TcpSocket, to: SocketAddr) -> io::Result<Line> {
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(authority.client(&["http/1.1"])));
    let socket = socket.connect(to).await?;
    Ok(Channel::new(connector.connect(ServerName::from(to.ip()), socket).await?))
}

/// The request that opens the way for frames.
pub fn request(token: &str) -> String {
    format!(
        "GET /v1/tables HTTP/1.1\r\nhost: control\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\nupgrade: \
         faregate-tables/9, faregate-tables/1\r\n\r\n"
    )
}

/// Sends a request and returns the answer's head and what came with it, up to the connection's end where it ends.
pub async fn ask(line: &mut Line, request: &str) -> String {
    line.send(request.as_bytes()).await.unwrap();
    let all = async {
        let mut seen = Vec::new();
        // What is refused ends; what is not goes on with frames.
        while line.fill().await.is_ok_and(|n| n > 0) {
            seen = line.input.to_vec();
            if seen.starts_with(b"HTTP/1.1 101") && seen.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    tokio::time::timeout(PATIENCE, all).await.expect("an answer")
}

/// A line that has been let in and has said hello.
pub async fn opened(authority: &Authority, to: SocketAddr, token: &str, table: Option<&str>) -> Line {
    let_in(connect(authority, to).await.unwrap(), token, table).await
}

/// The same on a line that is there.
pub async fn let_in(mut line: Line, token: &str, table: Option<&str>) -> Line {
    let answer = ask(&mut line, &request(token)).await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    let head = line.input.windows(4).position(|end| end == b"\r\n\r\n").unwrap();
    let _head = line.input.split_to(head + 4);
    say(&mut line, &ToControl::Hello { version: "0".into(), table: table.map(Into::into) }).await;
    line
}

pub async fn say(line: &mut Line, message: &ToControl) {
    let mut out = Vec::new();
    message.write(&mut out);
    line.send(&out).await.unwrap();
}

/// The next message; `None` at the end.
pub async fn hear(line: &mut Line) -> Option<ToSidecar> {
    let frame = tokio::time::timeout(PATIENCE, line.next(ToSidecar::most)).await.expect("a message or the end");
    frame.ok().flatten().map(|frame| ToSidecar::read(frame).unwrap())
}

/// Hears until this comes.
pub async fn hear_until(line: &mut Line, wanted: impl Fn(&ToSidecar) -> bool) -> ToSidecar {
    loop {
        let message = hear(line).await.expect("the connection ended");
        if wanted(&message) {
            return message;
        }
    }
}

/// Reads to the connection's end, which must come.
pub async fn ends(line: &mut Line) {
    let rest = async { while line.stream_mut().read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {} };
    tokio::time::timeout(PATIENCE, rest).await.expect("the connection's end");
}

/// A pause in which others work.
pub async fn a_moment() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}
