//! Routing tables: a bad one is refused when it is applied, by the checks of `faregate check`.

use serde_json::Value;

use super::review::{Answer, Review};
use super::{Fate, Webhook, denied};
use crate::control::tables::{self, Origin};

impl Webhook {
    /// Decides on a routing table.
    ///
    /// # Errors
    /// The question is not about one.
    pub(super) fn validate(&self, review: &Review) -> Result<(Answer, Fate), String> {
        let table = ("faregate.dev", "v1alpha1", "routingtables");
        review.expect(&[table, ("", "v1", "configmaps")])?;
        let origin = if review.resource.group.is_empty() { Origin::ConfigMap } else { Origin::RoutingTable };
        let accepted = |warnings| Ok((Answer { warnings, ..Answer::default() }, "accepted"));
        if !matches!(review.operation.as_str(), "CREATE" | "UPDATE") || !tables::is_meant(origin, &review.object) {
            return accepted(Vec::new());
        }
        let candidate = tables::read(origin, &review.object);
        let mut warnings = candidate.warnings;
        warnings.extend(self.tables.beside(origin, &review.namespace, name(&review.object)));
        // What has been wrong already may still be labelled, annotated and deleted.
        let as_before = review.operation == "UPDATE" && tables::same(origin, &review.object, &review.old_object);
        if candidate.errors.is_empty() {
            return accepted(warnings);
        }
        if as_before {
            warnings.extend(candidate.errors.into_iter().take(5));
            return accepted(warnings);
        }
        Ok((Answer { warnings, ..denied(&candidate.errors) }, "denied"))
    }
}

fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
