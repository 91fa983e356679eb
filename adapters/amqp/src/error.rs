//! Maps the library's errors to ours, arm by arm, because the supervisor decides from the kind alone.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use lapin::ErrorKind as LapinKind;
use lapin::protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError};
use wingbeat_adapter::{ErrorKind, SyncError};

use crate::config::Address;

/// A server that could not be reached, or that did not show the right certificate.
pub(crate) fn unreachable(error: io::Error, address: &Address) -> SyncError {
    let context = format!("cannot reach RabbitMQ at {address}");
    SyncError::new(kind_of_io(&error), context).caused_by(error)
}

/// A server that was reached and did not let us open a link.
pub(crate) fn connect_failed(error: lapin::Error, address: &Address) -> SyncError {
    let context = format!("cannot open a link to RabbitMQ at {address}");
    caused(context, error)
}

/// Nobody answers, neither yes nor no.
pub(crate) fn is_silent(place: impl Display, limit: Duration) -> SyncError {
    unavailable(format!(
        "RabbitMQ at {place} does not answer within {limit:?}"
    ))
}

/// The connection or its channel failed, which ends the link.
pub(crate) fn line_failed(error: lapin::Error) -> SyncError {
    caused("the connection to RabbitMQ failed", error)
}

/// What ends a link for want of a better reason.
pub(crate) fn unavailable(context: impl Into<String>) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, context.into())
}

/// One element of a batch that the broker did not take: one of its queues could not.
pub(crate) fn element_refused() -> SyncError {
    unavailable("RabbitMQ did not take the message")
}

/// The library's own text repeats its cause, so the cause is taken where there is one.
fn caused(context: impl Into<Cow<'static, str>>, error: lapin::Error) -> SyncError {
    let ours = SyncError::new(kind_of(&error), context);
    match error.kind() {
        LapinKind::ProtocolError(reply) => ours.caused_by(reply.clone()),
        LapinKind::IOError(io) | LapinKind::RuntimeShutdownError(io) => {
            ours.caused_by(Arc::clone(io))
        }
        _ => ours.caused_by(error),
    }
}

fn kind_of(error: &lapin::Error) -> ErrorKind {
    match error.kind() {
        LapinKind::ProtocolError(error) => kind_of_reply(error),
        LapinKind::IOError(error) | LapinKind::RuntimeShutdownError(error) => kind_of_io(error),
        LapinKind::AuthProviderError(_) => ErrorKind::Refused,
        LapinKind::InvalidProtocolVersion(_)
        | LapinKind::SerialisationError(_)
        | LapinKind::NoDefaultRuntime => ErrorKind::Config,
        LapinKind::ChannelsLimitReached
        | LapinKind::InvalidChannel(_)
        | LapinKind::InvalidChannelState(..)
        | LapinKind::InvalidConnectionState(_)
        | LapinKind::ParsingError(_)
        | LapinKind::FutureCompleted
        | LapinKind::MissingHeartbeatError => ErrorKind::Unavailable,
        // The library may add kinds; one that we cannot judge is worth another try.
        _ => ErrorKind::Unavailable,
    }
}

/// Judges what the broker says when it closes a channel or a connection.
fn kind_of_reply(error: &AMQPError) -> ErrorKind {
    match error.kind() {
        AMQPErrorKind::Soft(soft) => match soft {
            AMQPSoftError::ACCESSREFUSED => ErrorKind::Refused,
            // An exchange of this name is there and of another kind.
            AMQPSoftError::PRECONDITIONFAILED => ErrorKind::Config,
            AMQPSoftError::CONTENTTOOLARGE => ErrorKind::PayloadTooLarge,
            // Somebody deleted an exchange, or holds a queue of our name and will lose it.
            AMQPSoftError::NOTFOUND
            | AMQPSoftError::RESOURCELOCKED
            | AMQPSoftError::NOROUTE
            | AMQPSoftError::NOCONSUMERS => ErrorKind::Unavailable,
        },
        AMQPErrorKind::Hard(hard) => match hard {
            AMQPHardError::NOTALLOWED => kind_of_vhost(error.get_message().as_str()),
            AMQPHardError::INVALIDPATH | AMQPHardError::NOTIMPLEMENTED => ErrorKind::Config,
            AMQPHardError::CONNECTIONFORCED
            | AMQPHardError::RESOURCEERROR
            | AMQPHardError::INTERNALERROR
            | AMQPHardError::FRAMEERROR
            | AMQPHardError::SYNTAXERROR
            | AMQPHardError::COMMANDINVALID
            | AMQPHardError::CHANNELERROR
            | AMQPHardError::UNEXPECTEDFRAME => ErrorKind::Unavailable,
        },
    }
}

/// One code for a virtual host that is missing, forbidden, full or down; the text tells them apart.
fn kind_of_vhost(text: &str) -> ErrorKind {
    if text.contains("not found") {
        ErrorKind::Config
    } else if text.contains("limit") || text.contains("is down") {
        ErrorKind::Unavailable
    } else {
        ErrorKind::Refused
    }
}

fn kind_of_io(error: &io::Error) -> ErrorKind {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) => {
            ErrorKind::Refused
        }
        Some(_) => ErrorKind::Config,
        None => ErrorKind::Unavailable,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    let inner: &(dyn Error + 'static) = error.get_ref()?;
    inner.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: u16, text: &str) -> ErrorKind {
        let error = AMQPError::from_id(code, text.into()).unwrap();
        kind_of(&LapinKind::ProtocolError(error).into())
    }

    #[test]
    fn replies_are_judged_by_their_code() {
        for (code, kind) in [
            (311, ErrorKind::PayloadTooLarge),
            (320, ErrorKind::Unavailable),
            (403, ErrorKind::Refused),
            (404, ErrorKind::Unavailable),
            (405, ErrorKind::Unavailable),
            (406, ErrorKind::Config),
            (501, ErrorKind::Unavailable),
            (506, ErrorKind::Unavailable),
            (530, ErrorKind::Refused),
            (540, ErrorKind::Config),
            (541, ErrorKind::Unavailable),
        ] {
            assert_eq!(reply(code, "some text"), kind, "{code}");
        }
    }

    #[test]
    fn a_virtual_host_that_is_missing_is_not_one_that_is_forbidden_or_full() {
        for (text, kind) in [
            ("NOT_ALLOWED - vhost nope not found", ErrorKind::Config),
            (
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u'",
                ErrorKind::Refused,
            ),
            (
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (1) is reached",
                ErrorKind::Unavailable,
            ),
            (
                "NOT_ALLOWED - access to vhost 'v' refused for user 'u': vhost 'v' is down",
                ErrorKind::Unavailable,
            ),
        ] {
            assert_eq!(reply(530, text), kind, "{text}");
        }
    }

    #[test]
    fn sockets_are_unavailable_and_certificates_are_refused() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(kind_of(&refused.into()), ErrorKind::Unavailable);

        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let handshake = io::Error::new(io::ErrorKind::InvalidData, unknown);
        assert_eq!(kind_of_io(&handshake), ErrorKind::Refused);

        let nonsense = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let handshake = io::Error::new(io::ErrorKind::InvalidData, nonsense);
        assert_eq!(kind_of_io(&handshake), ErrorKind::Config);
    }
}
