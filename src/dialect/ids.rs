//! Names of dialects and operations. Outside `dialect` they are opaque ids.

/// A family of wire formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DialectId {
    /// OpenAI and everything compatible with it.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// Bytes that are passed through unread.
    Opaque,
}

impl DialectId {
    /// Every dialect, in a fixed order.
    pub const ALL: [Self; 3] = [Self::OpenAi, Self::Anthropic, Self::Opaque];

    /// The name in configuration, metrics and usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Opaque => "opaque",
        }
    }
}

/// What a call asks an API to do, whatever API that is: Google's `generateContent` is a chat too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// `POST /chat/completions`.
    Chat,
    /// `POST /responses` and `POST /responses/compact`.
    Responses,
    /// `POST /completions`, the legacy text API.
    Completions,
    /// `POST /embeddings`.
    Embeddings,
    /// `POST /messages`.
    Messages,
    /// `POST /messages/count_tokens`.
    CountTokens,
    /// Documents put in order by a question: `POST /rerank` and models that do nothing else. Passed through.
    Rerank,
    /// `GET /models` and `GET /models/{id}`.
    Models,
    /// Everything else of a known API: files, batches, images, stored responses. Passed through unread.
    Other,
}

impl Operation {
    /// Every operation, in a fixed order.
    pub const ALL: [Self; 9] = [
        Self::Chat,
        Self::Responses,
        Self::Completions,
        Self::Embeddings,
        Self::Messages,
        Self::CountTokens,
        Self::Rerank,
        Self::Models,
        Self::Other,
    ];

    /// The name in configuration, metrics and usage records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Messages => "messages",
            Self::CountTokens => "count_tokens",
            Self::Rerank => "rerank",
            Self::Models => "models",
            Self::Other => "other",
        }
    }

    /// The dialect that defines this operation; `Rerank`, `Models` and `Other` exist in several and
    /// are [`DialectId::Opaque`].
    pub fn dialect(self) -> DialectId {
        match self {
            Self::Chat | Self::Responses | Self::Completions | Self::Embeddings => DialectId::OpenAi,
            Self::Messages | Self::CountTokens => DialectId::Anthropic,
            Self::Rerank | Self::Models | Self::Other => DialectId::Opaque,
        }
    }
}

/// What [`recognise`](super::recognise) found in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiCall<'a> {
    /// The client's dialect, in which it must also be told of errors.
    pub dialect: DialectId,
    /// What is asked for.
    pub operation: Operation,
    /// The part that is joined to a base URL which already holds the version: `/chat/completions`.
    pub suffix: &'a str,
    /// The model, where the path names it (`/openai/deployments/{model}/...`); still percent-encoded.
    pub path_model: Option<&'a str>,
}
