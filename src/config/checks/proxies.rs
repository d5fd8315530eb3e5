//! Egress proxies, of the configuration and of the environment.

use super::super::file::Config;
use super::super::formats;
use super::{Report, at, urls};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    for (name, provider) in &config.providers {
        let Some(url) = provider.proxy.as_deref().filter(|url| *url != "none") else { continue };
        let path = at!["providers", name, "proxy"];
        let user = url.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@')).map(|(user, _)| user);
        if user.is_some_and(|user| user.contains(':')) {
            let message = "the proxy's password stands in this file in the open";
            report.warn(&path, message, "set HTTPS_PROXY in the environment instead");
        }
        if urls::host(url).is_some_and(|host| provider.base_url.as_deref().and_then(urls::host) == Some(host)) {
            report.warn(&path, "the proxy is the provider's own host", "`proxy` names a forward proxy on the way out");
        }
    }
    // The environment counts where the configuration will run.
    if report.surroundings.elsewhere || config.providers.values().all(|p| p.proxy.is_some()) {
        return;
    }
    let Some(format) = formats::find("proxy-url") else { return };
    for variable in ["HTTPS_PROXY", "HTTP_PROXY"] {
        let lower = variable.to_ascii_lowercase();
        let env = report.surroundings.env;
        let found = [variable, &lower].into_iter().find_map(|name| Some((name, env(name)?)));
        let Some((name, value)) = found.filter(|(_, value)| !value.is_empty()) else { continue };
        // Here the scheme may be left out, as everywhere else.
        let url = if value.contains("://") { value } else { format!("http://{value}") };
        if let Err(particular) = (format.check)(&url) {
            let message = format!("the environment variable {name} names no proxy that can be used; {particular}");
            report.error(&at!["providers"], message, "mend it, or set `proxy: none` at each provider");
        }
    }
}
