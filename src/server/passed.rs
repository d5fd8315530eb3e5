//! Listeners that a service manager opened before it started this process (`LISTEN_FDS`, sd_listen_fds(3)).
//!
//! They outlive the process: while it restarts, connections wait instead of being refused. Which listener is which is
//! told by its address alone, so that a unit cannot open what the configuration would have been refused for.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{IntoRawFd, OwnedFd};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt::socket_acceptconn;

use super::listen::Bound;

/// What was passed and is not used yet.
pub(super) struct Passed(Vec<Bound>);

impl Passed {
    /// Takes what was passed to this process. To be called once, before anything is opened.
    ///
    /// # Errors
    /// What was passed is not as announced, or no TCP listener.
    pub(super) fn from_environment() -> Result<Self, String> {
        let passed = sd_listen_fds::get().map_err(|error| error.to_string())?;
        let bound = |(number, (_, fd)): (usize, (_, sd_listen_fds::OwnedFd))| {
            let number = number + 3;
            listener(fd.into_std()).map_err(|error| format!("file descriptor {number} is no TCP listener: {error}"))
        };
        // All of them, also after one that is wrong: each is seen to.
        let all: Vec<Result<Bound, String>> = passed.into_iter().enumerate().map(bound).collect();
        all.into_iter().collect::<Result<_, _>>().map(Self)
    }

    /// The listener on this address, if it was passed.
    pub(super) fn take(&mut self, address: SocketAddr) -> Option<Bound> {
        let at = self.0.iter().position(|bound| bound.fits(address))?;
        Some(self.0.swap_remove(at))
    }

    /// The address of one that nobody took.
    pub(super) fn left_over(&self) -> Option<SocketAddr> {
        self.0.first().map(|bound| bound.address)
    }
}

fn listener(fd: OwnedFd) -> io::Result<Bound> {
    // Not for processes that this one starts: an upgrade hands listeners over in its own way.
    if let Err(error) = fcntl_setfd(&fd, FdFlags::CLOEXEC) {
        // Announced, but not there: nothing that could be closed.
        let _nothing = fd.into_raw_fd();
        return Err(error.into());
    }
    if !socket_acceptconn(&fd)? {
        return Err(io::Error::other("nobody listens on it"));
    }
    Bound::inherited(TcpListener::from(fd))
}
