//! The server that outside clients and Node processes are tested against.
//!
//! ```text
//! PORT=4040 SYNC_URI=redis://127.0.0.1:6379 cargo run --example fixture
//! ```
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `PORT` | `4040` | where it listens, on the loopback interface; 0 picks a free port |
//! | `SYNC_URI` | none | the broker; without it the node is alone |
//! | `SYNC_KEY` | `feathers-sync` | the topic |
//! | `SYNC_CODEC` | `json` | the encoding of envelopes |
//! | `SYNC_DELIVERY` | `ordered` | `ordered` or `local_first` |
//! | `SYNC_NODE_PATHS` | none | the services that Node processes have, with commas between |
//! | `NODE_NAME` | `fixture` | the label of the node |

// Tests wait for the line that says where it listens.
#![allow(clippy::print_stdout)]

use std::env;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value, json};
use wingbeat::error::{ErrorName, Result};
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::service::{Id, Registration};
use wingbeat::stores::{Multi, Paginate};
use wingbeat::sync::SyncOptions;
use wingbeat::{
    App, AppBuilder, AppHandle, Config, Error, HookContext, Memory, Method, Params, Service,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .init();
    let app = with_sync(services(App::builder()).config(config()))?.build()?;
    let listener =
        tokio::net::TcpListener::bind(("127.0.0.1", setting("PORT", "4040").parse()?)).await?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(app.serve_until_told(listener).await?)
}

fn config() -> Config {
    let mut config = Config::default();
    config.name = setting("NODE_NAME", "fixture");
    config.feathers_compat = true;
    config
}

fn with_sync(builder: AppBuilder) -> Result<AppBuilder, Box<dyn std::error::Error>> {
    let mut options = SyncOptions::default();
    options.key = setting("SYNC_KEY", &options.key);
    options.codec = setting("SYNC_CODEC", "json").parse()?;
    options.delivery = setting("SYNC_DELIVERY", "ordered").parse()?;
    let paths = setting("SYNC_NODE_PATHS", "");
    let builder = builder
        .sync_options(options)
        .node_peers(paths.split(',').filter(|path| !path.is_empty()));
    Ok(match env::var("SYNC_URI") {
        Ok(uri) if !uri.is_empty() => builder.sync_uri(uri),
        _ => builder,
    })
}

fn services(builder: AppBuilder) -> AppBuilder {
    let stores = Stores::default();
    stores.reset().expect("the initial records are objects");
    let customs = Method::STANDARD.into_iter().chain(["customMethod"]);
    let custom = Method::from("customMethod");
    let crud = Method::STANDARD;
    builder
        .service(
            "todos",
            todos(&stores.todos)
                .methods(customs)
                .before(custom, |context| Box::pin(async { custom_todo(context) })),
        )
        .service("/", todos(&stores.root))
        .service("todo", stateless())
        .service("tasks", stateless())
        .service("verify", Verify)
        .service("echo", Echo)
        .service("org/:orgId/items", Registration::new(Echo).methods(crud))
        .service(
            "a/:x/b/:y",
            Registration::new(Echo)
                .methods(crud)
                .route_params(object(json!({ "preset": "yes" }))),
        )
        .service("getonly", GetOnly)
        .service("returns", Returns)
        .service("errs", Errs)
        .service(
            "http",
            Registration::new(Http).after(All, |context| Box::pin(async { http_hook(context) })),
        )
        .service("ev", events())
        .service("sync", SyncPage::default())
        .service("messages", messages(&stores.messages))
        .service("paged", Arc::clone(&stores.paged))
        .service(
            "harness",
            Registration::new(stores).after(All, |context| Box::pin(async { no_event(context) })),
        )
        .on_request(|parts, params| {
            if let Some(value) = parts
                .headers
                .get("authorization")
                .and_then(|value| value.to_str().ok())
            {
                params
                    .properties
                    .insert("authorization".to_owned(), value.into());
            }
        })
        .on_connection(|connection, channels| {
            connection.set_property("user", json!({ "name": "David" }));
            channels.channel("general").join(connection);
            if let Some(channel) = connection.query().get("channel").and_then(Value::as_str) {
                connection.set_property("channel", channel.into());
                channels.channel(channel).join(connection);
            }
        })
        .publish(|_, channels| channels.channel("general"))
        .before(All, |context| Box::pin(async { nosync_hook(context) }))
}

