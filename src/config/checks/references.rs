//! Names that must exist: providers of targets, presets of providers.

use super::super::advice;
use super::super::file::Config;
use super::super::presets::Presets;
use super::{Report, Step};

pub(super) fn check(config: &Config, report: &mut Report<'_, '_>) {
    for (name, provider) in &config.providers {
        let Some(preset) = &provider.preset else { continue };
        if Presets::builtin().find(preset).is_none() {
            let path = [Step::Key("providers"), Step::Key(name), Step::Key("preset")];
            let near = advice::nearest(preset, Presets::builtin().iter().map(|(name, _)| name));
            let advice = near.map_or("`faregate presets` lists them".into(), |near| format!("did you mean `{near}`?"));
            report.error(&path, format!("there is no preset `{preset}`"), advice);
        }
    }
    for (r, route) in config.routes.iter().enumerate() {
        for (t, target) in route.targets.iter().enumerate() {
            if config.providers.contains_key(&target.provider) {
                continue;
            }
            let path =
                [Step::Key("routes"), Step::Index(r), Step::Key("targets"), Step::Index(t), Step::Key("provider")];
            let near = advice::nearest(&target.provider, config.providers.keys().map(String::as_str));
            let advice = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "the providers are {}",
                    advice::list(config.providers.keys().map(String::as_str)).replace(" or ", " and ")
                ),
            };
            report.error(&path, format!("no provider is called `{}`", target.provider), advice);
        }
    }
}
