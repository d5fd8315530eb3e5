//! The state of an authority as a Secret: `ca.crt`, `ca.key`, `tls.crt`, `tls.key`.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ObjectMeta;

use super::issue;
use super::rotation::{Authority, Leaf, State};

/// What a Secret holds; nothing where it holds nothing of use.
pub(super) fn read(secret: &Secret) -> State {
    let data = secret.data.as_ref();
    let text = |key: &str| {
        let bytes = data.and_then(|data| data.get(key)).map(|bytes| bytes.0.clone()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    };
    let keys: BTreeMap<Vec<u8>, String> = issue::keys(&text("ca.key")).into_iter().collect();
    let authorities = issue::read(&text("ca.crt")).unwrap_or_else(|error| {
        tracing::warn!(%error, "the authorities in the Secret cannot be read, and are made anew");
        Vec::new()
    });
    let authorities = authorities.into_iter().map(|certificate| {
        let key = keys.get(&certificate.public).cloned();
        Authority { certificate, key }
    });
    let leaf = issue::read(&text("tls.crt")).ok().and_then(|chain| chain.into_iter().next());
    let own = |certificate: &issue::Certificate, key: &str| {
        issue::keys(key).first().is_some_and(|(public, _)| *public == certificate.public)
    };
    let key = text("tls.key");
    let leaf = leaf.filter(|certificate| own(certificate, &key)).map(|certificate| Leaf { certificate, key });
    State { authorities: authorities.collect(), leaf }
}

/// The Secret of this state, on top of the one that was read.
pub(super) fn write(name: &str, before: Option<&Secret>, state: &State) -> Secret {
    let metadata = before.map(|secret| secret.metadata.clone()).unwrap_or_else(|| ObjectMeta {
        name: Some(name.into()),
        labels: Some(BTreeMap::from([("app.kubernetes.io/managed-by".into(), "faregate-control".into())])),
        ..ObjectMeta::default()
    });
    let keys: String = state.authorities.iter().filter_map(|authority| authority.key.as_deref()).collect();
    let (chain, key) = state.served().unwrap_or_default();
    let parts = [("ca.crt", state.trust()), ("ca.key", keys), ("tls.crt", chain.into()), ("tls.key", key.into())];
    let data = parts.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).collect();
    Secret { metadata, data: Some(data), ..Secret::default() }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::super::rotation::Policy;
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let hours = |n: u64| Duration::from_secs(n * 3600);
        let names = BTreeSet::from(["a.svc".to_owned()]);
        let policy = Policy { authority: hours(60), certificate: hours(9), settle: hours(1), skew: hours(0), names };
        let mut state = State::default();
        // With a new authority beside the old one, whose key is kept until the new one signs; and after that.
        for hour in [0, 40, 42] {
            state = state.renewed(1_800_000_000 + hour * 3600, &policy, true).unwrap().unwrap();
            let secret = write("s", None, &state);
            assert!(read(&secret) == state, "at hour {hour}");
        }
        assert_eq!(state.authorities.len(), 2);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        assert!(read(&Secret::default()) == State::default());
        let garbage = [("ca.crt", "x"), ("tls.crt", "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----")];
        let data = garbage.map(|(key, text)| (key.to_owned(), ByteString(text.into()))).into();
        assert!(read(&Secret { data: Some(data), ..Secret::default() }) == State::default());
    }
}