/// A call with `nosync` in its query keeps its events with the clients of this node.
fn nosync_hook(context: &mut HookContext) -> Result<()> {
    if context.params.query.shift_remove("nosync").is_some() {
        context.sync(false);
    }
    Ok(())
}

fn no_event(context: &mut HookContext) -> Result<()> {
    context.event = None;
    Ok(())
}

/// The stores with records; as a service it puts them all into their initial state.
struct Stores {
    todos: Arc<Memory>,
    root: Arc<Memory>,
    messages: Arc<Memory>,
    paged: Arc<Memory>,
}

impl Default for Stores {
    fn default() -> Self {
        Self {
            todos: Arc::default(),
            root: Arc::default(),
            messages: Arc::new(Memory::new().multi(Multi::All)),
            paged: Arc::new(
                Memory::new()
                    .multi(Multi::All)
                    .paginate(Paginate::new(2, 3)),
            ),
        }
    }
}

impl Stores {
    fn reset(&self) -> Result<()> {
        let todo = json!({ "text": "some todo", "complete": false, "id": 0 });
        [&self.todos, &self.root]
            .into_iter()
            .try_for_each(|store| store.reset([todo.clone()], 1))?;
        self.messages.reset([], 1)?;
        self.paged.reset([], 0)
    }
}

impl Service for Stores {
    const METHODS: &'static [&'static str] = &["create"];

    async fn create(&self, _data: Value, _params: &Params) -> Result<Value> {
        self.reset().map(|()| json!({ "ok": true }))
    }
}

/// A memory store whose `get` and `remove` have cases for clients to meet.
fn todos(store: &Arc<Memory>) -> Registration {
    let records = Arc::clone(store);
    Registration::new(Arc::clone(store))
        .before(Method::Get, move |context| {
            let records = Arc::clone(&records);
            Box::pin(async move { get_todo(&records, context).await })
        })
        .before(Method::Remove, |context| {
            Box::pin(async { remove_todo(context) })
        })
}

async fn get_todo(records: &Memory, context: &mut HookContext) -> Result<()> {
    let query = context.params.query.clone();
    if query.contains_key("error") {
        return Err(Error::foreign("Something went wrong"));
    }
    if query.contains_key("feathersError") {
        let error = Error::new(ErrorName::NotAcceptable, "This is a Feathers error");
        return Err(error.with_data(json!({ "data": true })));
    }
    let id = context
        .id
        .clone()
        .ok_or_else(|| Error::bad_request("no id"))?;
    let mut entry = merged(
        json!({ "query": query }),
        records.get(id, &Params::default()).await?,
    );
    if let Some(authorization) = context.params.properties.get("authorization") {
        entry["authorization"] = authorization.clone();
    }
    context.result = Some(entry);
    Ok(())
}

fn remove_todo(context: &mut HookContext) -> Result<()> {
    if context.id.is_none() {
        context.result = Some(json!({ "id": null, "text": "deleted many" }));
    } else if context.params.query.contains_key("noContent") {
        context.result = Some(Value::Null);
    }
    Ok(())
}

fn custom_todo(context: &mut HookContext) -> Result<()> {
    let (data, provider) = (&context.data, context.params.provider);
    context.result = Some(json!({ "data": data, "provider": provider, "type": "customMethod" }));
    Ok(())
}

/// A memory store with two methods of its own.
fn messages(store: &Arc<Memory>) -> Registration {
    Registration::new(Arc::clone(store))
        .methods(Method::STANDARD.into_iter().chain(["ping", "boom"]))
        .events(["typing"])
        .before(Method::from("ping"), |context| {
            Box::pin(async { ping(context) })
        })
        .before(Method::from("boom"), |_| Box::pin(async { Err(boom()) }))
}

fn ping(context: &mut HookContext) -> Result<()> {
    context.result = Some(json!({ "pong": context.data, "provider": context.params.provider }));
    Ok(())
}

