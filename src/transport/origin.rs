//! From which pages a handshake may come.

use http::{Request, Uri, header};

use crate::error::Error;

/// Tells whether a page of another origin makes the browser send our cookies.
///
/// Browsers let any page open a websocket to any host and add that host's cookies, so nobody but the server can tell a
/// user's own page from a stranger's. A handshake without cookies carries nothing that could be stolen.
pub(super) fn is_foreign<B>(request: &Request<B>, allowed: &[String]) -> bool {
    let headers = request.headers();
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    if !headers.contains_key(header::COOKIE)
        || allowed.iter().any(|allowed| origin == allowed.as_str())
    {
        return false;
    }
    !origin
        .to_str()
        .is_ok_and(|origin| is_same_host(origin, host(request)))
}

/// Says that a handshake comes from a page that must not send it.
pub(super) fn foreign() -> Error {
    Error::forbidden(FOREIGN)
}

fn host<B>(request: &Request<B>) -> &str {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    host.or_else(|| Some(request.uri().authority()?.as_str()))
        .unwrap_or_default()
}

/// Compares host and port. A proxy that ends TLS passes on a `Host` without port, which then means the origin's own default.
fn is_same_host(origin: &str, host: &str) -> bool {
    let (Ok(origin), Ok(host)) = (origin.parse::<Uri>(), host.parse::<Uri>()) else {
        return false;
    };
    let default_port = match origin.scheme_str() {
        Some("http") => 80,
        Some("https") => 443,
        _ => return false,
    };
    let place = |uri: &Uri| {
        let host = uri.host()?.to_ascii_lowercase();
        Some((host, uri.port_u16().unwrap_or(default_port)))
    };
    place(&origin).is_some() && place(&origin) == place(&host)
}

/// What is wrong, and what helps.
pub(super) const FOREIGN: &str =
    "Origin not allowed: a handshake with cookies comes from this host or an allowed origin";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_the_same_with_their_ports() {
        let table = [
            ("http://a.example", "a.example", true),
            ("https://A.Example", "a.example", true),
            ("http://a.example", "a.example:80", true),
            ("https://a.example", "a.example:443", true),
            ("https://a.example:443", "a.example", true),
            ("http://127.0.0.1:3030", "127.0.0.1:3030", true),
            ("http://[::1]:3030", "[::1]:3030", true),
            ("http://a.example", "a.example:443", false),
            ("http://a.example:8080", "a.example", false),
            ("http://b.example", "a.example", false),
            ("http://a.example.evil", "a.example", false),
            ("ftp://a.example", "a.example", false),
            ("a.example", "a.example", false),
            ("null", "null", false),
            ("null", "", false),
            ("", "", false),
            ("http://", "", false),
        ];
        for (origin, host, is_same) in table {
            assert_eq!(is_same_host(origin, host), is_same, "{origin} at {host}");
        }
    }
}
