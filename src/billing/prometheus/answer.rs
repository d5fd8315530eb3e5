//! What Prometheus answers to an instant query.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::ClientError;
use crate::chat::Money;

/// One series and its value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Sample {
    metric: BTreeMap<String, String>,
    /// When, and how much: a float as text.
    value: (f64, String),
}

#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Option<Data>,
    #[serde(default)]
    error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Sample>,
}

impl Sample {
    /// The value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.metric.get(name).map(String::as_str)
    }

    /// The value as an amount, as the digits say; nothing where it is no number.
    pub(super) fn money(&self) -> Money {
        Money::parse(&self.value.1).unwrap_or_default()
    }

    /// The value as a count; interpolated counts are rounded.
    pub(super) fn count(&self) -> u64 {
        // Saturates.
        self.float().round() as u64
    }

    /// The value, or 0 where it is no number.
    pub(super) fn float(&self) -> f64 {
        self.value.1.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(0.0)
    }
}

/// Reads an answer.
///
/// # Errors
/// What Prometheus says is wrong, or that this is no Prometheus.
pub(super) fn read(status: u16, body: &[u8]) -> Result<Vec<Sample>, ClientError> {
    let answer: Answer = match serde_json::from_slice(body) {
        Ok(answer) => answer,
        Err(_) if status != 200 => return Err(ClientError::Status(status)),
        Err(error) => return Err(ClientError::Answer(error.to_string())),
    };
    match answer.data {
        Some(data) if answer.status == "success" && data.result_type == "vector" => Ok(data.result),
        Some(data) if answer.status == "success" => {
            Err(ClientError::Answer(format!("a {} where a vector was asked for", data.result_type)))
        }
        _ => Err(ClientError::Refused(answer.error.unwrap_or_else(|| format!("status {status}")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_their_digits_and_counts_are_rounded() {
        let body = br#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"app":"a"},"value":[1790000000.5,"0.0035"]},{"metric":{},"value":[1,"2.99996"]},
            {"metric":{},"value":[1,"NaN"]}]},"warnings":["w"]}"#;
        let samples = read(200, body).expect("an answer");
        assert_eq!(samples.iter().map(|s| s.money().to_string()).collect::<Vec<_>>(), ["0.0035", "2.99996", "0"]);
        assert_eq!(samples.iter().map(Sample::count).collect::<Vec<_>>(), [0, 3, 0]);
        assert_eq!((samples[0].label("app"), samples[0].label("b")), (Some("a"), None));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let bad = |status, body: &str| read(status, body.as_bytes()).expect_err("no answer").to_string();
        assert!(
            bad(422, r#"{"status":"error","errorType":"execution","error":"query timed out"}"#)
                .contains("query timed out")
        );
        assert!(bad(401, "Unauthorized").contains("FAREGATE_PROMETHEUS_TOKEN"));
        assert!(bad(404, "404 page not found").contains("without /api/v1"));
        assert!(bad(200, "<html>").contains("no Prometheus"));
        assert!(bad(200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#).contains("matrix"));
    }
}
