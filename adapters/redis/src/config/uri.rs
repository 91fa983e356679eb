//! From a URI to settings, without ever quoting what may be a piece of a password.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use url::{Host, Url};
use wingbeat_adapter::SyncError;

use super::{
    Address, DEFAULT_PORT, Deployment, OPTIONS, PubSub, RedisConfig, SCHEMES, Sentinel, wrong,
};

pub(super) fn parse(uri: &str) -> Result<RedisConfig, SyncError> {
    let (uri, others) = split_hosts(uri);
    let url = parse_url(&uri)?;
    let (security, kind) = scheme(&url)?;
    let port = default_port(kind);
    let mut config = RedisConfig::new("");
    config.tls = security == "rediss";
    config.addresses = vec![address(&url, port)?];
    check_tail(&url)?;
    check_names(&url)?;
    for host in others {
        let url = parse_url(&format!("redis://{host}"))?;
        config.addresses.push(address(&url, port)?);
    }
    (config.username, config.password) = credentials(&url)?;
    (config.deployment, config.database) = target(kind, url.path())?;
    for (name, value) in url.query_pairs() {
        config.set(&name, &value)?;
    }
    check_sentinel(&config.deployment)?;
    config.check()?;
    Ok(config)
}

impl RedisConfig {
    fn set(&mut self, name: &str, value: &str) -> Result<(), SyncError> {
        match name {
            "allow_replica" => self.allow_replica = yes_or_no(name, value)?,
            "ca_cert" => self.ca_cert = Some(PathBuf::from(value)),
            "connect_timeout" => self.connect_timeout = Some(milliseconds(name, value)?),
            "heartbeat" => self.heartbeat = milliseconds(name, value)?,
            "pubsub" => *self.pubsub()? = pubsub(value)?,
            "sentinel_password" => self.sentinel(name)?.password = Some(value.to_owned()),
            "sentinel_username" => self.sentinel(name)?.username = Some(value.to_owned()),
            _ => return Err(unknown_option(name)),
        }
        Ok(())
    }

    fn pubsub(&mut self) -> Result<&mut PubSub, SyncError> {
        match &mut self.deployment {
            Deployment::Cluster(pubsub) => Ok(pubsub),
            _ => Err(misplaced("pubsub", "redis+cluster://")),
        }
    }

    fn sentinel(&mut self, option: &str) -> Result<&mut Sentinel, SyncError> {
        match &mut self.deployment {
            Deployment::Sentinel(sentinel) => Ok(sentinel),
            _ => Err(misplaced(option, "redis+sentinel://")),
        }
    }
}

fn misplaced(option: &str, home: &str) -> SyncError {
    wrong(format!("the option `{option}` is for {home}"))
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
    let problem = |error| wrong(format!("cannot parse the Redis URI: {error}; {ESCAPES}"));
    Url::parse(uri).map_err(problem)
}

/// Splits `rediss+cluster` into what the line is and what stands at its end.
fn scheme(url: &Url) -> Result<(&str, &str), SyncError> {
    let scheme = url.scheme();
    if SCHEMES.contains(&scheme) {
        return Ok(scheme.split_once('+').unwrap_or((scheme, "")));
    }
    let known = SCHEMES.join(", ");
    Err(wrong(format!(
        "the scheme of a Redis URI is one of {known}, not {scheme}"
    )))
}

fn default_port(kind: &str) -> u16 {
    if kind == "sentinel" {
        SENTINEL_PORT
    } else {
        DEFAULT_PORT
    }
}

fn address(url: &Url, default_port: u16) -> Result<Address, SyncError> {
    let host = match url.host() {
        // A foreign scheme's host is opaque to the parser and comes as it was written.
        Some(Host::Domain(name)) if !name.is_empty() => decode(name, "host")?,
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        Some(Host::Domain(_)) | None => {
            return Err(wrong(format!("the Redis URI has no host; {ESCAPES}")));
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
            "the Redis URI has an @ or a # behind its host; {ESCAPES}"
        )));
    }
    Ok(())
}

