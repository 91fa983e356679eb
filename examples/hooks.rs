//! Hooks of all four kinds, for the app, for a service and for a method.
//!
//! ```text
//! cargo run --example hooks
//! PORT=4000 cargo run --example hooks
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error as StdError;
use std::fs;
use std::time::Instant;

use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use wingbeat::error::{ErrorName, Result};
use wingbeat::hooks::{All, Next, RegisterHooks};
use wingbeat::service::{Id, Registration};
use wingbeat::{App, BuildError, Error, HookContext, Memory, Method, ServiceType};

/// A user. A real app would hold a hash in place of the password.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) email: String,
    pub(crate) password: String,
}

/// What `create` takes.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewUser {
    pub(crate) email: String,
    pub(crate) password: String,
}

/// The service's name and types.
#[derive(Debug)]
pub(crate) struct Users;

impl ServiceType for Users {
    const PATH: &'static str = "users";
    type Record = User;
    type Data = NewUser;
    type Patch = Value;
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn StdError>> {
    tracing_subscriber::fmt().init();
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let url = format!("http://127.0.0.1:{port}/users");
    let post = "curl -H 'content-type: application/json' -d";
    println!("{post} '{{\"email\":\"ada@example.com\",\"password\":\"long enough\"}}' {url}");
    println!("{post} '{{\"email\":\"ada\",\"password\":\"short\"}}' {url}");
    println!("curl -i {url}/0 {url}/nobody {url}/motto {url}/17");
    println!("curl -X DELETE {url}/0");
    app()?.serve(format!("127.0.0.1:{port}")).await?;
    Ok(())
}

/// Builds the node. The hooks of the app run outside those of the service.
pub(crate) fn app() -> Result<App, BuildError> {
    let users = Registration::new(Memory::<NewUser>::typed())
        .before(All, keep_users)
        .before(Method::Create, validate)
        .before(Method::Get, answer_nobody)
        .before(Method::Get, read_motto)
        .after(All, hide_password)
        .on_error(Method::Get, explain_unknown);
    App::builder()
        .service(Users::PATH, users)
        .around(All, measure)
        .on_error(All, report)
        .build()
}

/// Around, for the whole app: it sees the call before all others, and what came of it after them.
fn measure<'a>(context: &'a mut HookContext, next: Next<'a>) -> BoxFuture<'a, Result<()>> {
    Box::pin(async move {
        let start = Instant::now();
        next.run(context).await?;
        let took = format!("call;dur={}", start.elapsed().as_millis());
        let headers = &mut context.http.headers;
        headers.insert("server-timing", HeaderValue::try_from(took)?);
        Ok(())
    })
}

/// Error, for the whole app: it sees what no hook further in has mended.
fn report(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let (method, path) = (context.method(), context.path());
        if let Some(error) = &context.error {
            println!("{method} {path}: {} {error}", error.code());
        }
        Ok(())
    })
}

/// Before, for every method of a service: clients, which have a provider, can not remove users.
fn keep_users(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let is_client = context.params.provider.is_some();
        if is_client && *context.method() == Method::Remove {
            return Err(Error::forbidden("users can not be removed"));
        }
        Ok(())
    })
}

/// Before, for one method: `data_as` refuses data of another type, the rest what a type can not say.
fn validate(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let user: NewUser = context.data_as()?;
        let mut errors = Map::new();
        if !user.email.contains('@') {
            errors.insert("email".to_owned(), "has no @".into());
        }
        if user.password.len() < 8 {
            errors.insert("password".to_owned(), "is shorter than 8 bytes".into());
        }
        if errors.is_empty() {
            return Ok(());
        }
        Err(Error::bad_request("validation failed").with_data(json!({ "errors": errors })))
    })
}

/// Before, for one method: a result that is set here replaces the method.
fn answer_nobody(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        if context.id == Some(Id::from("nobody")) {
            context.result = Some(json!({ "id": "nobody" }));
        }
        Ok(())
    })
}

/// Before, for one method: `?` hides what others fail with. The client gets a log id; what went wrong stands in the log.
fn read_motto(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        if context.id == Some(Id::from("motto")) {
            context.result = Some(fs::read_to_string("/no/such/motto")?.into());
        }
        Ok(())
    })
}

/// After, for every method of a service: clients get the `dispatch`, calls inside the process the whole result.
fn hide_password(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        context.dispatch = context.result.clone().map(without_password);
        Ok(())
    })
}

/// Error, for one method: a result that is set here ends the failure.
fn explain_unknown(context: &mut HookContext) -> BoxFuture<'_, Result<()>> {
    Box::pin(async move {
        let is_unknown = |error: &Error| error.name() == ErrorName::NotFound;
        if context.error.as_ref().is_some_and(is_unknown) {
            context.http.status = Some(StatusCode::NOT_FOUND);
            context.result = Some(json!({ "id": context.id, "is": "unknown" }));
        }
        Ok(())
    })
}

fn without_password(result: Value) -> Value {
    match result {
        Value::Array(users) => users.into_iter().map(without_password).collect(),
        Value::Object(mut user) => {
            user.shift_remove("password");
            user.into()
        }
        other => other,
    }
}
