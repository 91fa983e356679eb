//! Traces: from the header of a request over the bus to the fan-out of another node.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Once};

use parking_lot::Mutex;
use serde_json::json;
use tracing::Metadata;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::trace::TraceContext;
use wingbeat::{App, AppBuilder, Memory};

use crate::support::Node;
use crate::support::http::Request;
#[cfg(feature = "redis")]
use crate::support::redis::RedisServer;
use crate::support::socket::{SocketClient, request};
#[cfg(feature = "redis")]
use crate::support::{eventually, within};

/// The example of the standard.
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn traceparent() -> String {
    format!("00-{TRACE_ID}-{PARENT}-01")
}

/// The spans of wingbeat that were closed on this thread, until it is dropped: tests run on one thread, and so do their
/// nodes.
#[derive(Debug)]
struct Spans;

#[derive(Clone, Debug)]
struct Closed {
    name: &'static str,
    fields: Fields,
}

#[derive(Clone, Debug, Default)]
struct Fields(BTreeMap<&'static str, String>);

thread_local! {
    static CLOSED: RefCell<Option<Vec<Closed>>> = const { RefCell::new(None) };
}

impl Spans {
    fn collect() -> Self {
        static SUBSCRIBER: Once = Once::new();
        // One for all threads, because what a thread without one finds out of a span is believed by all.
        SUBSCRIBER.call_once(|| {
            tracing::subscriber::set_global_default(Registry::default().with(Collector)).unwrap();
            tracing::callsite::rebuild_interest_cache();
        });
        CLOSED.set(Some(Vec::new()));
        Self
    }

    fn named(&self, name: &str) -> Vec<Fields> {
        CLOSED.with_borrow(|spans| {
            let named = spans.iter().flatten().filter(|span| span.name == name);
            named.map(|span| span.fields.clone()).collect()
        })
    }
}

impl Drop for Spans {
    fn drop(&mut self) {
        CLOSED.set(None);
    }
}

/// Wants what the thread collects.
struct Collector;

impl<S: tracing::Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Collector {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.target() {
            "wingbeat::trace" => Interest::sometimes(),
            _ => Interest::never(),
        }
    }

    fn enabled(&self, _: &Metadata<'_>, _: Context<'_, S>) -> bool {
        CLOSED.with_borrow(Option::is_some)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        let span = context.span(id).unwrap();
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let span = context.span(id).unwrap();
        values.record(span.extensions_mut().get_mut::<Fields>().unwrap());
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).unwrap();
        let (name, fields) = (span.name(), span.extensions_mut().remove().unwrap());
        CLOSED.with_borrow_mut(|spans| {
            if let Some(spans) = spans {
                spans.push(Closed { name, fields });
            }
        });
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Fields {
    fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// Returns the ids of trace and parent.
    fn place(&self) -> (&str, &str) {
        (self.get("trace_id"), self.get("parent_id"))
    }
}

/// What hooks saw before the method ran, and what listeners got.
#[derive(Clone, Debug, Default)]
struct Seen(Arc<Mutex<Vec<Option<TraceContext>>>>);

impl Seen {
    fn note(&self, trace: Option<TraceContext>) {
        self.0.lock().push(trace);
    }

    fn all(&self) -> Vec<Option<String>> {
        let text = |trace: &Option<TraceContext>| trace.map(|trace| trace.to_string());
        self.0.lock().iter().map(text).collect()
    }
}

fn app() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .on_connection(|connection, app| app.channel("everybody").join(connection))
        .publish(|_event, channels| channels.channel("everybody"))
}

/// Starts a node whose hooks and listeners show which trace they see.
async fn watched() -> (Node, Seen) {
    let seen = Seen::default();
    let in_hook = seen.clone();
    let builder = app().before(All, move |context| {
        in_hook.note(context.params.trace);
        Box::pin(async { Ok(()) })
    });
    let node = Node::start(builder).await;
    let in_listener = seen.clone();
    let messages = node.app.service_at("messages");
    messages.on_local("created", move |event| in_listener.note(event.trace()));
    (node, seen)
}

