//! Certificates that somebody else makes, mounted as a directory: `tls.crt`, `tls.key`, `ca.crt`. Read again when they
//! change; a set that does not fit together, as while it is being written, changes nothing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Certificates;

/// Between two looks. Kubelet takes a minute to write a Secret that was changed.
const PAUSE: Duration = Duration::from_secs(2);

/// Serves what the directory holds, for ever.
pub(in crate::control) async fn follow(directory: PathBuf, certificates: Certificates) {
    let (mut known, mut said) = (None, String::new());
    loop {
        match read(&directory).await {
            Ok(set) if known.as_ref() == Some(&set) => {}
            Ok(set) => match certificates.install(&set[0], &set[1], &set[2]) {
                Ok(()) => {
                    said.clear();
                    known = Some(set);
                }
                Err(error) => say(&directory, &mut said, error),
            },
            Err(error) => say(&directory, &mut said, error.to_string()),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Once each.
fn say(directory: &Path, said: &mut String, error: String) {
    if *said != error {
        tracing::error!(%error, directory = %directory.display(), "the certificate is of no use; the one before stays");
        *said = error;
    }
}

async fn read(directory: &Path) -> io::Result<[String; 3]> {
    let one = |name: &str| {
        let path = directory.join(name);
        async move {
            let text = tokio::fs::read_to_string(&path).await;
            text.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
        }
    };
    Ok([one("tls.crt").await?, one("tls.key").await?, one("ca.crt").await?])
}
