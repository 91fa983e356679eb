//! Maps the library's errors to ours, arm by arm, because the supervisor decides from the kind alone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::time::Duration;

use async_nats::{ConnectError, ConnectErrorKind, ServerError, rustls};
use wingbeat_adapter::{ErrorKind, SyncError};

use crate::config::Address;

/// A connection that could not be opened.
pub(crate) fn connect_failed(error: ConnectError, address: &Address) -> SyncError {
    let context = format!("cannot open a link to NATS at {address}");
    SyncError::new(kind_of(&error), context).caused_by(error)
}

/// Nobody answers, neither yes nor no.
pub(crate) fn is_silent(place: impl Display, limit: Duration) -> SyncError {
    gone(format!("NATS at {place} does not answer within {limit:?}"))
}

/// What the server said against a link whose connection stands.
pub(crate) fn objection(said: ServerError) -> SyncError {
    SyncError::new(kind_of_words(&said), "NATS refuses the link").caused_by(said)
}

/// A lane on which the user may not publish.
pub(crate) fn denied(said: ServerError) -> SyncError {
    SyncError::new(ErrorKind::Refused, "NATS did not take the message").caused_by(said)
}

/// A connection that is no more. Whether the next one is let in, the next one shows.
pub(crate) fn lost(said: Option<ServerError>) -> SyncError {
    let error = gone("the connection to NATS is gone");
    match said {
        Some(said) => error.caused_by(said),
        None => error,
    }
}

/// A command that the library did not take, which it does as long as the connection's task lives.
pub(crate) fn not_sent(error: impl Error + Send + Sync + 'static) -> SyncError {
    gone("the connection to NATS is gone").caused_by(error)
}

/// What was to be sent waits in this process.
pub(crate) fn stalled(limit: Duration) -> SyncError {
    gone(format!("NATS takes nothing for {limit:?}"))
}

pub(crate) fn gone(context: impl Into<Cow<'static, str>>) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, context)
}

fn kind_of(error: &ConnectError) -> ErrorKind {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => ErrorKind::Refused,
        // A key that cannot sign, an address that is none, certificates that cannot be used.
        ConnectErrorKind::Authentication
        | ConnectErrorKind::ServerParse
        | ConnectErrorKind::Tls => ErrorKind::Config,
        ConnectErrorKind::Io => error.source().map_or(ErrorKind::Unavailable, kind_of_cause),
        ConnectErrorKind::Dns | ConnectErrorKind::TimedOut | ConnectErrorKind::MaxReconnects => {
            ErrorKind::Unavailable
        }
    }
}

fn kind_of_cause(cause: &(dyn Error + 'static)) -> ErrorKind {
    if let Some(said) = cause.downcast_ref::<ServerError>() {
        return kind_of_words(said);
    }
    match tls_error(cause) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) => {
            ErrorKind::Refused
        }
        Some(_) => ErrorKind::Config,
        None => ErrorKind::Unavailable,
    }
}

fn tls_error<'a>(cause: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let io: &io::Error = cause.downcast_ref()?;
    io.get_ref()?.downcast_ref()
}

/// The server has no codes, only words.
fn kind_of_words(said: &ServerError) -> ErrorKind {
    let ServerError::Other(text) = said else {
        return ErrorKind::Refused;
    };
    let text = text.to_lowercase();
    let has = |part: &&str| text.contains(*part);
    if PASSING.iter().any(has) {
        return ErrorKind::Unavailable;
    }
    if has(&"tls required") || has(&"parser error") || has(&"unknown protocol") {
        return ErrorKind::Config;
    }
    // Authorization, permissions, limits of the account; and a refusal that we do not know would be repeated for ever
    // if we called it transient.
    ErrorKind::Refused
}

/// What the server says when it has no room, no time or no wish to go on, and may have later.
const PASSING: [&str; 6] = [
    "connections exceeded",
    "server shutdown",
    "slow consumer",
    "stale connection",
    "connection throttled",
    "maximum payload violation",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> ErrorKind {
        objection(ServerError::Other(text.to_owned())).kind()
    }

    fn refused_by(kind: ConnectErrorKind, source: Option<io::Error>) -> ErrorKind {
        let error = match source {
            Some(source) => ConnectError::with_source(kind, source),
            None => ConnectError::new(kind),
        };
        connect_failed(error, &Address::new("h", 1)).kind()
    }

    #[test]
    fn words_of_the_server_are_judged_by_what_can_be_done() {
        for (text, kind) in [
            ("maximum connections exceeded", ErrorKind::Unavailable),
            (
                "Maximum Account Active Connections Exceeded",
                ErrorKind::Unavailable,
            ),
            ("Stale Connection", ErrorKind::Unavailable),
            ("Secure Connection - TLS Required", ErrorKind::Config),
            (
                "Permissions Violation for Subscription to \"k\"",
                ErrorKind::Refused,
            ),
            ("User Authentication Revoked", ErrorKind::Refused),
            ("maximum subscriptions exceeded", ErrorKind::Refused),
            ("never heard of", ErrorKind::Refused),
        ] {
            assert_eq!(words(text), kind, "{text}");
        }
        let kind = objection(ServerError::AuthorizationViolation).kind();
        assert_eq!(kind, ErrorKind::Refused);
    }

    #[test]
    fn a_loss_is_always_worth_another_try() {
        assert!(lost(None).is_transient());
        assert!(lost(Some(ServerError::AuthorizationViolation)).is_transient());
    }

    #[test]
    fn sockets_are_unavailable_and_certificates_are_refused() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        let kind = refused_by(ConnectErrorKind::Io, Some(refused));
        assert_eq!(kind, ErrorKind::Unavailable);

        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let handshake = io::Error::new(io::ErrorKind::InvalidData, unknown);
        let kind = refused_by(ConnectErrorKind::Io, Some(handshake));
        assert_eq!(kind, ErrorKind::Refused);
    }

    #[test]
    fn each_kind_of_the_library_has_its_own() {
        for (theirs, ours) in [
            (ConnectErrorKind::ServerParse, ErrorKind::Config),
            (ConnectErrorKind::Dns, ErrorKind::Unavailable),
            (ConnectErrorKind::Authentication, ErrorKind::Config),
            (ConnectErrorKind::AuthorizationViolation, ErrorKind::Refused),
            (ConnectErrorKind::TimedOut, ErrorKind::Unavailable),
            (ConnectErrorKind::Tls, ErrorKind::Config),
            (ConnectErrorKind::Io, ErrorKind::Unavailable),
            (ConnectErrorKind::MaxReconnects, ErrorKind::Unavailable),
        ] {
            assert_eq!(refused_by(theirs, None), ours, "{theirs:?}");
        }
    }
}
