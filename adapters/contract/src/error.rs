use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Says why a link could not be opened, has ended, or did not take a payload.
///
/// Callers decide from [`kind`](Self::kind) alone. `Display` tells this level only; the cause is
/// [`source`](Error::source).
///
/// # Examples
///
/// ```
/// use wingbeat_adapter::{ErrorKind, SyncError};
///
/// let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let error = SyncError::new(ErrorKind::Unavailable, "cannot reach 127.0.0.1:6379").caused_by(refused);
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "cannot reach 127.0.0.1:6379");
/// ```
#[derive(Clone)]
pub struct SyncError {
    kind: ErrorKind,
    context: Cow<'static, str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// Names what a caller can do about a [`SyncError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// This link was closed by its owner. Open another one.
    Closed,
    /// The settings make no sense. Trying again will not help; changing them will.
    Config,
    /// The payload is longer than the limit. It will never pass; the next one may.
    PayloadTooLarge,
    /// The broker says no: credentials, permission, certificate. Trying again will not help by itself.
    Refused,
    /// The broker cannot be reached or cannot serve now. Trying again later may help.
    Unavailable,
}

impl SyncError {
    /// Makes an error without a cause; `context` is lower case, without a full stop and without secrets.
    pub fn new(kind: ErrorKind, context: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            context: context.into(),
            source: None,
        }
    }

    /// Adds the cause. Its `Display` gets into logs, so it must hold no secret.
    #[must_use]
    pub fn caused_by(self, source: impl Error + Send + Sync + 'static) -> Self {
        Self {
            source: Some(Arc::new(source)),
            ..self
        }
    }

    /// Returns what the caller can do about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// Tells whether the same attempt may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self.kind {
            ErrorKind::Unavailable => true,
            ErrorKind::Closed
            | ErrorKind::Config
            | ErrorKind::PayloadTooLarge
            | ErrorKind::Refused => false,
        }
    }
}

impl fmt::Display for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)
    }
}

/// Prints causes by their `Display`: a derived `Debug` of somebody's type may hold a whole configuration.
impl fmt::Debug for SyncError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.context)?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl Error for SyncError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Config => "config",
            Self::PayloadTooLarge => "payload too large",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested() -> SyncError {
        let inner = SyncError::new(ErrorKind::Refused, "inner");
        SyncError::new(ErrorKind::Unavailable, "outer").caused_by(inner)
    }

    #[test]
    fn display_says_its_own_level_only() {
        assert_eq!(nested().to_string(), "outer");
        assert_eq!(
            nested().source().map(ToString::to_string).as_deref(),
            Some("inner")
        );
    }

    #[test]
    fn debug_prints_the_chain_by_display() {
        assert_eq!(format!("{:?}", nested()), "Unavailable: outer: inner");
    }

    #[test]
    fn debug_of_a_chatty_cause_stays_out() {
        #[derive(Debug)]
        struct Chatty {
            #[allow(dead_code, reason = "read by the derived Debug only")]
            password: &'static str,
        }
        impl fmt::Display for Chatty {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("login failed")
            }
        }
        impl Error for Chatty {}

        let cause = Chatty {
            password: "hunter2",
        };
        let error = SyncError::new(ErrorKind::Refused, "not let in").caused_by(cause);
        assert_eq!(format!("{error:?}"), "Refused: not let in: login failed");
    }

    #[test]
    fn only_unavailable_is_worth_another_try() {
        let transient = |kind| SyncError::new(kind, "x").is_transient();
        assert!(transient(ErrorKind::Unavailable));
        for kind in [
            ErrorKind::Closed,
            ErrorKind::Config,
            ErrorKind::PayloadTooLarge,
            ErrorKind::Refused,
        ] {
            assert!(!transient(kind), "{kind}");
        }
    }
}
