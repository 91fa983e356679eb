//! The error that services, hooks and transports answer with: Feathers names, status codes and JSON.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::{Map, Value, json};

/// A result whose error clients can be told.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Says why a call failed, in the words of Feathers.
///
/// ```
/// use serde_json::json;
/// use wingbeat::{Error, error::ErrorName};
///
/// let error = Error::not_found("No record found for id '9'");
/// assert_eq!(error.code(), 404);
/// assert_eq!(
///     error.to_json(),
///     json!({ "name": "NotFound", "message": "No record found for id '9'", "code": 404, "className": "not-found" })
/// );
/// assert_eq!(error.name(), ErrorName::NotFound);
/// ```
///
/// `?` turns every other error into one that clients do not see, as [`foreign`](Self::foreign) does. For that this type is
/// no [`std::error::Error`] itself; it dereferences to one, and a function that returns `Box<dyn std::error::Error>` takes it
/// by `?`.
///
/// ```
/// # use wingbeat::error::Result;
/// fn motto() -> Result<String> {
///     Ok(std::fs::read_to_string("/no/such/file")?)
/// }
///
/// let error = motto().unwrap_err();
/// assert_eq!((error.code(), error.is_foreign()), (500, true));
/// assert!(error.source().is_some());
/// ```
#[derive(Clone)]
pub struct Error(Box<Content>);

/// Behind a pointer, because results with errors are everywhere and errors are rare.
#[derive(Clone)]
struct Content {
    name: ErrorName,
    message: Cow<'static, str>,
    data: Option<Value>,
    errors: Option<Value>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The error names of Feathers and their status codes (`@feathersjs/errors` 5.0.50).
///
/// ```
/// # use wingbeat::error::ErrorName;
/// assert_eq!(ErrorName::from_name("Conflict"), Some(ErrorName::Conflict));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorName {
    /// 400
    BadRequest,
    /// 401
    NotAuthenticated,
    /// 402
    PaymentError,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 406
    NotAcceptable,
    /// 408
    Timeout,
    /// 409
    Conflict,
    /// 410
    Gone,
    /// 411
    LengthRequired,
    /// 413, which Feathers itself does not name: it answers 500 to a body that is too large.
    PayloadTooLarge,
    /// 422
    Unprocessable,
    /// 429
    TooManyRequests,
    /// 500
    GeneralError,
    /// 501
    NotImplemented,
    /// 502
    BadGateway,
    /// 503
    Unavailable,
}

