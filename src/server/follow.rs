//! Tables of a control plane, put into use as a changed file is.

use std::sync::Arc;

use super::reload::Reloader;
use super::source::{Distributed, Source};
use crate::distribution::{Control, Table, Tables, follow};

/// Follows control for as long as the process lives.
pub(super) async fn run(control: Arc<Control>, reloader: Arc<Reloader>) {
    // What the process has started with it has just got, and nobody has kept it yet.
    if let Source::Distributed(Distributed { table, kept: false, .. }) = reloader.source() {
        control.keep(table).await;
    }
    follow(&control, &Receiver { from: control.address.authority.as_str().into(), reloader }).await;
}

struct Receiver {
    from: Arc<str>,
    reloader: Arc<Reloader>,
}

impl Tables for Receiver {
    fn held(&self) -> Option<Arc<str>> {
        self.reloader.source().version().cloned()
    }

    async fn take(&self, table: Table, again: bool) -> Result<(), String> {
        let server = Arc::new(self.reloader.server.clone());
        let source = Source::Distributed(Distributed { table, from: self.from.clone(), kept: false, server });
        let why = if again { "a table of control, once more" } else { "a table of control" };
        self.reloader.put(source, why).await.map_err(|errors| errors.join("\n"))
    }

    async fn kept(&self) {
        self.reloader.confirmed();
        // Control has taken back one that was refused: all is well again, and whoever asks should hear so.
        if !self.reloader.last().errors.is_empty() {
            let _logged = self.reloader.reload("control has taken a table back").await;
        }
    }
}
