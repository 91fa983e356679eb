//! From a URI to settings, without ever quoting what may be a piece of a password.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};
use wingbeat_adapter::SyncError;

use super::{Address, DEFAULT_PORT, NatsConfig, OPTIONS, SCHEMES, wrong};

pub(super) fn parse(uri: &str) -> Result<NatsConfig, SyncError> {
    let (uri, others) = split_hosts(uri);
    let url = parse_url(&uri)?;
    let mut config = NatsConfig::new("");
    config.tls = scheme(&url)? == "tls";
    config.addresses = vec![address(&url)?];
    check_tail(&url)?;
    for host in others {
        let url = parse_url(&format!("nats://{host}"))?;
        config.addresses.push(address(&url)?);
    }
    config.read_credentials(&url)?;
    for (name, value) in url.query_pairs() {
        config.set(&name, &value)?;
    }
    config.check()?;
    Ok(config)
}

impl NatsConfig {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SyncError> {
        match name {
            "ca_cert" => self.ca_cert = Some(path(name, value)?),
            "connect_timeout" => self.connect_timeout = Some(milliseconds(name, value)?),
            "creds" => self.creds = Some(path(name, value)?),
            "heartbeat" => self.heartbeat = milliseconds(name, value)?,
            "nkey" => self.nkey = Some(path(name, value)?),
            _ => return Err(unknown_option(name)),
        }
        Ok(())
    }

    /// What stands alone before the `@` is a token, as in every client of NATS.
    fn read_credentials(&mut self, url: &Url) -> Result<(), SyncError> {
        match (url.username(), url.password().unwrap_or_default()) {
            ("", "") => {}
            ("", _) => return Err(wrong("the NATS URI has a password without a user name")),
            (token, "") => self.token = Some(decode(token, "token")?),
            (username, password) => {
                self.username = Some(decode(username, "user name")?);
                self.password = Some(decode(password, "password")?);
            }
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
    let problem = |error| wrong(format!("cannot parse the NATS URI: {error}; {ESCAPES}"));
    Url::parse(uri).map_err(problem)
}

fn scheme(url: &Url) -> Result<&str, SyncError> {
    let scheme = url.scheme();
    if SCHEMES.contains(&scheme) {
        return Ok(scheme);
    }
    let known = SCHEMES.join(", ");
    Err(wrong(format!(
        "the scheme of a NATS URI is one of {known}, not {scheme}"
    )))
}

fn address(url: &Url) -> Result<Address, SyncError> {
    let host = match url.host() {
        // A foreign scheme's host is opaque to the parser and comes as it was written.
        Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host")?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Domain(_)) | None => {
            return Err(wrong(format!("the NATS URI has no host; {ESCAPES}")));
        }
    };
    Ok(Address::new(host, url.port().unwrap_or(DEFAULT_PORT)))
}

/// A bare `@` behind the host, a path or a fragment is the rest of a password that was not escaped. Found before
/// anything else is said about these parts, because such a message would quote it.
fn check_tail(url: &Url) -> Result<(), SyncError> {
    let has_path = !matches!(url.path(), "" | "/");
    let is_stray = url.query().is_some_and(|query| query.contains('@'));
    if has_path || is_stray || url.fragment().is_some() {
        return Err(wrong(format!(
            "the NATS URI has a path, an @ or a # behind its host; {ESCAPES}"
        )));
    }
    Ok(())
}

fn unknown_option(name: &str) -> SyncError {
    let known = OPTIONS.join(", ");
    wrong(format!(
        "unknown option `{name}` in the NATS URI; known: {known}"
    ))
}

fn path(name: &str, value: &str) -> Result<PathBuf, SyncError> {
    if value.is_empty() {
        return Err(wrong(format!("the option `{name}` is the path of a file")));
    }
    Ok(PathBuf::from(value))
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, SyncError> {
    let hint = format!("the option `{name}` is a number of milliseconds above 0");
    let number: NonZeroU64 = value.parse().map_err(|_| wrong(hint))?;
    Ok(Duration::from_millis(number.get()))
}

fn decode(text: &str, part: &str) -> Result<String, SyncError> {
    let problem = |_| wrong(format!("the {part} in the NATS URI is not UTF-8"));
    let text = percent_decode_str(text).decode_utf8().map_err(problem)?;
    Ok(text.into_owned())
}

const ESCAPES: &str = "in a password or token, / ? # @ : and % must be percent-encoded";