/// Makes errors of each name, and reads them.
///
/// ```
/// # use wingbeat::Error;
/// assert_eq!(Error::not_found("no such room").to_string(), "no such room");
/// ```
impl Error {
    /// Makes an error of the given name.
    ///
    /// ```
    /// # use wingbeat::{Error, error::ErrorName};
    /// assert_eq!(Error::new(ErrorName::Conflict, "the name is taken").code(), 409);
    /// ```
    pub fn new(name: ErrorName, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Content {
            name,
            message: message.into(),
            data: None,
            errors: None,
            source: None,
        }))
    }

    /// Makes a `BadRequest` (400).
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::bad_request("a message needs a text").code(), 400);
    /// ```
    pub fn bad_request(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::BadRequest, message)
    }

    /// Makes a `NotFound` (404).
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::not_found("no such room").code(), 404);
    /// ```
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::NotFound, message)
    }

    /// Makes a `MethodNotAllowed` (405).
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::method_not_allowed("messages stay as they are").code(), 405);
    /// ```
    pub fn method_not_allowed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::MethodNotAllowed, message)
    }

    /// Makes a `Forbidden` (403).
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::forbidden("not your room").code(), 403);
    /// ```
    pub fn forbidden(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorName::Forbidden, message)
    }

    /// Wraps an error of another library, whose text clients do not see; `?` does the same.
    ///
    /// They get a `GeneralError` with a log id; the text stands in the log under that id. An app built with
    /// `feathers_compat` sends the text, as Feathers does. An `Error` that comes back in a box is itself again.
    ///
    /// This is for what `?` does not take: a text, or an error that is in a box already.
    ///
    /// ```
    /// use wingbeat::Error;
    ///
    /// let boxed: Box<dyn std::error::Error + Send + Sync> = Error::not_found("no such room").into();
    /// assert_eq!(Error::foreign(boxed).code(), 404);
    /// assert_eq!(Error::foreign("the disk is full").code(), 500);
    /// ```
    pub fn foreign(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match source.into().downcast::<Content>() {
            Ok(content) => Self(content),
            Err(source) => {
                let mut error = Self::new(ErrorName::GeneralError, "foreign error");
                error.0.source = Some(Arc::from(source));
                error
            }
        }
    }

    /// Attaches data; a key `errors` in it becomes the error's `errors`, as in the Feathers constructors.
    ///
    /// ```
    /// # use serde_json::json;
    /// let error = wingbeat::Error::bad_request("invalid").with_data(json!({ "user": 7, "errors": { "email": "taken" } }));
    /// assert_eq!(error.data(), Some(&json!({ "user": 7 })));
    /// assert_eq!(error.to_json()["errors"], json!({ "email": "taken" }));
    /// ```
    #[must_use]
    pub fn with_data(mut self, data: Value) -> Self {
        let Value::Object(mut object) = data else {
            self.0.data = Some(data);
            return self;
        };
        self.0.errors = object.shift_remove("errors");
        if let Some(Value::String(message)) = object.shift_remove("message") {
            self.0.message = message.into();
        }
        self.0.data = Some(Value::Object(object));
        self
    }

    /// Returns the name.
    ///
    /// ```
    /// # use wingbeat::{Error, error::ErrorName};
    /// assert_eq!(Error::forbidden("not your room").name(), ErrorName::Forbidden);
    /// ```
    #[must_use]
    pub fn name(&self) -> ErrorName {
        self.0.name
    }

    /// Returns the HTTP status code.
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::foreign("the disk is full").code(), 500);
    /// ```
    #[must_use]
    pub fn code(&self) -> u16 {
        self.0.name.row().0
    }

    /// Returns the message.
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::not_found("no such room").message(), "no such room");
    /// ```
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Returns the data that was attached.
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::bad_request("too long").with_data(7.into()).data(), Some(&7.into()));
    /// ```
    #[must_use]
    pub fn data(&self) -> Option<&Value> {
        self.0.data.as_ref()
    }

    /// Tells whether this wraps an error of another library ([`Error::foreign`]).
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert!(Error::foreign("the disk is full").is_foreign() && !Error::not_found("no such room").is_foreign());
    /// ```
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        self.0.source.is_some()
    }

    /// Renders the error as Feathers does: `name`, `message`, `code`, `className`, then `data` and `errors` if set.
    ///
    /// ```
    /// # use wingbeat::Error;
    /// assert_eq!(Error::not_found("no such room").to_json()["className"], "not-found");
    /// ```
    #[must_use]
    pub fn to_json(&self) -> Value {
        let (code, name, class_name) = self.0.name.row();
        let mut json = json!({ "name": name, "message": self.0.message, "code": code, "className": class_name });
        let members = [("data", &self.0.data), ("errors", &self.0.errors)];
        for (key, value) in members
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)))
        {
            json[key] = value;
        }
        json
    }

    /// Reads what [`to_json`](Self::to_json) writes, as clients do (feathers.md §7.3). What has no name that is known is a
    /// `GeneralError`, and what is no object is its own message.
    #[cfg(feature = "testing")]
    pub(crate) fn from_json(mut json: Value) -> Self {
        let name = json["name"].as_str().and_then(ErrorName::from_name);
        let message = match &json["message"] {
            Value::String(message) => message.clone(),
            _ => json.to_string(),
        };
        let mut error = Self::new(name.unwrap_or(ErrorName::GeneralError), message);
        error.0.data = json.get_mut("data").map(Value::take);
        error.0.errors = json.get_mut("errors").map(Value::take);
        error
    }

    /// Returns what a client may see: itself, or for a foreign error its stand-in.
    ///
    /// `compat` sends the foreign text; otherwise it is logged under the id that the stand-in names.
    pub(crate) fn public(&self, compat: bool) -> Cow<'_, Self> {
        let Some(source) = &self.0.source else {
            return Cow::Borrowed(self);
        };
        if compat {
            return Cow::Owned(Self::new(ErrorName::GeneralError, source.to_string()));
        }
        let id = format!("{:08x}", rand::random::<u32>());
        tracing::error!(log_id = %id, error = %source, "a call failed with a foreign error");
        Cow::Owned(Self::new(
            ErrorName::GeneralError,
            format!("Internal error, log id {id}"),
        ))
    }

    /// Renders the error for a Socket.IO acknowledgement (feathers.md, errors over sockets): in `compat`, a foreign
    /// error is its message alone.
    pub(crate) fn to_ack(&self, compat: bool) -> Value {
        let public = self.public(compat);
        if compat && self.is_foreign() {
            let mut object = Map::new();
            object.insert("message".to_owned(), public.message().into());
            return Value::Object(object);
        }
        public.to_json()
    }
}

