use redis::aio::MultiplexedConnection;
use redis::{Cmd, RedisError, RedisResult, Value};
use wingbeat_adapter::SyncError;

use crate::config::Address;
use crate::error;

/// What a server says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Primary,
    Replica,
    Sentinel,
    /// It does not say, as some that only speak the protocol do not.
    Unknown,
}

/// Labels the connection in the server's list of clients and asks for the server's role, which is a sign of life too.
///
/// `HELLO` and not `PING` and `ROLE`: it is the one command that every user may give whatever the ACL says.
///
/// # Cancel safety
///
/// Dropping the future leaves the connection usable; it throws the answer away.
pub(crate) async fn ask(connection: &mut MultiplexedConnection, hello: &Cmd) -> RedisResult<Role> {
    match connection.send_packed_command(hello).await {
        Ok(Value::ServerError(error)) => {
            let error = RedisError::from(error);
            tracing::debug!(%error, "Redis does not say what it is");
            Ok(Role::Unknown)
        }
        Ok(reply) => Ok(judge(&reply)),
        Err(error) => Err(error),
    }
}

/// The command for [`ask`], with a label of printable ASCII without spaces, as Redis wants it.
pub(crate) fn hello(name: &str) -> Cmd {
    let printable = |c: char| if c.is_ascii_graphic() { c } else { '-' };
    let label: String = name.chars().map(printable).collect();
    let mut hello = redis::cmd("HELLO");
    hello.arg(3).arg("SETNAME").arg(label);
    hello
}

impl Role {
    /// Refuses a server that a link makes no sense with.
    pub(crate) fn check(self, address: &Address, allow_replica: bool) -> Result<(), SyncError> {
        match self {
            Self::Replica if !allow_replica => Err(error::is_replica(address)),
            Self::Sentinel => Err(error::is_sentinel(address)),
            Self::Primary | Self::Replica | Self::Unknown => Ok(()),
        }
    }
}

fn judge(reply: &Value) -> Role {
    let is = |field: &str, value: &str| text(reply, field) == Some(value.as_bytes());
    if is("mode", "sentinel") {
        Role::Sentinel
    } else if is("role", "master") {
        Role::Primary
    } else if is("role", "replica") {
        Role::Replica
    } else {
        Role::Unknown
    }
}

fn text<'a>(reply: &'a Value, field: &str) -> Option<&'a [u8]> {
    let mut fields = reply.as_map_iter()?;
    let (_, value) = fields.find(|(name, _)| bytes(name) == Some(field.as_bytes()))?;
    bytes(value)
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fields: &[(&str, &str)]) -> Value {
        let bulk = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let pairs = fields.iter().map(|(name, value)| (bulk(name), bulk(value)));
        Value::Map(pairs.collect())
    }

    #[test]
    fn the_role_is_read_from_the_greeting() {
        for (fields, role) in [
            (
                vec![("mode", "standalone"), ("role", "master")],
                Role::Primary,
            ),
            (
                vec![("role", "replica"), ("mode", "cluster")],
                Role::Replica,
            ),
            (vec![("mode", "sentinel")], Role::Sentinel),
            (vec![("mode", "standalone")], Role::Unknown),
        ] {
            assert_eq!(judge(&reply(&fields)), role, "{fields:?}");
        }
        assert_eq!(judge(&Value::Nil), Role::Unknown);
    }
}
