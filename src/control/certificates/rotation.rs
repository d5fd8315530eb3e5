//! When an authority of our own and the certificate that it signs are renewed, and in what order, so that whoever trusts
//! what was published a while ago trusts what is served now.
//!
//! An authority is renewed after two thirds of its life. The new one is published beside the old one at once, but signs
//! nothing before it has settled: until then, those who check may not have heard of it. The old one stays published until it
//! expires. A certificate is renewed after two thirds of its life, or when another authority is to sign.
//!
//! Pure: time is an argument. Must not know where the state is kept. Start with [`State::renewed`].

use std::collections::BTreeSet;
use std::time::Duration;

use super::issue::{self, Certificate, Validity};

/// How long things hold.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Life of an authority.
    pub authority: Duration,
    /// Life of a certificate.
    pub certificate: Duration,
    /// How long an authority is published before it signs.
    pub settle: Duration,
    /// How far clocks may differ: certificates hold from so long before they are made.
    pub skew: Duration,
    /// The host names and addresses of the certificate.
    pub names: BTreeSet<String>,
}

/// What is published, and what signs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The newest first.
    pub(super) authorities: Vec<Authority>,
    pub(super) leaf: Option<Leaf>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    /// Forgotten once a newer one signs.
    pub(super) key: Option<String>,
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) certificate: Certificate,
    pub(super) key: String,
}

impl Policy {
    /// What is wrong with it.
    pub fn problem(&self) -> Option<String> {
        let Self { authority, certificate, settle, .. } = self;
        if *settle * 6 > *authority {
            return Some(format!("an authority that holds {authority:?} has no time to settle for {settle:?}"));
        }
        if certificate.as_secs() < 3 || certificate > authority {
            return Some(format!("a certificate cannot hold {certificate:?} where its authority holds {authority:?}"));
        }
        None
    }

    fn validity(&self, now: i64, life: Duration) -> Validity {
        Validity { from: now - seconds(self.skew), until: now + seconds(life) }
    }

    fn made(&self, certificate: &Certificate) -> i64 {
        certificate.from + seconds(self.skew)
    }

    /// Whether two thirds of its life are over.
    fn is_due(&self, certificate: &Certificate, now: i64) -> bool {
        let made = self.made(certificate);
        now >= made + (certificate.until - made) * 2 / 3
    }
}

impl State {
    /// What is to hold from `now` on (seconds since 1970); `None` where nothing changes. Unless `spread`, what was published
    /// last has not reached all who check, and no other authority signs than did.
    ///
    /// # Errors
    /// A certificate cannot be made.
    pub fn renewed(&self, now: i64, policy: &Policy, spread: bool) -> Result<Option<Self>, String> {
        let mut next = self.clone();
        next.authorities.retain(|authority| authority.certificate.until > now);
        let newest = next.authorities.first();
        if newest.is_none_or(|newest| newest.key.is_none() || policy.is_due(&newest.certificate, now)) {
            let subject = format!("Faregate control plane {now}");
            let (certificate, key) = issue::authority(&subject, policy.validity(now, policy.authority))?;
            next.authorities.insert(0, Authority { certificate, key: Some(key) });
        }
        let signer = next.signer(now, policy, spread);
        if let Some(Authority { certificate: signer, key: Some(key) }) = next.authorities.get(signer)
            && next.needs_leaf(signer, now, policy)
        {
            let mut validity = policy.validity(now, policy.certificate);
            validity.until = validity.until.min(signer.until);
            let (certificate, key) = issue::leaf(&policy.names, validity, (signer, key))?;
            next.leaf = Some(Leaf { certificate, key });
        }
        // Whoever signs no more, cannot.
        next.authorities.iter_mut().skip(signer + 1).for_each(|older| older.key = None);
        Ok((next != *self).then_some(next))
    }

    /// Which authority is to sign, by its place.
    fn signer(&self, now: i64, policy: &Policy, spread: bool) -> usize {
        let can = |at: &usize| self.authorities.get(*at).is_some_and(|authority| authority.key.is_some());
        let all = || (0..self.authorities.len()).filter(can);
        let signed = self.leaf.as_ref().map(|leaf| leaf.certificate.issuer.as_str());
        let signs = |at: &usize| self.authorities.get(*at).map(|a| a.certificate.subject.as_str()) == signed;
        let settled = |at: &usize| {
            let certificate = self.authorities.get(*at).map(|authority| &authority.certificate);
            certificate.is_some_and(|c| policy.made(c) + seconds(policy.settle) <= now)
        };
        let stays = if spread { None } else { all().find(signs) };
        // At the very first there is none that has settled: the one that has been there longest will have to do.
        stays.or_else(|| all().find(settled)).or_else(|| all().next_back()).unwrap_or(0)
    }

    fn needs_leaf(&self, signer: &Certificate, now: i64, policy: &Policy) -> bool {
        self.leaf.as_ref().is_none_or(|Leaf { certificate, .. }| {
            certificate.issuer != signer.subject || certificate.names != policy.names || policy.is_due(certificate, now)
        })
    }

    /// Whether there is a certificate to serve, of an authority that is published, and an authority that can go on.
    pub(super) fn is_whole(&self) -> bool {
        let issuer = self.leaf.as_ref().map(|leaf| leaf.certificate.issuer.as_str());
        self.authorities.first().is_some_and(|newest| newest.key.is_some())
            && self.authorities.iter().any(|authority| Some(authority.certificate.subject.as_str()) == issuer)
    }

