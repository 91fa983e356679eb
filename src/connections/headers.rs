//! The headers of a handshake, kept small.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};

/// Headers as the text that they were sent as, until somebody looks at them: a map of them takes three times as much memory,
/// and most clients only listen.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// Lines of `name:value`.
    text: Box<[u8]>,
    map: OnceLock<Arc<HeaderMap>>,
}

impl Headers {
    pub(super) fn map(&self) -> &Arc<HeaderMap> {
        self.map.get_or_init(|| Arc::new(parsed(&self.text)))
    }
}

impl From<&HeaderMap> for Headers {
    fn from(headers: &HeaderMap) -> Self {
        // Text does not say which values are not to be shown.
        if headers.values().any(HeaderValue::is_sensitive) {
            let map = OnceLock::from(Arc::new(headers.clone()));
            return Self {
                map,
                ..Self::default()
            };
        }
        let lines = headers.iter().flat_map(|(name, value)| {
            [name.as_str().as_bytes(), b":", value.as_bytes(), b"\n"].concat()
        });
        let text = lines.collect();
        Self {
            text,
            ..Self::default()
        }
    }
}

/// A name has no colon, and a value no line break.
fn parsed(text: &[u8]) -> HeaderMap {
    let lines = text.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?))
    });
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(name, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append(*name, value);
        }
        headers
    }

    #[test]
    fn headers_come_back_as_they_were() {
        let map = headers(&[
            ("cookie", b"a=1"),
            ("x", b""),
            ("cookie", b"b: 2\t\xff"),
            ("y", b":"),
        ]);
        let kept = Headers::from(&map);
        assert!(kept.map.get().is_none());
        assert_eq!(**kept.map(), map);
        assert_eq!(**Headers::default().map(), HeaderMap::new());
    }

    #[test]
    fn what_is_not_to_be_shown_stays_so() {
        let mut map = headers(&[("cookie", b"a=1")]);
        map.get_mut("cookie").unwrap().set_sensitive(true);
        assert!(Headers::from(&map).map()["cookie"].is_sensitive());
    }
}
