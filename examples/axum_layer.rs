//! Services and live events inside of an axum server that has pages and a login of its own. It needs no broker.
//!
//! ```text
//! cargo run --example axum_layer
//! PORT=4000 cargo run --example axum_layer
//! ```

// A program says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::error::Error;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;
use tokio::net::TcpListener;
use wingbeat::hooks::RegisterHooks;
use wingbeat::{App, BuildError, HookContext, Memory, Method};

/// Who asks, as the server's own middleware knows it.
#[derive(Clone, Debug)]
pub(crate) struct User(pub(crate) String);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let port = env::var("PORT").unwrap_or_else(|_| "3030".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    let url = format!("http://127.0.0.1:{port}");
    println!("curl {url}/");
    println!(
        "curl -H 'x-user: ada' -H 'content-type: application/json' -d '{{\"text\":\"hi\"}}' {url}/messages"
    );
    let app = app()?;
    let serving = axum::serve(listener, router(&app)).with_graceful_shutdown(app.draining());
    let (served, _) = tokio::join!(
        serving.into_future(),
        app.close_after(tokio::signal::ctrl_c())
    );
    Ok(served?)
}

/// The server as it was, with one layer more. What stands behind it, as `login`, is around it.
pub(crate) fn router(app: &App) -> Router {
    Router::new()
        .route("/", get(|| async { "a page of the server's own\n" }))
        .layer(app.layer())
        .layer(from_fn(login))
}

/// Builds the node: calls and connections know the server's user.
pub(crate) fn app() -> Result<App, BuildError> {
    App::builder()
        .service("messages", Memory::new())
        .before(Method::Create, |context| {
            Box::pin(async move {
                sign(context);
                Ok(())
            })
        })
        .on_connection(|connection, app| {
            let channel = match connection.extensions().get() {
                Some(User(name)) => format!("user/{name}"),
                None => "strangers".to_owned(),
            };
            app.channel(&channel).join(connection);
        })
        .publish(|event, channels| {
            let recipient = event.data()["to"].as_str().unwrap_or_default();
            channels.channel(&format!("user/{recipient}"))
        })
        .build()
}

/// Writes the user into a message, whatever the client claims.
fn sign(context: &mut HookContext) {
    let user = context.params.extensions.get::<User>();
    let from = user.map_or(Value::Null, |User(name)| name.as_str().into());
    if let Some(data) = &mut context.data {
        data["from"] = from;
    }
}

/// Stands for a real login.
async fn login(mut request: Request, next: Next) -> Response {
    let name = request.headers().get("x-user");
    let user = name.and_then(|name| Some(User(name.to_str().ok()?.to_owned())));
    if let Some(user) = user {
        request.extensions_mut().insert(user);
    }
    next.run(request).await
}
