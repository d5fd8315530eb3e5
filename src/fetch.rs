//! One HTTP/1.1 request on the caller's thread, over a connection of its own, with TLS for `https`: for exporters and
//! subcommands, never for calls of clients.
//!
//! Blocks, within the bounds that its caller gives. Knows nothing of what is asked. Start with [`Site::new`], then
//! [`Site::ask`].

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::Method;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::http1::{BodyDecoder, Decoded, ResponseHead, parse_response, response_framing};

/// An answer's head is no longer.
const MOST_HEAD: usize = 64 << 10;

/// Why a site cannot be asked at all.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// Not an URL that leads to one.
    #[error("no http:// or https:// URL of a host")]
    Url,
    /// Certificates that cannot be used.
    #[error("{0}")]
    Certificates(String),
}

/// A server that can be asked.
pub struct Site {
    host: String,
    port: u16,
    authority: String,
    path: String,
    tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
}

/// How long and how much.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// To connect to one address.
    pub connect: Duration,
    /// One read or write.
    pub patience: Duration,
    /// From connected to the end of the answer.
    pub total: Duration,
    /// Bytes of an answer's body.
    pub most: usize,
}

/// An answer, whole.
#[derive(Debug)]
pub struct Reply {
    /// Status and headers.
    pub head: ResponseHead,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Site {
    /// The server at a base URL. For `https` the authorities in the file `ca` are trusted, or the system's.
    ///
    /// # Errors
    /// The URL leads nowhere, or carries credentials; the certificates cannot be used.
    pub fn new(url: &str, ca: Option<&Path>) -> Result<Self, SiteError> {
        let uri: http::Uri = url.trim().parse().map_err(|_| SiteError::Url)?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(SiteError::Url),
        };
        let authority = uri.authority().filter(|a| !a.host().is_empty() && !a.as_str().contains('@'));
        let authority = authority.ok_or(SiteError::Url)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let tls = if secure {
            let name = ServerName::try_from(host.clone()).map_err(|_| SiteError::Url)?;
            Some((Arc::new(trusting(ca).map_err(SiteError::Certificates)?), name))
        } else {
            None
        };
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            authority: authority.to_string(),
            path: uri.path().trim_end_matches('/').to_owned(),
            host,
            tls,
        })
    }

    /// Host and port.
    pub fn shown(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The base URL's path, without a slash at its end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sends one request and waits for its answer. `headers` must be such that HTTP can carry.
    ///
    /// # Errors
    /// It cannot be reached, breaks off, takes too long, says too much, or does not speak HTTP.
    pub fn ask(
        &self,
        method: &Method,
        path: &str,
        headers: &[(String, String)],
        body: &[u8],
        bounds: &Bounds,
    ) -> io::Result<Reply> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nuser-agent: faregate/{}\r\nconnection: close\r\n",
            self.authority,
            env!("CARGO_PKG_VERSION")
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        if *method != Method::GET {
            request.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        let request = [request.as_bytes(), b"\r\n", body].concat();
        let socket = self.connect(bounds)?;
        let mut exchange = Exchange { deadline: Instant::now() + bounds.total, buffer: BytesMut::new() };
        match &self.tls {
            None => exchange.run(socket, method, &request, bounds.most),
            Some((config, name)) => {
                let client = ClientConnection::new(Arc::clone(config), name.clone()).map_err(io::Error::other)?;
                exchange.run(StreamOwned::new(client, socket), method, &request, bounds.most)
            }
        }
    }

    fn connect(&self, bounds: &Bounds) -> io::Result<TcpStream> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, bounds.connect) {
                Ok(socket) => {
                    socket.set_read_timeout(Some(bounds.patience))?;
                    socket.set_write_timeout(Some(bounds.patience))?;
                    socket.set_nodelay(true)?;
                    return Ok(socket);
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

fn trusting(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let found: Vec<CertificateDer<'static>> = match ca {
        Some(ca) => CertificateDer::pem_file_iter(ca).and_then(Iterator::collect).map_err(|error| error.to_string())?,
        None => rustls_native_certs::load_native_certs().map_err(|error| error.to_string())?,
    };
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(found).0 == 0 {
        return Err("no certificate in it".into());
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// One request and its answer.
struct Exchange {
    deadline: Instant,
    buffer: BytesMut,
}

impl Exchange {
    fn run(
        &mut self,
        mut stream: impl Read + Write,
        method: &Method,
        request: &[u8],
        most: usize,
    ) -> io::Result<Reply> {
        stream.write_all(request)?;
        stream.flush()?;
        let head = loop {
            match parse_response(&mut self.buffer, MOST_HEAD).map_err(|error| invalid(&error))? {
                Some(ResponseHead { status: 100..=199, .. }) => {}
                Some(head) => break head,
                None if self.fill(&mut stream)? == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        };
        let mut decoder = BodyDecoder::new(response_framing(&head, method).map_err(|error| invalid(&error))?);
        let mut body = Vec::new();
        loop {
            match decoder.decode(&mut self.buffer).map_err(|error| invalid(&error))? {
                Decoded::Data(data) if body.len() + data.len() > most => {
                    return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is too large"));
                }
                Decoded::Data(data) => body.extend_from_slice(&data),
                Decoded::Done => break,
                Decoded::NeedMore if self.fill(&mut stream)? == 0 => {
                    decoder.eof().map_err(|error| invalid(&error))?;
                    break;
                }
                Decoded::NeedMore => {}
            }
        }
        Ok(Reply { head, body })
    }

    /// Reads once more; 0 is the end.
    fn fill(&mut self, stream: &mut impl Read) -> io::Result<usize> {
        let mut piece = [0; 16 << 10];
        loop {
            if Instant::now() >= self.deadline {
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the answer takes too long"));
            }
            return match stream.read(&mut piece) {
                Ok(n) => {
                    self.buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
                    Ok(n)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // A TLS peer that closes without a word: the framing tells whether something is missing.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
                Err(error) => Err(error),
            };
        }
    }
}

fn invalid(error: &impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not an HTTP answer: {error}"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    const BOUNDS: Bounds = Bounds {
        connect: Duration::from_secs(30),
        patience: Duration::from_secs(30),
        total: Duration::from_secs(60),
        most: 8,
    };

    /// A server that reads one request and answers with this; what the client makes of it.
    fn answered(answer: &'static str) -> io::Result<Reply> {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/base/", listener.local_addr().expect("its address"));
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut seen = Vec::new();
            while !seen.ends_with(b"\r\n\r\nbody") {
                let mut piece = [0; 1024];
                let n = stream.read(&mut piece).expect("a request");
                seen.extend_from_slice(&piece[..n]);
            }
            stream.write_all(answer.as_bytes()).expect("written");
            seen
        });
        let site = Site::new(&url, None).expect("a site");
        let headers = [("x-key".to_owned(), "k".to_owned())];
        let reply = site.ask(&Method::POST, &format!("{}/page", site.path()), &headers, b"body", &BOUNDS);
        let seen = String::from_utf8(server.join().expect("the server")).expect("text");
        assert!(seen.starts_with("POST /base/page HTTP/1.1\r\nhost: 127.0.0.1:"), "{seen}");
        assert!(seen.contains("\r\nx-key: k\r\ncontent-length: 4\r\n\r\nbody"), "{seen}");
        reply
    }

    #[test]
    fn an_answer_is_whole_by_its_framing() {
        for answer in [
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 Busy\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}",
            "HTTP/1.1 503 Busy\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
            "HTTP/1.1 503 Busy\r\nretry-after: 7\r\n\r\n{}",
        ] {
            let reply = answered(answer).expect(answer);
            assert_eq!((reply.head.status, &*reply.body), (503, &b"{}"[..]), "{answer}");
            assert_eq!(reply.head.headers.get("retry-after"), Some(&b"7"[..]));
        }
    }

    #[test]
    fn what_is_no_whole_answer_is_an_error() {
        for (answer, kind) in [
            ("", io::ErrorKind::UnexpectedEof),
            ("SSH-2.0-x\r\n", io::ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}", io::ErrorKind::InvalidData),
            ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n123456789", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(answered(answer).expect_err(answer).kind(), kind, "{answer}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for url in ["", "host:4317", "ftp://host", "grpc://c:4317", "http://", "http://u:p@c", "/api"] {
            assert!(matches!(Site::new(url, None), Err(SiteError::Url)), "{url}");
        }
        let missing = Site::new("https://c", Some(Path::new("/nowhere/ca.pem")));
        assert!(matches!(missing, Err(SiteError::Certificates(_))));
        let shown = |url| Site::new(url, None).map(|site| (site.shown(), site.path));
        assert_eq!(shown("http://[::1]:1/a/").expect("a site"), ("::1:1".into(), "/a".into()));
        assert_eq!(shown("http://c").expect("a site"), ("c:80".into(), String::new()));
    }
}