    /// The authorities as PEM, the newest first.
    pub fn trust(&self) -> String {
        self.authorities.iter().map(|authority| authority.certificate.pem.as_str()).collect()
    }

    /// The certificate to serve and its key, as PEM.
    pub fn served(&self) -> Option<(&str, &str)> {
        self.leaf.as_ref().map(|leaf| (leaf.certificate.pem.as_str(), leaf.key.as_str()))
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier;
    use rustls::crypto::ring;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    const START: i64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    fn policy() -> Policy {
        let days = |n: u64| Duration::from_secs(n * DAY);
        let names = BTreeSet::from(["control.faregate-system.svc".to_owned(), "10.0.0.1".to_owned()]);
        Policy { authority: days(360), certificate: days(90), settle: days(1), skew: days(0), names }
    }

    /// Whether who trusts `trust` takes what `state` serves at a time.
    fn is_trusted(state: &State, trust: &str, now: i64) -> Result<(), String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(trust.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let leaf = CertificateDer::from_pem_slice(state.served().unwrap().0.as_bytes()).unwrap();
        let name = ServerName::try_from("control.faregate-system.svc").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap()));
        verifier.verify_server_cert(&leaf, &[], &name, &[], now).map(drop).map_err(|error| error.to_string())
    }

    fn step(state: &mut State, now: i64, policy: &Policy, spread: bool) -> bool {
        let next = state.renewed(now, policy, spread).unwrap();
        let changed = next.is_some();
        *state = next.unwrap_or_else(|| state.clone());
        changed
    }

    #[test]
    fn nothing_becomes_an_authority_and_a_certificate_and_then_stays() {
        let (mut state, policy) = (State::default(), policy());
        assert!(step(&mut state, START, &policy, true));
        assert_eq!((state.authorities.len(), state.leaf.is_some()), (1, true));
        assert_eq!(is_trusted(&state, &state.trust(), START), Ok(()));
        assert!(!step(&mut state, START + 59 * DAY as i64, &policy, true));
        let served = state.clone();
        assert!(step(&mut state, START + 60 * DAY as i64, &policy, true));
        assert_ne!(state.served(), served.served());
        assert_eq!(state.trust(), served.trust());
    }

    #[test]
    fn another_authority_is_published_before_it_signs() {
        let (mut state, policy) = (State::default(), policy());
        let at = |days: i64| START + days * DAY as i64;
        step(&mut state, at(0), &policy, true);
        let old = state.trust();
        for day in (1..240).step_by(10) {
            step(&mut state, at(day), &policy, true);
        }
        assert_eq!(state.trust(), old);
        assert!(step(&mut state, at(240), &policy, true));
        assert_eq!(state.authorities.len(), 2);
        assert_eq!(is_trusted(&state, &old, at(240)), Ok(()));
        // Settled, but not heard of by all.
        step(&mut state, at(242), &policy, false);
        assert_eq!(is_trusted(&state, &old, at(242)), Ok(()));
        assert!(step(&mut state, at(243), &policy, true));
        assert!(is_trusted(&state, &old, at(243)).is_err());
        assert_eq!(is_trusted(&state, &state.trust(), at(243)), Ok(()));
        assert!(state.authorities[1].key.is_none(), "the old one signs no more");
        step(&mut state, at(361), &policy, true);
        assert_eq!(state.authorities.len(), 1);
    }

    #[test]
    fn other_names_want_another_certificate() {
        let (mut state, mut policy) = (State::default(), policy());
        step(&mut state, START, &policy, true);
        policy.names.insert("other.svc".into());
        assert!(step(&mut state, START + 1, &policy, true));
        assert_eq!(state.leaf.as_ref().unwrap().certificate.names, policy.names);
    }

    #[test]
    fn lives_that_do_not_fit_are_refused() {
        let good = policy();
        assert_eq!(good.problem(), None);
        assert!(Policy { settle: Duration::from_secs(100 * DAY), ..good.clone() }.problem().is_some());
        assert!(Policy { certificate: Duration::from_secs(400 * DAY), ..good.clone() }.problem().is_some());
        assert!(Policy { certificate: Duration::from_secs(1), ..good }.problem().is_some());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        /// Whenever the leader looks, and whether or not its news got through: who has the trust of a while ago takes what
        /// is served now, and nothing that is served has expired.
        #[test]
        fn trust_of_a_while_ago_takes_what_is_served(
            pauses in proptest::collection::vec((1i64..20, any::<bool>()), 20..120)
        ) {
            let policy = policy();
            let settle = DAY as i64;
            let (mut state, mut now) = (State::default(), START);
            step(&mut state, now, &policy, true);
            let mut published = vec![(now, state.trust())];
            for (days, spread) in pauses {
                // Those who check have what was published when the news last got through, and after it a day at most.
                now += days * settle;
                step(&mut state, now, &policy, spread || published.len() < 2);
                published.push((now, state.trust()));
                let heard = published.iter().rev().find(|(at, _)| *at <= now - settle).or(published.first());
                let (_, trust) = heard.unwrap();
                prop_assert_eq!(is_trusted(&state, trust, now), Ok(()));
            }
        }
    }
}