/// An unescaped `&` in a password makes an option of its rest. Found before an unknown option is quoted.
fn check_names(url: &Url) -> Result<(), SyncError> {
    let has_password = url
        .query_pairs()
        .any(|(name, _)| name.ends_with("password"));
    let is_known = |name: &str| OPTIONS.contains(&name);
    if has_password && !url.query_pairs().all(|(name, _)| is_known(&name)) {
        let known = OPTIONS.join(", ");
        return Err(wrong(format!(
            "the Redis URI has an unknown option, or a & in a password, to be written %26; known: {known}"
        )));
    }
    Ok(())
}

fn credentials(url: &Url) -> Result<(Option<String>, Option<String>), SyncError> {
    let username = match url.username() {
        "" => None,
        name => Some(decode(name, "user name")?),
    };
    let password = match url.password() {
        None | Some("") => None,
        Some(password) => Some(decode(password, "password")?),
    };
    if username.is_some() && password.is_none() {
        let hint = "a password alone is written redis://:password@host";
        return Err(wrong(format!(
            "the Redis URI has a user name without a password; {hint}"
        )));
    }
    Ok((username, password))
}

/// Reads the path: `/service[/database]` with sentinels, `/database` otherwise.
fn target(kind: &str, path: &str) -> Result<(Deployment, u32), SyncError> {
    let path = path.strip_prefix('/').unwrap_or(path);
    match kind {
        "sentinel" => {
            let (service, number) = path.split_once('/').unwrap_or((path, ""));
            if service.is_empty() {
                return Err(wrong(
                    "the path of a redis+sentinel URI begins with the service's name, as in \
                     redis+sentinel://host:26379/mymaster",
                ));
            }
            let sentinel = Sentinel::new(decode(service, "service name")?);
            Ok((Deployment::Sentinel(sentinel), database(number)?))
        }
        "cluster" => Ok((Deployment::Cluster(PubSub::default()), database(path)?)),
        _ => Ok((Deployment::Standalone, database(path)?)),
    }
}

fn database(number: &str) -> Result<u32, SyncError> {
    if number.is_empty() {
        return Ok(0);
    }
    let hint = "the path of a Redis URI ends in a database number, as in redis://host/0";
    number.parse().map_err(|_| wrong(hint))
}

fn check_sentinel(deployment: &Deployment) -> Result<(), SyncError> {
    match deployment {
        Deployment::Sentinel(sentinel)
            if sentinel.username.is_some() && sentinel.password.is_none() =>
        {
            Err(wrong(
                "the option `sentinel_username` needs `sentinel_password`",
            ))
        }
        _ => Ok(()),
    }
}

fn unknown_option(name: &str) -> SyncError {
    let known = OPTIONS.join(", ");
    wrong(format!(
        "unknown option `{name}` in the Redis URI; known: {known}"
    ))
}

fn pubsub(value: &str) -> Result<PubSub, SyncError> {
    match value {
        "sharded" => Ok(PubSub::Sharded),
        "classic" => Ok(PubSub::Classic),
        _ => Err(wrong("the option `pubsub` is sharded or classic")),
    }
}

fn yes_or_no(name: &str, value: &str) -> Result<bool, SyncError> {
    value
        .parse()
        .map_err(|_| wrong(format!("the option `{name}` is true or false")))
}

fn milliseconds(name: &str, value: &str) -> Result<Duration, SyncError> {
    let hint = format!("the option `{name}` is a number of milliseconds above 0");
    let number: NonZeroU64 = value.parse().map_err(|_| wrong(hint))?;
    Ok(Duration::from_millis(number.get()))
}

fn decode(text: &str, part: &str) -> Result<String, SyncError> {
    let problem = |_| wrong(format!("the {part} in the Redis URI is not UTF-8"));
    let text = percent_decode_str(text).decode_utf8().map_err(problem)?;
    Ok(text.into_owned())
}

const SENTINEL_PORT: u16 = 26_379;
const ESCAPES: &str = "in a password, / ? # @ : and % must be percent-encoded";
