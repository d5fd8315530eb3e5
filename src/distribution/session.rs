//! One connection to control, from its making to its end.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::time::Duration;

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::follow::{Control, Table, Tables};
use super::{Channel, MAX_SMALL, PATH, PROTOCOL, ToControl, ToSidecar, trust, unpack};
use crate::http1::{self, parse_response};

/// From connecting to the answer.
const OPENING: Duration = Duration::from_secs(20);
/// For control to take a frame.
const WRITE: Duration = Duration::from_secs(20);
/// Without a ping that says otherwise, control is gone when nothing came for so long.
const SILENCE: Duration = Duration::from_secs(90);
/// A token is no longer.
const MAX_TOKEN: u64 = 64 << 10;

/// An open connection.
pub(super) struct Session<S = TlsStream<TcpStream>>(Channel<S>);

/// How a connection ended.
pub(super) enum End {
    /// Control has said why.
    Bye(String),
    /// It broke; whether control had been heard.
    Broken(String),
}

impl Session {
    /// Connects, and is let in.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(super) async fn open(control: &Control) -> Result<Self, String> {
        let token = token(&control.token)?;
        let config = control.authorities.client(control.trust().as_deref())?;
        let opening = async {
            let socket = control.address.connect().await.map_err(shown)?;
            let stream = TlsConnector::from(config).connect(control.address.name.clone(), socket).await;
            let mut channel = Channel::new(stream.map_err(|error| format!("TLS: {error}"))?);
            channel.send(&request(&control.address.authority, &token)).await.map_err(shown)?;
            answered(&mut channel).await?;
            Ok(Self(channel))
        };
        timeout(OPENING, opening).await.unwrap_or_else(|_| Err("no answer in time".into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    pub(super) async fn say(&mut self, message: &ToControl) -> io::Result<()> {
        let mut out = Vec::new();
        message.write(&mut out);
        timeout(WRITE, self.0.send(&out)).await?
    }

    /// The next message. Cancel-safe.
    pub(super) async fn hear(&mut self) -> io::Result<ToSidecar> {
        let frame = self.0.next(ToSidecar::most).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        ToSidecar::read(frame).map_err(io::Error::other)
    }

    /// Takes tables until the connection ends.
    pub(super) async fn serve(mut self, control: &Control, tables: &impl Tables) -> End {
        match self.run(control, tables).await {
            Ok(reason) => End::Bye(reason),
            Err(error) => End::Broken(if error.kind() == io::ErrorKind::UnexpectedEof {
                "control closed the connection".into()
            } else {
                error.to_string()
            }),
        }
    }

    async fn run(&mut self, control: &Control, tables: &impl Tables) -> io::Result<String> {
        let hello = ToControl::Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            table: tables.held().map(|hash| hash.to_string()),
        };
        self.say(&hello).await?;
        let (mut silence, mut heard) = (SILENCE, Instant::now());
        // A table that was refused, and when to try it again.
        let mut refused: Option<(Table, Instant)> = None;
        loop {
            let again = refused.as_ref().map_or(heard, |(_, at)| *at);
            let message = tokio::select! {
                // First: what came while a table was compiled is no silence.
                biased;
                message = self.hear() => message?,
                () = sleep_until(heard + silence) => {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "control has gone silent"));
                }
                () = sleep_until(again), if refused.is_some() => {
                    if let Some((table, _)) = refused.take() {
                        refused = self.put(control, tables, table, true).await?;
                    }
                    continue;
                }
            };
            heard = Instant::now();
            control.standing.heard();
            match message {
                ToSidecar::Table { hash, packed } => {
                    let unpacked = tokio::task::spawn_blocking(move || unpack(&packed)).await;
                    refused = match unpacked.map_err(io::Error::other)? {
                        Ok(text) => {
                            self.put(control, tables, Table { hash: hash.into(), text: text.into() }, false).await?
                        }
                        Err(error) => {
                            self.say(&ToControl::Nack { hash, reason: error.to_string() }).await?;
                            None
                        }
                    };
                }
                ToSidecar::Keep { hash } if tables.held().is_some_and(|held| *held == *hash) => {
                    refused = None;
                    tables.kept().await;
                    control.standing.taken();
                    self.say(&ToControl::Ack { hash }).await?;
                }
                ToSidecar::Keep { .. } => return Err(io::Error::other("control takes this process for another")),
                ToSidecar::Trust { pem } => trust_from_now_on(control, pem).await,
                ToSidecar::Ping { next } => {
                    silence = (next * 3).max(Duration::from_secs(3));
                    self.say(&ToControl::Pong).await?;
                }
                ToSidecar::Bye { reason } => return Ok(reason),
                ToSidecar::None => {
                    refused = None;
                    tracing::info!("control has no table for this namespace: the one in use stays");
                }
                ToSidecar::Unknown => {}
            }
        }
    }

    /// Puts a table into use and says how that went; gives a refused one back, with the time to try it again.
    async fn put(
        &mut self,
        control: &Control,
        tables: &impl Tables,
        table: Table,
        again: bool,
    ) -> io::Result<Option<(Table, Instant)>> {
        let hash = table.hash.to_string();
        match tables.take(table.clone(), again).await {
            Ok(()) => {
                control.keep(table).await;
                control.standing.taken();
                self.say(&ToControl::Ack { hash }).await?;
                Ok(None)
            }
            Err(reason) => {
                control.standing.refused(&reason);
                if !again {
                    self.say(&ToControl::Nack { hash, reason }).await?;
                }
                Ok(Some((table, Instant::now() + control.again)))
            }
        }
    }
}