/// Finds names.
///
/// ```
/// # use wingbeat::error::ErrorName;
/// assert_eq!(ErrorName::from_name("Gone"), Some(ErrorName::from_code(410)));
/// ```
impl ErrorName {
    /// Returns the name that stands for a status code, `GeneralError` for codes without one.
    ///
    /// ```
    /// # use wingbeat::error::ErrorName;
    /// assert_eq!(ErrorName::from_code(409), ErrorName::Conflict);
    /// assert_eq!(ErrorName::from_code(418), ErrorName::GeneralError);
    /// ```
    #[must_use]
    pub fn from_code(code: u16) -> Self {
        Self::ALL
            .into_iter()
            .find(|name| name.row().0 == code)
            .unwrap_or(Self::GeneralError)
    }

    /// Returns the name that is spelled `name`, if there is one.
    ///
    /// ```
    /// # use wingbeat::error::ErrorName;
    /// assert_eq!(ErrorName::from_name("Timeout"), Some(ErrorName::Timeout));
    /// ```
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|candidate| candidate.row().1 == name)
    }

    const ALL: [Self; 18] = [
        Self::BadRequest,
        Self::NotAuthenticated,
        Self::PaymentError,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::NotAcceptable,
        Self::Timeout,
        Self::Conflict,
        Self::Gone,
        Self::LengthRequired,
        Self::PayloadTooLarge,
        Self::Unprocessable,
        Self::TooManyRequests,
        Self::GeneralError,
        Self::NotImplemented,
        Self::BadGateway,
        Self::Unavailable,
    ];

    const fn row(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::BadRequest => (400, "BadRequest", "bad-request"),
            Self::NotAuthenticated => (401, "NotAuthenticated", "not-authenticated"),
            Self::PaymentError => (402, "PaymentError", "payment-error"),
            Self::Forbidden => (403, "Forbidden", "forbidden"),
            Self::NotFound => (404, "NotFound", "not-found"),
            Self::MethodNotAllowed => (405, "MethodNotAllowed", "method-not-allowed"),
            Self::NotAcceptable => (406, "NotAcceptable", "not-acceptable"),
            Self::Timeout => (408, "Timeout", "timeout"),
            Self::Conflict => (409, "Conflict", "conflict"),
            Self::Gone => (410, "Gone", "gone"),
            Self::LengthRequired => (411, "LengthRequired", "length-required"),
            Self::PayloadTooLarge => (413, "PayloadTooLarge", "payload-too-large"),
            Self::Unprocessable => (422, "Unprocessable", "unprocessable"),
            Self::TooManyRequests => (429, "TooManyRequests", "too-many-requests"),
            Self::GeneralError => (500, "GeneralError", "general-error"),
            Self::NotImplemented => (501, "NotImplemented", "not-implemented"),
            Self::BadGateway => (502, "BadGateway", "bad-gateway"),
            Self::Unavailable => (503, "Unavailable", "unavailable"),
        }
    }
}

