//! The methods of services, and the event that each one leads to.

use std::fmt;
use std::sync::Arc;

/// A method of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reads many.
    Find,
    /// Reads one.
    Get,
    /// Makes one or many; the event is `created`.
    Create,
    /// Replaces one; the event is `updated`.
    Update,
    /// Merges into one or many; the event is `patched`.
    Patch,
    /// Takes away one or many; the event is `removed`.
    Remove,
    /// A method that the service named itself; it has no automatic event.
    Custom(Arc<str>),
}

impl Method {
    /// The names of the six standard methods.
    pub const STANDARD: [&'static str; 6] = ["find", "get", "create", "update", "patch", "remove"];

    /// The names of the four automatic events.
    pub const EVENTS: [&'static str; 4] = ["created", "updated", "patched", "removed"];

    /// Returns the method's name, as clients spell it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Find => "find",
            Self::Get => "get",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Remove => "remove",
            Self::Custom(name) => name,
        }
    }

    /// Returns the event that the method leads to (feathers.md §3.1).
    #[must_use]
    pub fn event(&self) -> Option<&'static str> {
        match self {
            Self::Create => Some("created"),
            Self::Update => Some("updated"),
            Self::Patch => Some("patched"),
            Self::Remove => Some("removed"),
            Self::Find | Self::Get | Self::Custom(_) => None,
        }
    }

    /// Tells whether this is one of the standard six.
    #[must_use]
    pub fn is_standard(&self) -> bool {
        !matches!(self, Self::Custom(_))
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        match name {
            "find" => Self::Find,
            "get" => Self::Get,
            "create" => Self::Create,
            "update" => Self::Update,
            "patch" => Self::Patch,
            "remove" => Self::Remove,
            custom => Self::Custom(custom.into()),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