async fn trust_from_now_on(control: &Control, pem: String) {
    if let Err(error) = trust::certificates(&pem) {
        return tracing::warn!(error, "authorities that control has named are of no use");
    }
    if control.set_trust(&pem) {
        let keeper = control.keeper.clone();
        let kept = tokio::task::spawn_blocking(move || keeper.keep_trust(&pem)).await;
        match kept.map_err(io::Error::other).flatten() {
            Ok(()) => tracing::info!("control has named the authorities to trust"),
            Err(error) => tracing::warn!(%error, "authorities cannot be kept for the next start"),
        }
    }
}

fn shown(error: impl Display) -> String {
    error.to_string()
}

fn token(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let failed = |error: &dyn Display| format!("token {}: {error}", path.display());
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut token = String::new();
    file.take(MAX_TOKEN).read_to_string(&mut token).map_err(|error| failed(&error))?;
    let token = token.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(failed(&"no token in it"));
    }
    Ok(token.to_owned())
}

fn request(authority: &str, token: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(512 + token.len());
    http1::write_request_line(&mut out, &Method::GET, PATH);
    for (name, value) in [
        ("host", authority),
        ("user-agent", concat!("faregate/", env!("CARGO_PKG_VERSION"))),
        ("authorization", &format!("Bearer {token}")),
        ("connection", "Upgrade"),
        ("upgrade", PROTOCOL),
    ] {
        http1::write_header(&mut out, name.as_bytes(), value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// Reads the answer to the request; what follows it are frames.
async fn answered(channel: &mut Channel<TlsStream<TcpStream>>) -> Result<(), String> {
    loop {
        match parse_response(&mut channel.input, MAX_SMALL).map_err(|error| format!("no HTTP answer: {error}"))? {
            Some(head) if head.status == 101 => return Ok(()),
            Some(head) => {
                while channel.input.len() < MAX_SMALL && channel.fill().await.is_ok_and(|n| n > 0) {}
                let said = String::from_utf8_lossy(&channel.input);
                let said: String = said.chars().filter(|c| !c.is_control()).take(500).collect();
                return Err(format!("control answers {}: {said}", head.status));
            }
            None if channel.fill().await.map_err(shown)? == 0 => return Err("control closed the connection".into()),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests;