/// Any error, as [`Error::foreign`] wraps it.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(source: E) -> Self {
        Self::foreign(source)
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    fn from(error: Error) -> Self {
        error.0
    }
}

impl From<Error> for Box<dyn StdError> {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// Gives what wants a [`std::error::Error`] one.
impl Deref for Error {
    type Target = dyn StdError + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Under the name that users know.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("name", &self.name)
            .field("message", &self.message)
            .field("data", &self.data)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl StdError for Content {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let public = self.public(false);
        let status =
            StatusCode::from_u16(public.code()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let content_type = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
        (status, content_type, public.to_json().to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(data: Value) -> Value {
        Error::bad_request("m").with_data(data).to_json()
    }

    #[test]
    fn data_and_errors_are_laid_out_as_feathers_does() {
        let base = json!({ "name": "BadRequest", "message": "m", "code": 400, "className": "bad-request" });
        let mut expected = base.clone();
        expected["data"] = json!({ "foo": "bar" });
        expected["errors"] = json!({ "email": "invalid" });
        assert_eq!(
            with(json!({ "foo": "bar", "errors": { "email": "invalid" } })),
            expected
        );
        let mut expected = base;
        expected["data"] = json!([1, 2]);
        assert_eq!(with(json!([1, 2])), expected);
    }

    #[test]
    fn message_in_data_replaces_the_message() {
        let json = with(json!({ "message": "x", "a": 1 }));
        assert_eq!(
            (&json["message"], &json["data"]),
            (&json!("x"), &json!({ "a": 1 }))
        );
    }

    #[test]
    fn foreign_text_is_hidden_unless_compat_asks_for_it() {
        let error = Error::foreign("connection to db-7 refused");
        assert!(!error.public(false).message().contains("db-7"));
        assert_eq!(error.public(true).message(), "connection to db-7 refused");
        assert_eq!(
            error.to_ack(true),
            json!({ "message": "connection to db-7 refused" })
        );
        assert!(!error.to_string().contains("db-7"));
    }

    #[cfg(feature = "testing")]
    #[test]
    fn a_client_reads_the_error_that_was_written() {
        for name in ErrorName::ALL {
            for error in [
                Error::new(name, "m"),
                Error::new(name, "m").with_data(json!([1])),
                Error::new(name, "m").with_data(json!({ "a": 1, "errors": { "email": "taken" } })),
            ] {
                let json = error.to_json();
                assert_eq!(Error::from_json(json.clone()).to_json(), json);
            }
        }
        let plain = Error::from_json(json!({ "message": "Plain failure" }));
        assert_eq!((plain.code(), plain.message()), (500, "Plain failure"));
        assert_eq!(Error::from_json(json!("text")).message(), r#""text""#);
    }

    #[test]
    fn a_question_mark_hides_what_others_failed_with() {
        fn read() -> Result<u8> {
            Ok("db-7".parse::<u8>()?)
        }
        let error = read().unwrap_err();
        assert!(error.is_foreign() && !error.public(false).message().contains("digit"));
        assert!(error.source().unwrap().to_string().contains("digit"));
    }

    #[test]
    fn an_error_in_a_box_stays_what_it_is() {
        fn boxed() -> Result<(), Box<dyn StdError + Send + Sync>> {
            Err(Error::not_found("gone"))?
        }
        fn back() -> Result<()> {
            boxed().map_err(Error::foreign)
        }
        assert_eq!(boxed().unwrap_err().to_string(), "gone");
        assert_eq!(back().unwrap_err().code(), 404);
    }

    #[test]
    fn names_and_codes_find_each_other() {
        for name in ErrorName::ALL {
            assert_eq!(ErrorName::from_code(name.row().0), name);
            assert_eq!(ErrorName::from_name(name.row().1), Some(name));
        }
    }
}
