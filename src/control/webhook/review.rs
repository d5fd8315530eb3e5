//! The AdmissionReview: what is asked, and the answer.
//! <https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

/// The only version that is spoken.
const VERSION: &str = "admission.k8s.io/v1";

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review {
    pub(super) uid: String,
    pub(super) resource: Resource,
    #[serde(default)]
    pub(super) sub_resource: String,
    #[serde(default)]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) operation: String,
    #[serde(default)]
    pub(super) object: Value,
    #[serde(default)]
    pub(super) old_object: Value,
    #[serde(default)]
    pub(super) dry_run: bool,
}

/// Of what kind it is.
#[derive(Debug, Deserialize)]
pub(super) struct Resource {
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) resource: String,
}

/// The answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Why not.
    pub(super) denied: Option<String>,
    /// What to change: a JSON Patch.
    pub(super) patch: Vec<Value>,
    /// What its owner should know.
    pub(super) warnings: Vec<String>,
}

impl Review {
    /// Reads a question.
    ///
    /// # Errors
    /// Why it is none, with what to do.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        let mut review: Value = serde_json::from_slice(body).map_err(|error| format!("this is no JSON: {error}"))?;
        let word = |key: &str| review.get(key).and_then(Value::as_str).unwrap_or_default();
        if word("kind") != "AdmissionReview" {
            return Err(format!("this is no AdmissionReview, but of the kind `{}`", shorten(word("kind"))));
        }
        if word("apiVersion") != VERSION {
            let version = shorten(word("apiVersion"));
            return Err(format!("the version `{version}` is not spoken here: set admissionReviewVersions to [v1]"));
        }
        let request = review.get_mut("request").map(Value::take).unwrap_or_default();
        if !request.is_object() {
            return Err("the AdmissionReview has no request".into());
        }
        serde_json::from_value(request).map_err(|error| format!("the AdmissionReview's request: {error}"))
    }

    /// Holds the resource against those that a path is for.
    ///
    /// # Errors
    /// It is another one; so the webhook's rules are wrong.
    pub(super) fn expect(&self, known: &[(&str, &str, &str)]) -> Result<(), String> {
        let Resource { group, version, resource } = &self.resource;
        if self.sub_resource.is_empty() && known.contains(&(group, version, resource)) {
            return Ok(());
        }
        let shown = |(group, version, resource): &(&str, &str, &str)| {
            if group.is_empty() { format!("{resource}.{version}") } else { format!("{resource}.{version}.{group}") }
        };
        let asked = shown(&(&*shorten(group), &*shorten(version), &*shorten(resource)));
        let sub = if self.sub_resource.is_empty() { "" } else { "/" };
        let known: Vec<String> = known.iter().map(shown).collect();
        Err(format!(
            "this path is for {}, not for {asked}{sub}{}: mend the rules of the webhook configuration",
            known.join(" and "),
            shorten(&self.sub_resource)
        ))
    }
}

/// What is shown of a word that somebody else wrote.
fn shorten(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

impl Answer {
    /// The AdmissionReview that answers the question of this id.
    pub(super) fn body(&self, uid: &str) -> Vec<u8> {
        let mut response = json!({ "uid": uid, "allowed": self.denied.is_none() });
        if let Some(message) = &self.denied {
            response["status"] = json!({
                "status": "Failure", "code": 422, "reason": "Invalid", "message": message,
            });
        }
        if !self.patch.is_empty() {
            let patch = Value::Array(self.patch.clone()).to_string();
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(STANDARD.encode(patch));
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        json!({ "apiVersion": VERSION, "kind": "AdmissionReview", "response": response }).to_string().into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(version: &str, kind: &str, request: &Value) -> Vec<u8> {
        json!({ "apiVersion": version, "kind": kind, "request": request }).to_string().into_bytes()
    }

    #[test]
    fn what_is_no_review_is_told_why() {
        let said = |body: &[u8]| Review::read(body).unwrap_err();
        let request = json!({ "uid": "u", "resource": { "group": "", "version": "v1", "resource": "pods" } });
        assert!(said(b"{").starts_with("this is no JSON"));
        assert_eq!(said(b"[]"), "this is no AdmissionReview, but of the kind ``");
        assert_eq!(said(&body(VERSION, "Pod", &request)), "this is no AdmissionReview, but of the kind `Pod`");
        let old = said(&body("admission.k8s.io/v1beta1", "AdmissionReview", &request));
        assert!(old.contains("v1beta1` is not spoken here: set admissionReviewVersions to [v1]"), "{old}");
        assert_eq!(said(&body(VERSION, "AdmissionReview", &Value::Null)), "the AdmissionReview has no request");
        assert!(said(&body(VERSION, "AdmissionReview", &json!({}))).contains("missing field `uid`"));
        let review = Review::read(&body(VERSION, "AdmissionReview", &request)).unwrap();
        assert_eq!(review.expect(&[("", "v1", "pods")]), Ok(()));
        let wrong = review.expect(&[("faregate.dev", "v1alpha1", "routingtables"), ("", "v1", "configmaps")]);
        assert_eq!(
            wrong.unwrap_err(),
            "this path is for routingtables.v1alpha1.faregate.dev and configmaps.v1, not for pods.v1: mend the rules of the \
             webhook configuration"
        );
    }

    proptest! {
        /// Whatever comes, it is an answer and no panic.
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _either = Review::read(&bytes);
        }

        #[test]
        fn any_request_is_read_or_refused(text in r#"[\{\}\[\]",:a-z0-9]{0,80}"#) {
            let body = format!(r#"{{"apiVersion":"{VERSION}","kind":"AdmissionReview","request":{text}}}"#);
            let _either = Review::read(body.as_bytes());
        }
    }
}
