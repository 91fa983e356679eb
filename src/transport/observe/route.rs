//! What a host says of one of its routes.

use std::fmt;
use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use super::exchange::Exchange;

/// How the responses of one route become events; a bare path turns into one with the defaults.
///
/// ```
/// use wingbeat::{App, EventLayer, ObservedRoute};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let app = App::builder().build()?;
/// // Answers of `{ "data": { … } }`, and ids that are strings although they look like numbers.
/// let users = ObservedRoute::new("users").data_at("/data").text_id();
/// let layer = EventLayer::new(&app).route("/users/{name}", users);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "a route does nothing until a layer has it"]
pub struct ObservedRoute {
    pub(super) path: Arc<str>,
    id_param: Option<String>,
    has_text_id: bool,
    data_at: String,
    custom: Option<Custom>,
}

type Custom = Arc<dyn Fn(&Exchange) -> Option<(String, Value)> + Send + Sync>;

/// What a response comes to.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// One event for each of the values.
    Events(String, Vec<Value>),
    /// The closure wants none.
    Nothing,
    /// The body is no JSON, or has no data at the place that the route names.
    Unreadable,
}

impl ObservedRoute {
    /// Names the path under which the events happen, as `todos`.
    pub fn new(path: &str) -> Self {
        Self {
            path: path.into(),
            id_param: None,
            has_text_id: false,
            data_at: String::new(),
            custom: None,
        }
    }

    /// Names the placeholder with the id of the record; the last one by default.
    pub fn id_param(mut self, name: &str) -> Self {
        self.id_param = Some(name.to_owned());
        self
    }

    /// Takes every id for a string; by default one that reads like an integer, as `17`, is a number.
    pub fn text_id(mut self) -> Self {
        self.has_text_id = true;
        self
    }

    /// Names the place of the data in the body, as a JSON pointer: `/data` for answers of `{ "data": … }`.
    pub fn data_at(mut self, pointer: &str) -> Self {
        pointer.clone_into(&mut self.data_at);
        self
    }

    /// Makes the events by a closure, as [`EventLayer::route_with`](super::EventLayer::route_with).
    pub fn with<N, F>(mut self, event: F) -> Self
    where
        N: Into<String>,
        F: Fn(&Exchange) -> Option<(N, Value)> + Send + Sync + 'static,
    {
        let named = move |exchange: &Exchange| {
            event(exchange).map(|(name, data): (N, _)| (name.into(), data))
        };
        self.custom = Some(Arc::new(named));
        self
    }

    /// Tells whether requests with a verb may have an event.
    pub(super) fn listens_to(&self, verb: &Method) -> bool {
        match self.custom {
            Some(_) => !verb.is_safe(),
            None => event_of(verb).is_some(),
        }
    }

    /// Tells whether bodies that are no JSON can have an event.
    pub(super) fn reads_anything(&self) -> bool {
        self.custom.is_some()
    }

    /// Returns the id of the record that a path names.
    pub(super) fn id(&self, params: &[(String, String)]) -> Option<Value> {
        let of = |name: &String| params.iter().find(|(known, _)| known == name);
        let found = self.id_param.as_ref().map_or_else(|| params.last(), of);
        let (_, text) = found?;
        let number = text.parse().ok().filter(|_| !self.has_text_id);
        let number = number.filter(|number: &i64| number.to_string() == *text);
        Some(number.map_or_else(|| text.as_str().into(), Value::from))
    }

    /// Makes the events of a successful exchange.
    pub(super) fn outcome(&self, exchange: &Exchange) -> Outcome {
        match &self.custom {
            Some(custom) => match custom(exchange) {
                Some((name, data)) => Outcome::Events(name, vec![data]),
                None => Outcome::Nothing,
            },
            None => self.usual(exchange).unwrap_or(Outcome::Unreadable),
        }
    }

    fn usual(&self, exchange: &Exchange) -> Option<Outcome> {
        let name = event_of(exchange.method())?.to_owned();
        if exchange.body().is_empty() && exchange.method() == Method::DELETE {
            let data = json!({ "id": exchange.id()? });
            return Some(Outcome::Events(name, vec![data]));
        }
        let mut body = exchange.json()?;
        Some(match body.pointer_mut(&self.data_at)?.take() {
            Value::Array(elements) => Outcome::Events(name, elements),
            data => Outcome::Events(name, vec![data]),
        })
    }
}

impl From<&str> for ObservedRoute {
    fn from(path: &str) -> Self {
        Self::new(path)
    }
}

impl fmt::Debug for ObservedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ObservedRoute")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

fn event_of(verb: &Method) -> Option<&'static str> {
    match verb.as_str() {
        "POST" => Some("created"),
        "PUT" => Some("updated"),
        "PATCH" => Some("patched"),
        "DELETE" => Some("removed"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(params: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        params.iter().map(owned).collect()
    }

    #[test]
    fn ids_are_numbers_when_they_read_like_one() {
        let id = |text| ObservedRoute::new("x").id(&params(&[("id", text)]));
        let table = [
            ("17", json!(17)),
            ("-1", json!(-1)),
            ("017", json!("017")),
            ("+1", json!("+1")),
            ("1e3", json!("1e3")),
            ("9223372036854775808", json!("9223372036854775808")),
            ("", json!("")),
        ];
        for (text, expected) in table {
            assert_eq!(id(text), Some(expected), "{text}");
        }
        let text = ObservedRoute::new("x").text_id();
        assert_eq!(text.id(&params(&[("id", "17")])), Some(json!("17")));
    }

    #[test]
    fn the_last_placeholder_is_the_id_unless_another_is_named() {
        let params = params(&[("org", "7"), ("todo", "8")]);
        let route = ObservedRoute::new("x");
        assert_eq!(route.id(&params), Some(json!(8)));
        assert_eq!(route.id(&[]), None);
        assert_eq!(route.clone().id_param("org").id(&params), Some(json!(7)));
        assert_eq!(route.id_param("id").id(&params), None);
    }
}
