//! From a URI to settings, without ever quoting what may be a piece of a password.

use std::num::{NonZeroU16, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};
use wingbeat_adapter::SyncError;

use super::{Address, AmqpConfig, DEFAULT_PORT, OPTIONS, SCHEMES, wrong};

pub(super) fn parse(uri: &str) -> Result<AmqpConfig, SyncError> {
    let (uri, others) = split_hosts(uri);
    let url = parse_url(&uri)?;
    let mut config = AmqpConfig::new("");
    config.tls = is_encrypted(&url)?;
    let port = if config.tls { TLS_PORT } else { DEFAULT_PORT };
    config.addresses = vec![address(&url, port)?];
    check_tail(&url)?;
    for host in others {
        let url = parse_url(&format!("amqp://{host}"))?;
        config.addresses.push(address(&url, port)?);
    }
    if let Some((username, password)) = credentials(&url)? {
        (config.username, config.password) = (username, password);
    }
    config.vhost = vhost(url.path())?;
    for (name, value) in url.query_pairs() {
        config.set(&name, &value)?;
    }
    config.check()?;
    Ok(config)
}

impl AmqpConfig {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SyncError> {
        match name {
            "ca_cert" => self.ca_cert = Some(PathBuf::from(value)),
            "connect_timeout" => self.connect_timeout = Some(milliseconds(name, value)?),
            "heartbeat" => self.heartbeat = seconds(name, value)?,
            _ => return Err(unknown_option(name)),
        }
        Ok(())
    }
}

/// A URL has one host, so the others are cut out before it is parsed as one.
fn split_hosts(uri: &str) -> (String, Vec<&str>) {
    let start = uri.find("://").map_or(uri.len(), |at| at + 3);
    let end = uri[start..]
        .find(['/', '?', '#'])
        .map_or(uri.len(), |at| start + at);
    let start = uri[start..end]
        .rfind('@')
        .map_or(start, |at| start + at + 1);
    let mut hosts = uri[start..end].split(',');
    let first = hosts.next().unwrap_or_default();
    let one_host = format!("{}{first}{}", &uri[..start], &uri[end..]);
    (one_host, hosts.collect())
}

fn parse_url(uri: &str) -> Result<Url, SyncError> {
    let problem = |error| wrong(format!("cannot parse the AMQP URI: {error}; {ESCAPES}"));
    Url::parse(uri).map_err(problem)
}

fn is_encrypted(url: &Url) -> Result<bool, SyncError> {
    let scheme = url.scheme();
    if SCHEMES.contains(&scheme) {
        return Ok(scheme == "amqps");
    }
    let known = SCHEMES.join(", ");
    Err(wrong(format!(
        "the scheme of an AMQP URI is one of {known}, not {scheme}"
    )))
}

fn address(url: &Url, default_port: u16) -> Result<Address, SyncError> {
    let host = match url.host() {
        // A foreign scheme's host is opaque to the parser and comes as it was written.
        Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host")?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Domain(_)) | None => {
            return Err(wrong(format!("the AMQP URI has no host; {ESCAPES}")));
        }
    };
    Ok(Address::new(host, url.port().unwrap_or(default_port)))
}

/// A bare `@` behind the host, or a fragment, is the rest of a password that was not escaped. Found before
/// anything else is said about these parts, because such a message would quote it.
fn check_tail(url: &Url) -> Result<(), SyncError> {
    let is_stray = url.path().contains('@') || url.query().is_some_and(|query| query.contains('@'));
    if is_stray || url.fragment().is_some() {
        return Err(wrong(format!(
            "the AMQP URI has an @ or a # behind its host; {ESCAPES}"
        )));
    }
    Ok(())
}

fn credentials(url: &Url) -> Result<Option<(String, String)>, SyncError> {
    let is_given = |text: &&str| !text.is_empty();
    let password = url.password().filter(is_given);
    match (Some(url.username()).filter(is_given), password) {
        (None, None) => Ok(None),
        (Some(username), Some(password)) => Ok(Some((
            decode(username, "user name")?,
            decode(password, "password")?,
        ))),
        _ => Err(wrong(
            "the AMQP URI has a user name or a password without the other",
        )),
    }
}

/// Reads the path. An empty one means the default virtual host, with and without its slash.
fn vhost(path: &str) -> Result<String, SyncError> {
    match path.strip_prefix('/').unwrap_or(path) {
        "" => Ok("/".to_owned()),
        name if name.contains('/') => Err(wrong(
            "the path of an AMQP URI is one virtual host; a / in its name is written %2F",
        )),
        name => decode(name, "virtual host"),
    }
}

fn unknown_option(name: &str) -> SyncError {
    let known = OPTIONS.join(", ");
    wrong(format!(
        "unknown option `{name}` in the AMQP URI; known: {known}"
    ))
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, SyncError> {
    let hint = format!("the option `{name}` is a number of milliseconds above 0");
    let number: NonZeroU64 = value.parse().map_err(|_| wrong(hint))?;
    Ok(Duration::from_millis(number.get()))
}

fn seconds(name: &str, value: &str) -> Result<Duration, SyncError> {
    let hint = format!("the option `{name}` is a number of seconds from 1 to 65535");
    let number: NonZeroU16 = value.parse().map_err(|_| wrong(hint))?;
    Ok(Duration::from_secs(number.get().into()))
}

fn decode(text: &str, part: &str) -> Result<String, SyncError> {
    let problem = |_| wrong(format!("the {part} in the AMQP URI is not UTF-8"));
    let text = percent_decode_str(text).decode_utf8().map_err(problem)?;
    Ok(text.into_owned())
}

const TLS_PORT: u16 = 5671;
const ESCAPES: &str = "in a password, / ? # @ : and % must be percent-encoded";