fn boom() -> Error {
    Error::new(ErrorName::Conflict, "boom").with_data(json!({ "why": "because" }))
}

fn stateless() -> Registration {
    let publish = |event: &wingbeat::channels::Publication<'_>,
                   channels: &wingbeat::channels::Channels| {
        channels.channel(event.data()["room"].as_str().unwrap_or("general"))
    };
    Registration::new(Stateless::default())
        .events(["log"])
        .publish_event("created", publish)
        .before(Method::Get, |context| {
            let fails = context.params.query.contains_key("hookError");
            let error = || Error::foreign("Error from get, before hook");
            Box::pin(async move { if fails { Err(error()) } else { Ok(()) } })
        })
}

/// A service without records; it emits the custom event `log`.
#[derive(Default)]
struct Stateless(Emitter);

impl Service for Stateless {
    const METHODS: &'static [&'static str] = &[
        "find",
        "get",
        "create",
        "update",
        "patch",
        "remove",
        "customMethod",
        "emitLog",
    ];

    fn setup(&self, app: &AppHandle, path: &str) {
        self.0.setup(app, path);
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        Ok(json!([
            { "id": 0, "description": "You have to do something" },
            { "id": 1, "description": "You have to do laundry" },
        ]))
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        if params.query.contains_key("error") {
            return Err(Error::foreign(format!("Something for {id} went wrong")));
        }
        if params.query.contains_key("runtimeError") {
            return Err(Error::foreign("thingThatDoesNotExist is not defined"));
        }
        Ok(json!({ "id": id, "description": format!("You have to do {id}!") }))
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(merged(data, json!({ "id": 42, "status": "created" })))
    }

    async fn update(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Ok(changed(id.as_ref(), data, "updated"))
    }

    async fn patch(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Ok(changed(id.as_ref(), data, "patched"))
    }

    async fn remove(&self, id: Option<Id>, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }

    async fn custom(&self, method: &str, data: Value, params: &Params) -> Result<Value> {
        if method == "emitLog" {
            self.0.emit(
                "log",
                json!({ "message": "Custom log event", "data": data }),
            )?;
            return Ok(json!({ "ok": true }));
        }
        Ok(json!({ "data": data, "method": method, "provider": params.provider }))
    }
}

fn changed(id: Option<&Id>, data: Value, status: &str) -> Value {
    let is_many = id.is_none();
    let mut result = merged(data, json!({ "id": id, "status": status }));
    if is_many {
        result["many"] = true.into();
    }
    result
}

/// Shows the params that it gets.
struct Verify;

impl Service for Verify {
    const METHODS: &'static [&'static str] = &["find", "create", "update"];

    async fn find(&self, params: &Params) -> Result<Value> {
        Ok(json!({ "params": params.to_json() }))
    }

    async fn create(&self, data: Value, params: &Params) -> Result<Value> {
        Ok(json!({ "data": data, "params": params.to_json() }))
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        Ok(json!({ "id": id, "data": data, "params": params.to_json() }))
    }
}

/// Shows all that a method gets, with the types.
struct Echo;

impl Echo {
    fn dump(method: &str, inputs: Value, params: &Params) -> Result<Value> {
        let inputs = object(inputs);
        let types: Map<String, Value> = inputs
            .iter()
            .map(|(name, value)| (name.clone(), type_of(value).into()))
            .collect();
        let mut dump = json!({ "method": method });
        merge(&mut dump, inputs.into());
        let rest = json!({ "types": types, "query": params.query, "route": params.route, "provider": params.provider });
        Ok(merged(dump, rest))
    }
}

