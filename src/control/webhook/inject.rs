//! Pods: the sidecar is added when one is made.

use std::collections::BTreeMap;

use super::review::{Answer, Review};
use super::{Fate, Webhook, denied};
use crate::control::inject::{Decision, INJECT, Namespace};
use crate::control::patch;

impl Webhook {
    /// Decides on a pod. `by_namespace` tells which of the two entries asks: the one for namespaces that want all of
    /// their pods injected.
    ///
    /// # Errors
    /// The question is not about the making of a pod.
    pub(super) async fn inject(&self, review: &Review, by_namespace: bool) -> Result<(Answer, Fate), String> {
        review.expect(&[("", "v1", "pods")])?;
        if review.operation != "CREATE" {
            return Err("this path is for the operation CREATE: mend the rules of the webhook configuration".into());
        }
        let known = self.namespaces.wait_for(&review.namespace).await;
        let mut namespace = Namespace { name: review.namespace.clone(), ..Namespace::default() };
        let mut unseen = None;
        match known {
            Some(known) => namespace.annotations.clone_from(&known.annotations),
            None => unseen = Some("the annotations of the namespace are not known yet, and were left out".to_owned()),
        }
        if by_namespace {
            namespace.labels = BTreeMap::from([(INJECT.to_owned(), "enabled".to_owned())]);
        }
        let injector = self.injector.load_full();
        let decision = injector.inject(&review.object, &namespace, None);
        let (answer, result) = match decision {
            Decision::Inject(injection) => {
                let patch = patch::diff(&review.object, &injection.pod);
                let result = if patch.is_empty() { "unchanged" } else { "injected" };
                let warnings = injection.warnings.into_iter().chain(unseen).collect();
                (Answer { patch, warnings, ..Answer::default() }, result)
            }
            // Who asked for it in vain should hear why; who said no knows.
            Decision::Skip(skip) => {
                let warnings =
                    if skip.is_wanted() { Vec::new() } else { vec![format!("faregate is not injected: {skip}")] };
                (Answer { warnings, ..Answer::default() }, "left")
            }
            Decision::Refuse(refusal) => (denied(&refusal.problems), "denied"),
        };
        Ok((answer, if review.dry_run { "dry_run" } else { result }))
    }
}
