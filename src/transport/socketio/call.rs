//! What the arguments of an event come to, by the rules of Feathers (feathers.md §2.2).

use crate::app::App;
use crate::connections::Connection;
use crate::error::Error;
use crate::hooks::HookContext;
use crate::json::elements::Elements;
use crate::transport::arguments;

/// What the arguments of an event come to.
#[derive(Debug)]
pub(super) enum Request {
    /// No service has such a method, or no path is given: nobody answers.
    Ignored,
    /// A call that can not be made.
    Refused(Error),
    /// A call.
    Call(Box<HookContext>),
}

/// Applies the rules in their order; the arguments begin with the event's name.
pub(super) fn request(app: &App, connection: &Connection, mut arguments: Elements<'_>) -> Request {
    let Some(method) = arguments.next_string() else {
        return Request::Ignored;
    };
    let is_known = app.routes().entries().any(|entry| entry.offers(&method));
    if !is_known || arguments.len() == 0 {
        return Request::Ignored;
    }
    let call = arguments::call(app, connection, &method, arguments);
    call.map_or_else(Request::Refused, Request::Call)
}
