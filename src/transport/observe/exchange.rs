//! A request and its successful answer, as closures see them.

use bytes::Bytes;
use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::Value;

/// A request to a described route and the answer that it got.
#[derive(Debug)]
pub struct Exchange {
    pub(super) method: Method,
    pub(super) params: Vec<(String, String)>,
    pub(super) id: Option<Value>,
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Exchange {
    /// Returns the verb of the request.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the text that stands in the path for a placeholder, decoded: `"17"` for `id` of `/todos/{id}`.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let mut params = self.params.iter();
        params
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the id of the record from the path, a number if it reads like one; `None` for a route without placeholder.
    #[must_use]
    pub fn id(&self) -> Option<Value> {
        self.id.clone()
    }

    /// Returns the status of the response, one of 200 to 299.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the body of the response.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Parses the body; `None` if it is no JSON.
    #[must_use]
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }
}

/// Decodes the params of a path, as axum does; what is no UTF-8 then stays as it stands.
pub(super) fn decoded<'a>(
    params: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, String)> {
    let decode = |(name, value): (&str, &'a str)| {
        let decoded = percent_decode_str(value).decode_utf8();
        let value = decoded.map_or_else(|_| value.to_owned(), Into::into);
        (name.to_owned(), value)
    };
    params.map(decode).collect()
}
