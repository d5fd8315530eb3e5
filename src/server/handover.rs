//! Restart without dropping a call: a new process takes the listeners over from the one that runs.
//!
//! The running process waits on a Unix socket. A new one connects and is sent the open listeners (`SCM_RIGHTS`); from
//! then on both accept. Once the new one serves it says so; only then does the old one stop accepting and finish its
//! calls. A new process that fails before leaves the old one as it was.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// What goes with the listeners: this protocol's name and version.
const GREETING: &[u8] = b"faregate listeners 1\n";
/// The new process serves.
const READY: &[u8] = b"ready\n";
/// The old process accepts no more.
const GOING: &[u8] = b"going\n";
/// The new process must serve within this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running process's side.
pub(super) struct Offer {
    socket: tokio::net::UnixListener,
    listeners: [TcpListener; 2],
}

impl Offer {
    /// Waits on `path` from now on, readable by this user only. A socket file that nobody listens on is replaced, and
    /// so is that of a process that has just been replaced.
    ///
    /// # Errors
    /// The socket cannot be made. Needs a runtime.
    pub(super) fn open(path: &Path, api: TcpListener, admin: TcpListener) -> io::Result<Self> {
        let new = path.with_added_extension(format!("{}", std::process::id()));
        let _left_over = std::fs::remove_file(&new);
        let socket = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&new, path)?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: tokio::net::UnixListener::from_std(socket)?, listeners: [api, admin] })
    }

    /// Ends when another process has taken the listeners over and serves.
    pub(super) async fn taken(&self) {
        loop {
            match self.hand_over().await {
                Ok(()) => return,
                Err(error) => tracing::warn!(%error, "another process did not take over; this one goes on"),
            }
        }
    }

    async fn hand_over(&self) -> io::Result<()> {
        let (stream, _) = match self.socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                return Err(error);
            }
        };
        let mut stream = stream.into_std()?;
        let [api, admin] = &self.listeners;
        let listeners = [api.try_clone()?, admin.try_clone()?];
        let done = tokio::task::spawn_blocking(move || {
            stream.set_nonblocking(false)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            send(&stream, &listeners)?;
            tracing::info!("another process has asked for the listeners");
            expect(&mut stream, READY)?;
            stream.write_all(GOING)
        });
        done.await.map_err(io::Error::other)?
    }
}

/// The new process's side: listeners that another process has opened.
pub(super) struct Taken {
    pub(super) api: TcpListener,
    pub(super) admin: TcpListener,
    pub(super) old: Old,
}

/// The process that is replaced.
pub(super) struct Old(UnixStream);

/// Asks the process that listens on `path` for its listeners; `None` when there is no such process.
///
/// # Errors
/// There is one, but it does not hand them over.
pub(super) fn take(path: &Path) -> io::Result<Option<Taken>> {
    let stream = match UnixStream::connect(path) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let [api, admin] = receive(&stream)?;
    Ok(Some(Taken { api, admin, old: Old(stream) }))
}

impl Old {
    /// Says that this process serves; returns when the old one has heard it.
    ///
    /// # Errors
    /// The old process is gone, or goes on.
    pub(super) fn relieve(mut self) -> io::Result<()> {
        self.0.write_all(READY)?;
        expect(&mut self.0, GOING)
    }
}

fn send(stream: &UnixStream, listeners: &[TcpListener; 2]) -> io::Result<()> {
    let fds = listeners.each_ref().map(AsFd::as_fd);
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::other("no room for the listeners"));
    }
    sendmsg(stream, &[IoSlice::new(GREETING)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(stream: &UnixStream) -> io::Result<[TcpListener; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut greeting = [0; GREETING.len()];
    let got = recvmsg(stream, &mut [IoSliceMut::new(&mut greeting)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds: Vec<OwnedFd> = control
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
            _ => Vec::new(),
        })
        .collect();
    if greeting != GREETING || got.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the other process speaks another protocol"));
    }
    let listeners: Vec<TcpListener> = fds.into_iter().map(TcpListener::from).collect();
    listeners.try_into().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the listeners did not come"))
}

fn expect(stream: &mut UnixStream, word: &[u8]) -> io::Result<()> {
    let mut heard = vec![0; word.len()];
    stream.read_exact(&mut heard)?;
    if heard == word { Ok(()) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener() -> TcpListener {
        TcpListener::bind("127.0.0.1:0").unwrap()
    }

    #[tokio::test]
    async fn listeners_change_hands_and_a_new_process_that_fails_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("upgrade");
        assert!(take(&path).unwrap().is_none());
        let (api, admin) = (listener(), listener());
        let addresses = [api.local_addr().unwrap(), admin.local_addr().unwrap()];
        let offer = Offer::open(&path, api, admin).unwrap();
        let at = path.clone();
        let failing = tokio::task::spawn_blocking(move || drop(take(&at).unwrap().unwrap()));
        let first = offer.hand_over().await;
        failing.await.unwrap();
        assert_eq!(first.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let at = path.clone();
        let new = tokio::task::spawn_blocking(move || {
            let taken = take(&at).unwrap().unwrap();
            let got = [taken.api.local_addr().unwrap(), taken.admin.local_addr().unwrap()];
            taken.old.relieve().unwrap();
            got
        });
        offer.taken().await;
        assert_eq!(new.await.unwrap(), addresses);
        drop(offer);
        assert!(take(&path).unwrap().is_none(), "a socket file without a process");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
