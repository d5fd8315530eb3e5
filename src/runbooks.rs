//! The page of each alert, in the program: who is called in the night reads it at an admin port, with nothing published
//! anywhere. Data alone; must not know what an alert asks. Start with [`at`].

macro_rules! pages {
    ($($file:literal)*) => { &[$(($file, include_str!(concat!("../docs/runbooks/", $file)))),*] };
}

/// Files of `docs/runbooks`, Markdown.
const PAGES: &[(&str, &str)] = pages! {
    "FaregateBilledDrift.md"
    "FaregateCertificateExpires.md"
    "FaregateErrorBudgetBurnFast.md"
    "FaregateErrorBudgetBurnSlow.md"
    "FaregateMarkupHigh.md"
    "FaregateOverheadHigh.md"
    "FaregatePriceCardOld.md"
    "FaregateReloadFailed.md"
    "FaregateSidecarsBehind.md"
    "FaregateSidecarsDisconnected.md"
    "FaregateTablesDiffer.md"
    "FaregateUninjectedPods.md"
    "FaregateUnpricedTraffic.md"
    "README.md"
};

/// The page at a path of an admin port, `/runbooks/ALERT.md`; the index at `/runbooks/`.
pub fn at(path: &str) -> Option<&'static str> {
    let file = path.strip_prefix("/runbooks/")?;
    let file = if file.is_empty() { "README.md" } else { file };
    PAGES.iter().find(|(name, _)| *name == file).map(|(_, text)| *text)
}
