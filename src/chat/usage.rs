//! Token usage in disjoint classes, so that cost is a plain dot product.

/// The tokens of one call. The classes do not overlap: each token is counted in exactly one of them.
///
/// Providers report overlapping totals; `dialect` normalises them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens that no cache served and that are neither audio nor image where the provider tells them apart.
    pub input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to a cache that lives five minutes (or whose life is not stated).
    pub cache_write_5m: u64,
    /// Prompt tokens written to a cache that lives one hour.
    pub cache_write_1h: u64,
    /// Generated tokens, reasoning and audio excluded.
    pub output: u64,
    /// Generated tokens of hidden or shown reasoning.
    pub reasoning: u64,
    /// Prompt tokens of audio.
    pub audio_input: u64,
    /// Generated tokens of audio.
    pub audio_output: u64,
    /// Prompt tokens of images, where the provider tells them apart.
    pub image_input: u64,
    /// Web searches that the provider charges beside tokens.
    pub web_searches: u64,
}

/// What is known of a call's usage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UsageReport {
    /// The provider reported none, or the report never arrived. Never the same as zero.
    #[default]
    Unknown,
    /// As the provider reported it.
    Reported(Usage),
    /// Reported, but its parts do not add up to its total: the parts are kept as reported and the case is counted.
    Inconsistent(Usage),
    /// The answer broke off before its report: what can be told from the part that arrived.
    Estimated(Usage),
}

impl Usage {
    /// Every class with its metric label, in a fixed order.
    pub fn classes(&self) -> [(&'static str, u64); 9] {
        [
            ("input", self.input),
            ("cache_read", self.cache_read),
            ("cache_write_5m", self.cache_write_5m),
            ("cache_write_1h", self.cache_write_1h),
            ("output", self.output),
            ("reasoning", self.reasoning),
            ("audio_input", self.audio_input),
            ("audio_output", self.audio_output),
            ("image_input", self.image_input),
        ]
    }

    /// All tokens that went in.
    pub fn total_input(&self) -> u64 {
        self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h + self.audio_input + self.image_input
    }

    /// All tokens that came out.
    pub fn total_output(&self) -> u64 {
        self.output + self.reasoning + self.audio_output
    }
}

impl UsageReport {
    /// The numbers, where there are any.
    pub fn usage(&self) -> Option<&Usage> {
        match self {
            Self::Unknown => None,
            Self::Reported(usage) | Self::Inconsistent(usage) | Self::Estimated(usage) => Some(usage),
        }
    }
}
