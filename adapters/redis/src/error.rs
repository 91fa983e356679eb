//! Maps the library's errors to ours, arm by arm, because the supervisor decides from the kind alone.

use std::error::Error;
use std::fmt::Display;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use redis::{ErrorKind as RedisKind, RedisError, ServerError};
use wingbeat_adapter::{ErrorKind, SyncError};

use crate::config::{Address, wrong};

/// A link that could not be opened.
pub(crate) fn connect_failed(error: RedisError, address: &Address) -> SyncError {
    let context = format!("cannot open a link to Redis at {address}");
    SyncError::new(kind_of(&error), context).caused_by(error)
}

/// A sentinel or a server of a cluster that could not be asked.
pub(crate) fn ask_failed(error: RedisError, address: &Address, what: &str) -> SyncError {
    let is_stranger = error.detail().is_some_and(|text| {
        text.starts_with("unknown command") || text.starts_with("This instance has cluster support")
    });
    if is_stranger {
        return wrong(format!("what answers at {address} is not a {what}")).caused_by(error);
    }
    let context = format!("cannot ask the {what} at {address}");
    SyncError::new(kind_of(&error), context).caused_by(error)
}

/// An answer that names nobody, though it may name somebody later.
pub(crate) fn nobody(context: String) -> SyncError {
    SyncError::new(ErrorKind::Unavailable, context)
}

/// Refused although the server takes publishes: it shows them to its own subscribers and to nobody else, so a node
/// would hear itself and believe that all is well. Transient, because ranks change.
pub(crate) fn is_replica(address: &Address) -> SyncError {
    let context =
        format!("Redis at {address} is a replica: what is published there reaches no peer");
    SyncError::new(ErrorKind::Unavailable, context)
}

pub(crate) fn is_sentinel(address: &Address) -> SyncError {
    wrong(format!(
        "what answers at {address} is a sentinel, which is reached by redis+sentinel://"
    ))
}

/// Nobody answers, neither yes nor no.
pub(crate) fn is_silent(place: impl Display, limit: Duration) -> SyncError {
    let context = format!("Redis at {place} does not answer within {limit:?}");
    SyncError::new(ErrorKind::Unavailable, context)
}

/// One of a link's connections that failed, which ends the link.
pub(crate) fn line_failed(error: RedisError, name: &str) -> SyncError {
    let context = format!("the {name} connection to Redis failed");
    SyncError::new(ErrorKind::Unavailable, context).caused_by(error)
}

/// A publish that failed as a whole, which ends the link: after a timeout, too, since the library would go on and
/// nobody could tell any more which reply belongs to what.
pub(crate) fn publish_failed(error: RedisError) -> SyncError {
    if !error.is_timeout() {
        return line_failed(error, "publisher");
    }
    let context = "Redis does not answer a publish in time";
    SyncError::new(ErrorKind::Unavailable, context).caused_by(error)
}

/// One element of a batch that the server did not take.
pub(crate) fn element_refused(error: ServerError) -> SyncError {
    let kind = kind_of_reply(error.code(), error.details());
    SyncError::new(kind, "Redis did not take the message").caused_by(RedisError::from(error))
}

fn kind_of(error: &RedisError) -> ErrorKind {
    match error.kind() {
        RedisKind::Io => kind_of_io(error),
        RedisKind::Server(_) | RedisKind::Extension => {
            kind_of_reply(error.code().unwrap_or_default(), error.detail())
        }
        RedisKind::AuthenticationFailed => ErrorKind::Refused,
        RedisKind::InvalidClientConfig
        | RedisKind::RESP3NotSupported
        | RedisKind::EmptySentinelList
        | RedisKind::Client => ErrorKind::Config,
        RedisKind::Parse
        | RedisKind::UnexpectedReturnType
        | RedisKind::MasterNameNotFoundBySentinel
        | RedisKind::NoValidReplicasFoundBySentinel
        | RedisKind::ClusterConnectionNotFound => ErrorKind::Unavailable,
        // The library may add kinds; one that we cannot judge is worth another try.
        _ => ErrorKind::Unavailable,
    }
}

/// The code is the first word of an error reply.
fn kind_of_reply(code: &str, detail: Option<&str>) -> ErrorKind {
    let is_full = detail.is_some_and(|text| text.starts_with("max number of clients"));
    match code {
        "WRONGPASS" | "NOAUTH" | "NOPERM" | "DENIED" => ErrorKind::Refused,
        "LOADING" | "BUSY" | "OOM" | "MISCONF" | "READONLY" | "NOREPLICAS" | "MASTERDOWN"
        | "CLUSTERDOWN" | "TRYAGAIN" => ErrorKind::Unavailable,
        // The slot of a cluster went elsewhere; the next link finds it there.
        "MOVED" | "ASK" => ErrorKind::Unavailable,
        "ERR" if is_full => ErrorKind::Unavailable,
        "NOPROTO" | "CROSSSLOT" => ErrorKind::Config,
        // A refusal that we do not know would be repeated for ever if we called it transient.
        _ => ErrorKind::Refused,
    }
}

fn kind_of_io(error: &RedisError) -> ErrorKind {
    match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::AlertReceived(_)) => {
            ErrorKind::Refused
        }
        Some(_) => ErrorKind::Config,
        None => ErrorKind::Unavailable,
    }
}

/// A failed handshake is wrapped three times; none of the wrappers shows it in its chain of sources.
fn tls_error(error: &RedisError) -> Option<&rustls::Error> {
    let shared: &Arc<dyn Error + Send + Sync> = error.source()?.downcast_ref()?;
    let io: &io::Error = shared.downcast_ref()?;
    io.get_ref()?.downcast_ref()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(code: &str, detail: &str) -> ErrorKind {
        kind_of(&redis::make_extension_error(
            code.to_owned(),
            Some(detail.to_owned()),
        ))
    }

    #[test]
    fn replies_are_judged_by_their_code() {
        for (code, kind) in [
            ("WRONGPASS", ErrorKind::Refused),
            ("NOAUTH", ErrorKind::Refused),
            ("NOPERM", ErrorKind::Refused),
            ("DENIED", ErrorKind::Refused),
            ("LOADING", ErrorKind::Unavailable),
            ("OOM", ErrorKind::Unavailable),
            ("READONLY", ErrorKind::Unavailable),
            ("NOPROTO", ErrorKind::Config),
            ("MOVED", ErrorKind::Unavailable),
            ("CROSSSLOT", ErrorKind::Config),
            ("ERR", ErrorKind::Refused),
            ("NEVERHEARDOF", ErrorKind::Refused),
        ] {
            assert_eq!(reply(code, "some text"), kind, "{code}");
        }
    }

    #[test]
    fn a_full_server_is_worth_another_try() {
        let kind = reply("ERR", "max number of clients reached");
        assert_eq!(kind, ErrorKind::Unavailable);
    }

    #[test]
    fn sockets_are_unavailable_and_certificates_are_refused() {
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(kind_of(&refused.into()), ErrorKind::Unavailable);

        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let handshake = io::Error::new(io::ErrorKind::InvalidData, unknown);
        assert_eq!(kind_of(&handshake.into()), ErrorKind::Refused);
    }

    #[test]
    fn a_timeout_is_said_in_words() {
        let error = publish_failed(io::Error::from(io::ErrorKind::TimedOut).into());
        assert_eq!(error.to_string(), "Redis does not answer a publish in time");
        assert!(error.is_transient());
    }
}
