use redis::{RedisResult, Value};
use wingbeat_adapter::SyncError;

use crate::config::{Address, PubSub};
use crate::dialer::Dialer;
use crate::error;
use crate::topics::Topics;

/// Asks one server of a cluster who serves the slot of the events topic.
///
/// All links meet there, although classic publish/subscribe works on any server: one server is one order, and nothing
/// hangs on the bus between servers, which drops what it cannot deliver. Without that server, the classic kind has others.
pub(super) async fn ask(
    dialer: &Dialer,
    at: &Address,
    topics: &Topics,
) -> Result<Vec<Address>, SyncError> {
    let (slot, ranges) = map(dialer, at, &topics.events)
        .await
        .map_err(|error| error::ask_failed(error, at, "server of a cluster"))?;
    let (owners, others): (Vec<&Range>, Vec<&Range>) =
        ranges.iter().partition(|range| range.has(slot));
    let mut found: Vec<Address> = owners.iter().map(|range| range.address(at)).collect();
    if topics.pubsub == PubSub::Classic {
        found.extend(others.iter().map(|range| range.address(at)));
    }
    first_few(&mut found);
    if found.is_empty() {
        let context = format!("the cluster at {at} has no server for the slot of the topic");
        return Err(error::nobody(context));
    }
    Ok(found)
}

/// A part of the slots and the primary that serves it.
#[derive(Debug, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    host: String,
    port: u16,
}

impl Range {
    fn has(&self, slot: u16) -> bool {
        (self.first..=self.last).contains(&slot)
    }

    /// A server that does not know its own address is the one that was asked.
    fn address(&self, asked: &Address) -> Address {
        let host = match self.host.as_str() {
            "" => &asked.host,
            host => host,
        };
        Address::new(host, self.port)
    }
}

async fn map(dialer: &Dialer, at: &Address, topic: &str) -> RedisResult<(u16, Vec<Range>)> {
    let mut connection = dialer.ask_server(at).await?;
    let mut command = redis::cmd("CLUSTER");
    command.arg("KEYSLOT").arg(topic);
    let slot: u16 = command.query_async(&mut connection).await?;
    let mut command = redis::cmd("CLUSTER");
    let ranges: Vec<Value> = command.arg("SLOTS").query_async(&mut connection).await?;
    Ok((slot, ranges.iter().filter_map(range).collect()))
}

/// Reads `[first, last, [host, port, …], replicas…]`; a server whose address is not known is passed over.
fn range(value: &Value) -> Option<Range> {
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(primary),
        ..,
    ] = value.as_sequence()?
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = primary.as_slice() else {
        return None;
    };
    Some(Range {
        first: u16::try_from(*first).ok()?,
        last: u16::try_from(*last).ok()?,
        host: host_name(host)?,
        // A server that has no port for this kind of line, plain or TLS, names 0.
        port: u16::try_from(*port).ok().filter(|port| *port > 0)?,
    })
}

fn host_name(value: &Value) -> Option<String> {
    match value {
        Value::Nil => Some(String::new()),
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
    .filter(|host| host != "?")
}

/// Each server once. Every node finds the same few, so they meet in most cases even without the first.
fn first_few(found: &mut Vec<Address>) {
    let mut few: Vec<Address> = Vec::with_capacity(CANDIDATES);
    for address in found.drain(..) {
        if few.len() < CANDIDATES && !few.contains(&address) {
            few.push(address);
        }
    }
    *found = few;
}

const CANDIDATES: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(first: i64, last: i64, host: Value, port: i64) -> Value {
        let primary = vec![host, Value::Int(port), bulk("id"), Value::Map(Vec::new())];
        let replica = Value::Array(vec![bulk("10.0.0.9"), Value::Int(1)]);
        Value::Array(vec![
            Value::Int(first),
            Value::Int(last),
            Value::Array(primary),
            replica,
        ])
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn a_range_names_its_primary_or_the_server_that_was_asked() {
        let asked = Address::new("seed", 7000);
        for (host, name) in [
            (bulk("10.0.0.1"), "10.0.0.1"),
            (bulk(""), "seed"),
            (Value::Nil, "seed"),
        ] {
            let range = range(&entry(0, 5460, host, 7001)).unwrap();
            assert_eq!(range.address(&asked), Address::new(name, 7001));
            assert!(range.has(0) && range.has(5460) && !range.has(5461));
        }
    }

    #[test]
    fn what_cannot_be_reached_or_read_is_passed_over() {
        for value in [
            entry(0, 1, bulk("?"), 1),
            entry(0, 1, bulk("h"), 65_536),
            entry(0, 1, bulk("h"), 0),
            entry(-1, 1, bulk("h"), 1),
            Value::Array(vec![Value::Int(0)]),
            Value::Nil,
        ] {
            assert_eq!(range(&value), None, "{value:?}");
        }
    }

    #[test]
    fn candidates_are_few_and_different() {
        let mut found: Vec<_> = [1, 2, 1, 3, 4].map(|port| Address::new("h", port)).into();
        first_few(&mut found);
        assert_eq!(found, [1, 2, 3].map(|port| Address::new("h", port)));
    }
}