impl Service for Echo {
    const METHODS: &'static [&'static str] = &[
        "find", "get", "create", "update", "patch", "remove", "custom",
    ];

    async fn find(&self, params: &Params) -> Result<Value> {
        Self::dump("find", json!({}), params)
    }

    async fn get(&self, id: Id, params: &Params) -> Result<Value> {
        Self::dump("get", json!({ "id": id }), params)
    }

    async fn create(&self, data: Value, params: &Params) -> Result<Value> {
        Self::dump("create", json!({ "data": data }), params)
    }

    async fn update(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        Self::dump("update", json!({ "id": id, "data": data }), params)
    }

    async fn patch(&self, id: Option<Id>, data: Value, params: &Params) -> Result<Value> {
        Self::dump("patch", json!({ "id": id, "data": data }), params)
    }

    async fn remove(&self, id: Option<Id>, params: &Params) -> Result<Value> {
        Self::dump("remove", json!({ "id": id }), params)
    }

    async fn custom(&self, method: &str, data: Value, params: &Params) -> Result<Value> {
        Self::dump(method, json!({ "data": data }), params)
    }
}

struct GetOnly;

impl Service for GetOnly {
    const METHODS: &'static [&'static str] = &["get"];

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }
}

/// Returns the value that its input names.
struct Returns;

impl Returns {
    fn value(name: &Value) -> Result<Value> {
        Ok(match name.as_str().unwrap_or_default() {
            "null" => Value::Null,
            "zero" => 0.into(),
            "one" => 1.into(),
            "false" => false.into(),
            "true" => true.into(),
            "empty" => "".into(),
            "string" => "hello".into(),
            "array" => json!([]),
            "object" => json!({}),
            "list" => json!([{ "a": 1 }, { "a": 2 }]),
            _ => json!({ "v": name }),
        })
    }
}

impl Service for Returns {
    const METHODS: &'static [&'static str] = &[
        "find", "get", "create", "update", "patch", "remove", "custom",
    ];

    async fn find(&self, params: &Params) -> Result<Value> {
        Self::value(params.query.get("v").unwrap_or(&Value::Null))
    }

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        Self::value(&id.to_json())
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Self::value(&data["v"])
    }

    async fn update(&self, _id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Self::value(&data["v"])
    }

    async fn patch(&self, _id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Self::value(&data["v"])
    }

    async fn remove(&self, id: Option<Id>, _params: &Params) -> Result<Value> {
        Self::value(&json!(id))
    }

    async fn custom(&self, _method: &str, data: Value, _params: &Params) -> Result<Value> {
        Self::value(&data["v"])
    }
}

/// Fails as its id says.
struct Errs;

impl Service for Errs {
    const METHODS: &'static [&'static str] = &["get"];

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        let name = id.to_string();
        Err(match name.as_str() {
            "plain" => Error::foreign("Plain failure"),
            "data" => Error::bad_request("With data")
                .with_data(json!({ "foo": "bar", "errors": { "email": "invalid" } })),
            "dataonly" => Error::bad_request("With data only").with_data(json!({ "foo": "bar" })),
            "array" => Error::bad_request("With array").with_data(json!([1, 2])),
            "errorsonly" => Error::bad_request("With errors")
                .with_data(json!({ "errors": [{ "message": "x" }] })),
            "emptydata" => Error::bad_request("Empty").with_data(json!({})),
            "nomessage" => Error::bad_request("Error"),
            name => match ErrorName::from_name(name) {
                Some(kind) => Error::new(kind, format!("This is {name}")),
                None => return Ok(json!({ "id": id })),
            },
        })
    }
}

struct Http;

impl Service for Http {
    const METHODS: &'static [&'static str] = &["find", "get", "create", "remove"];

    async fn find(&self, params: &Params) -> Result<Value> {
        Ok(json!({ "query": params.query }))
    }

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(data)
    }

    async fn remove(&self, id: Option<Id>, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }
}

/// Sets what the query asks for in the HTTP response.
fn http_hook(context: &mut HookContext) -> Result<()> {
    let query = &context.params.query;
    if let Some(status) = text(query, "status").and_then(|status| status.parse().ok()) {
        context.http.status = Some(status);
    }
    if query.contains_key("header") {
        for (name, value) in [("x-foo", "first"), ("x-multi", "a"), ("x-multi", "b")] {
            context
                .http
                .headers
                .append(name, http::HeaderValue::from_static(value));
        }
    }
    context.http.location = text(query, "location").map(str::to_owned);
    if query.contains_key("dispatch") {
        context.dispatch = Some(json!({ "dispatched": true }));
    }
    Ok(())
}

