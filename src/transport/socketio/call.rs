//! What the arguments of an event come to, by the rules of Feathers (feathers.md §2.2).

use serde_json::Value;

use crate::app::App;
use crate::connections::Connection;
use crate::error::Error;
use crate::service::{Call, Route};
use crate::transport::arguments;

/// What the arguments of an event come to.
#[derive(Debug)]
pub(super) enum Request {
    /// No service has such a method, or no path is given: nobody answers.
    Ignored,
    /// A call that can not be made.
    Refused(Error),
    /// A call.
    Call(Route, Box<Call>),
}

/// Applies the rules in their order; the arguments begin with the event's name.
pub(super) fn request(app: &App, connection: &Connection, arguments: Vec<Value>) -> Request {
    let mut arguments = arguments.into_iter();
    let Some(Value::String(method)) = arguments.next() else {
        return Request::Ignored;
    };
    let is_known = app.routes().entries().any(|entry| entry.offers(&method));
    if !is_known || arguments.len() == 0 {
        return Request::Ignored;
    }
    match arguments::call(app, connection, &method, arguments) {
        Ok((route, call)) => Request::Call(route, Box::new(call)),
        Err(error) => Request::Refused(error),
    }
}
