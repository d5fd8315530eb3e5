//! Pages of a running process's admin port, for the subcommands that show them. Plain HTTP; blocks, within bounds.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::BytesMut;
use http::{Method, Uri};

use crate::http1::{BodyDecoder, Decoded, parse_response, response_framing};

/// One connect, read or write.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_HEAD: usize = 64 << 10;
const MOST_BODY: usize = 64 << 20;

/// A page of the admin port at `url`, or why there is none.
pub(super) fn page(url: &str, path: &str) -> Result<Vec<u8>, String> {
    let uri: Uri = url.parse().map_err(|_| wrong(url))?;
    let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http")).ok_or_else(|| wrong(url))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let request = format!(
        "GET {}{path} HTTP/1.1\r\nhost: {authority}\r\nuser-agent: faregate/{}\r\nconnection: close\r\n\r\n",
        uri.path().trim_end_matches('/'),
        env!("CARGO_PKG_VERSION")
    );
    let answered = connect(host, authority.port_u16().unwrap_or(80)).and_then(|stream| ask(stream, &request));
    match answered {
        Ok((200, body)) => Ok(body),
        Ok((status, _)) => Err(format!("{url}{path}: status {status}: is this the admin port of a Faregate?")),
        Err(error) => Err(format!("{url}: {error}; --admin names the admin address of a process that runs")),
    }
}

fn wrong(url: &str) -> String {
    format!("`{url}` is no URL such as http://127.0.0.1:4001")
}

fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ask(mut stream: TcpStream, request: &str) -> io::Result<(u16, Vec<u8>)> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {why}"));
    stream.write_all(request.as_bytes())?;
    let mut buffer = BytesMut::new();
    let head = loop {
        match parse_response(&mut buffer, MOST_HEAD).map_err(|error| invalid(error.to_string()))? {
            Some(head) if head.status >= 200 => break head,
            Some(_) => {}
            None => more(&mut stream, &mut buffer)?,
        }
    };
    let framing = response_framing(&head, &Method::GET).map_err(|error| invalid(error.to_string()))?;
    let (mut decoder, mut body) = (BodyDecoder::new(framing), Vec::new());
    loop {
        match decoder.decode(&mut buffer).map_err(|error| invalid(error.to_string()))? {
            Decoded::Data(data) if body.len() + data.len() > MOST_BODY => return Err(invalid("too large".into())),
            Decoded::Data(data) => body.extend_from_slice(&data),
            Decoded::Done => return Ok((head.status, body)),
            Decoded::NeedMore => more(&mut stream, &mut buffer)?,
        }
    }
}

/// Reads once more; the admin port says how long its answers are, so that an end is never wanted here.
fn more(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<()> {
    let mut chunk = [0; 16 << 10];
    match stream.read(&mut chunk)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        n => {
            buffer.extend_from_slice(&chunk[..n]);
            Ok(())
        }
    }
}