fn events() -> Registration {
    Registration::new(Events::default())
        .events(["custom"])
        .after(All, |context| Box::pin(async { event_hook(context) }))
}

fn event_hook(context: &mut HookContext) -> Result<()> {
    let query = &context.params.query;
    if query.contains_key("noevent") {
        context.event = None;
    }
    if let Some(event) = text(query, "rename") {
        context.event = Some(event.into());
    }
    if query.contains_key("dispatch") {
        context.dispatch = context
            .result
            .clone()
            .map(|result| merged(result, json!({ "safe": true })));
    }
    Ok(())
}

/// Leads to events of every kind.
#[derive(Default)]
struct Events(Emitter);

impl Service for Events {
    const METHODS: &'static [&'static str] =
        &["find", "get", "create", "update", "patch", "remove", "fire"];

    fn setup(&self, app: &AppHandle, path: &str) {
        self.0.setup(app, path);
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        Ok(json!([]))
    }

    async fn get(&self, id: Id, _params: &Params) -> Result<Value> {
        Ok(json!({ "id": id }))
    }

    async fn create(&self, data: Value, _params: &Params) -> Result<Value> {
        Ok(match data {
            Value::Array(entries) => entries
                .into_iter()
                .enumerate()
                .map(|(id, entry)| merged(json!({ "id": id }), entry))
                .collect(),
            data => merged(json!({ "id": 1 }), data),
        })
    }

    async fn update(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Ok(merged(json!({ "id": id }), data))
    }

    async fn patch(&self, id: Option<Id>, data: Value, _params: &Params) -> Result<Value> {
        Ok(match id {
            Some(id) => merged(json!({ "id": id }), data),
            None => [1, 2]
                .into_iter()
                .map(|id| merged(json!({ "id": id }), data.clone()))
                .collect(),
        })
    }

    async fn remove(&self, id: Option<Id>, _params: &Params) -> Result<Value> {
        Ok(id.map_or_else(
            || json!([{ "id": 1 }, { "id": 2 }]),
            |id| json!({ "id": id }),
        ))
    }

    async fn custom(&self, _method: &str, data: Value, _params: &Params) -> Result<Value> {
        let event = data["event"].as_str().unwrap_or_default().to_owned();
        self.0.emit(&event, data["payload"].clone())?;
        Ok(json!({ "fired": event }))
    }
}

/// `GET /sync` shows how the node stands with the others.
#[derive(Default)]
struct SyncPage(Emitter);

impl Service for SyncPage {
    const METHODS: &'static [&'static str] = &["find"];

    fn setup(&self, app: &AppHandle, path: &str) {
        self.0.setup(app, path);
    }

    async fn find(&self, _params: &Params) -> Result<Value> {
        let app = self
            .0
            .app()
            .ok_or_else(|| Error::new(ErrorName::Unavailable, "the app is gone"))?;
        let sync = app.sync();
        Ok(
            json!({ "status": sync.status(), "stats": sync.stats(), "peers": sync.peers(), "node": app.stats() }),
        )
    }
}

/// What a service needs to emit events of its own.
#[derive(Default)]
struct Emitter(OnceLock<(AppHandle, String)>);

impl Emitter {
    fn setup(&self, app: &AppHandle, path: &str) {
        let _ = self.0.set((app.clone(), path.to_owned()));
    }

    fn app(&self) -> Option<App> {
        self.0.get()?.0.upgrade()
    }

    fn emit(&self, event: &str, data: Value) -> Result<()> {
        let (Some(app), Some((_, path))) = (self.app(), self.0.get()) else {
            return Ok(());
        };
        app.service(path).emit(event, data)
    }
}

fn setting(name: &str, default: &str) -> String {
    env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| default.to_owned())
}

fn text<'a>(query: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    query.get(name)?.as_str()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}

fn merge(target: &mut Value, source: Value) {
    if let Value::Object(target) = target {
        target.extend(object(source));
    }
}

fn merged(mut target: Value, source: Value) -> Value {
    merge(&mut target, source);
    target
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
