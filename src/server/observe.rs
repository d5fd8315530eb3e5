//! What a configuration says of logs, records, metrics and traces, and the first table with them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::begin::Begun;
use super::reload;
use super::run::RunError;
use super::simulate::SimulatedHost;
use super::source::env;
use crate::config::Config;
use crate::config::file::{LogFormat, SecretSource};
use crate::gateway::{Live, Settings};
use crate::metering::{Meter, MeterOptions, TraceOptions};
use crate::telemetry::otlp::Destination;
use crate::telemetry::{Telemetry, logs};

/// The meter and the first table.
///
/// # Errors
/// What is wrong with the configuration.
pub(super) fn ready(
    begun: &Begun,
    telemetry: &Telemetry,
    simulated: &SimulatedHost,
) -> Result<(Arc<Meter>, Live), RunError> {
    let meter = Meter::new(telemetry.clone(), meter_options(&begun.config)?)?;
    let live = reload::compile(&begun.config, &begun.source, None, simulated, &meter).map_err(RunError::Config)?;
    Ok((meter, live))
}

/// Sets up the log.
pub(super) fn start_logs(config: &Config) -> Result<(), RunError> {
    let format = match config.observe.log.format {
        LogFormat::Text => logs::LogFormat::Text,
        LogFormat::Json => logs::LogFormat::Json,
    };
    logs::init(format, config.observe.log.level.as_deref()).map_err(|error| RunError::Observe(error.to_string()))
}

fn meter_options(config: &Config) -> Result<MeterOptions, RunError> {
    let observe = &config.observe;
    let traces = observe.traces.as_ref().map(|traces| {
        let destination = destination("traces", &traces.endpoint, &traces.headers)?;
        Ok::<_, RunError>(TraceOptions { destination, sample: traces.sample })
    });
    let record_logs = observe.usage_logs.as_ref().map(|to| destination("usage_logs", &to.endpoint, &to.headers));
    let app = observe.app.clone().or_else(|| env("FAREGATE_APP").filter(|app| !app.is_empty()));
    Ok(MeterOptions {
        default_app: app.unwrap_or_else(|| "unknown".into()),
        max_apps: observe.max_apps,
        records: observe.usage_records.as_ref().map(|records| records.path.clone()),
        log_calls: observe.log.calls,
        gen_ai: observe.gen_ai_metrics,
        record_logs: record_logs.transpose()?,
        traces: traces.transpose()?,
        ..MeterOptions::default()
    })
}

fn destination(key: &str, endpoint: &str, headers: &BTreeMap<String, SecretSource>) -> Result<Destination, RunError> {
    let read = |(name, source): (&String, &SecretSource)| {
        let unreadable = || RunError::Observe(format!("{key}: the header `{name}` cannot be read or is empty"));
        Ok((name.clone(), source.read(&env).ok_or_else(unreadable)?))
    };
    let headers = headers.iter().map(read).collect::<Result<_, RunError>>()?;
    Ok(Destination { endpoint: endpoint.to_owned(), headers })
}

/// What a restart would be needed to change.
pub(super) fn settings(config: &Config) -> Settings {
    Settings {
        max_body: config.server.limits.body.0,
        max_calls: config.server.limits.calls,
        app_header: config.observe.app_header.to_ascii_lowercase().into(),
        response_headers: config.observe.response_headers,
        stream_comments: config.observe.stream_comments,
    }
}