fn create(traceparents: &[&str]) -> Request {
    let request = Request::new("POST", "/messages").json(&json!({ "text": "hi" }));
    traceparents
        .iter()
        .fold(request, |request, text| request.header("traceparent", text))
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn the_trace_of_a_request_reaches_the_fan_out_of_the_other_node() {
    let redis = RedisServer::start();
    let spans = Spans::collect();
    let a = Node::start(app().name("a").sync_uri(redis.uri())).await;
    let b = Node::start(app().name("b").sync_uri(redis.uri())).await;
    for node in [&a, &b] {
        within(node.app.sync().ready()).await.unwrap();
    }
    let mut client = SocketClient::connect(b.addr).await;
    let answer = a.send(create(&[&traceparent()])).await;
    assert_eq!(answer.status, 201);
    assert_eq!(within(client.event()).await.0, "messages created");
    eventually("both nodes have told their clients", || {
        spans.named("fan_out").len() == 2
    })
    .await;

    let [call] = spans.named("call").try_into().unwrap();
    assert_eq!(call.place(), (TRACE_ID, PARENT));
    assert_eq!(
        (call.get("path"), call.get("method")),
        ("\"messages\"", "\"create\"")
    );
    let span_id = call.get("span_id");
    assert_eq!(span_id.len(), 16);
    assert_ne!(span_id, PARENT);

    let [sync_in] = spans.named("sync_in").try_into().unwrap();
    assert_eq!(sync_in.place(), (TRACE_ID, span_id));
    assert_eq!(sync_in.get("trace_flags"), "1");
    // It is recorded after the frames are in the outboxes, and before the span is closed.
    let mut fan_out = spans.named("fan_out");
    fan_out.sort_by_key(|span| span.get("clients").to_owned());
    assert_eq!(
        [fan_out[0].get("clients"), fan_out[1].get("clients")],
        ["0", "1"]
    );
    for span in &fan_out {
        assert_eq!(span.place(), (TRACE_ID, span_id));
        assert_eq!(
            (span.get("path"), span.get("event")),
            ("\"messages\"", "\"created\"")
        );
    }
}

#[tokio::test]
async fn a_call_without_a_trace_begins_one_that_its_events_carry() {
    let spans = Spans::collect();
    let (node, seen) = watched().await;
    assert_eq!(node.send(create(&[])).await.status, 201);
    assert_eq!(node.send(create(&["00-nonsense"])).await.status, 201);
    let calls = spans.named("call");
    assert_eq!((calls.len(), spans.named("fan_out").len()), (2, 2));
    assert_ne!(calls[0].get("trace_id"), calls[1].get("trace_id"));
    let own = |call: &Fields| {
        assert_eq!(call.get("parent_id"), "");
        Some(format!(
            "00-{}-{}-01",
            call.get("trace_id"),
            call.get("span_id")
        ))
    };
    let [first, second] = [own(&calls[0]), own(&calls[1])];
    // The hook and the listener of each.
    assert_eq!(seen.all(), [first.clone(), first, second.clone(), second]);
}

#[tokio::test]
async fn calls_of_a_socket_are_in_the_trace_of_its_handshake() {
    let spans = Spans::collect();
    let (node, _) = watched().await;
    let mut handshake = request(node.addr);
    let headers = handshake.headers_mut();
    headers.insert("traceparent", traceparent().parse().unwrap());
    let mut client = SocketClient::open_with(handshake, None).await;
    client.join().await;
    for _ in 0..2 {
        let data = json!([{ "text": "hi" }]);
        client.call("create", "messages", data).await.unwrap();
    }
    let calls = spans.named("call");
    assert_eq!(calls.len(), 2);
    assert!(calls.iter().all(|call| call.place() == (TRACE_ID, PARENT)));
    assert_ne!(calls[0].get("span_id"), calls[1].get("span_id"));
}

#[tokio::test]
async fn a_hook_can_name_the_span_of_another_library() {
    let spans = Spans::collect();
    let seen = Seen::default();
    let named = app().around(All, |context, next| {
        context.params.trace = TraceContext::new(7, 9, 0);
        next.run(context)
    });
    let node = Node::start(named).await;
    let in_listener = seen.clone();
    let messages = node.app.service_at("messages");
    messages.on_local("created", move |event| in_listener.note(event.trace()));
    assert_eq!(node.send(create(&[&traceparent()])).await.status, 201);
    let named = TraceContext::new(7, 9, 0).map(|trace| trace.to_string());
    assert_eq!(seen.all(), [named]);
    let [fan_out] = spans.named("fan_out").try_into().unwrap();
    assert_eq!(
        fan_out.place(),
        (&*format!("{:032x}", 7), "0000000000000009")
    );
}

#[tokio::test]
async fn while_nobody_listens_a_trace_is_handed_on_and_none_is_made() {
    let (node, seen) = watched().await;
    let came = traceparent();
    for headers in [&[came.as_str()][..], &[], &["00-nonsense"], &[&came, &came]] {
        assert_eq!(node.send(create(headers)).await.status, 201);
    }
    let came = Some(came);
    assert_eq!(
        seen.all(),
        [came.clone(), came, None, None, None, None, None, None]
    );
}
