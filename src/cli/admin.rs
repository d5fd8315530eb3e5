//! Pages of a running process's admin port, for the subcommands that show them.

use std::time::Duration;

use http::Method;

use crate::fetch::{Bounds, Site};

const PATIENCE: Duration = Duration::from_secs(10);
const BOUNDS: Bounds = Bounds { connect: PATIENCE, patience: PATIENCE, total: Duration::from_secs(60), most: 64 << 20 };

/// A page of the admin port at `url`, or why there is none.
pub(super) fn page(url: &str, path: &str) -> Result<Vec<u8>, String> {
    let wrong = |error| format!("`{url}` is no URL such as http://127.0.0.1:4001: {error}");
    let site = Site::new(url, None).map_err(wrong)?;
    match site.ask(&Method::GET, &format!("{}{path}", site.path()), &[], b"", &BOUNDS) {
        Ok(reply) if reply.head.status == 200 => Ok(reply.body),
        Ok(reply) => Err(format!("{url}{path}: status {}: is this the admin port of a Faregate?", reply.head.status)),
        Err(error) => Err(format!("{url}: {error}; --admin names the admin address of a process that runs")),
    }
}
