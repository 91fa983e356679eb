//! Bodies that become no event, and those that do although their client does not read them.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::Request as HttpRequest;
use axum::middleware::{Next, from_fn};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use wingbeat::{Leftover, Params, Service};

use super::*;
use crate::serve::Gate;
use crate::support::http::Client;
use crate::support::socket::Heard;
use crate::support::{background, within};

#[tokio::test]
async fn bodies_beyond_the_limit_go_on_without_an_event() {
    let app = builder().build().unwrap();
    let answer = async |Path(n): Path<usize>| Json(json!("x".repeat(n - 2)));
    let router = Router::new().route("/long/{n}", post(answer));
    let events = EventLayer::new(&app)
        .route("/long/{n}", "long")
        .max_body(1_000);
    let host = serve(&app, router, events).await;
    let mut client = SocketClient::connect(host.addr).await;
    for n in [1_001, 1_000] {
        let answer = host.send(send("POST", &format!("/long/{n}"))).await;
        assert_eq!(answer.body.len(), n);
    }
    assert_eq!(client.event().await.1.as_str().map(str::len), Some(998));
    let stats = app.stats();
    assert_eq!((stats.observed, stats.observed_too_large), (1, 1));
}

#[tokio::test]
async fn the_usual_limit_is_a_mebibyte() {
    let mut things = things(|| Json("x".repeat((1 << 20) - 1)).into_response()).await;
    let answer = things.send("POST", "/things").await;
    assert_eq!(answer.body.len(), (1 << 20) + 1);
    assert_eq!(things.events().await, []);
    assert_eq!(things.stats().observed_too_large, 1);
}

#[tokio::test]
async fn what_is_no_json_has_no_event_and_is_counted() {
    let bodies = [
        || "text".into_response(),
        || ([(header::CONTENT_TYPE, "application/json")], "{\"id\":").into_response(),
        || ([(header::CONTENT_TYPE, "text/plain")], "{\"id\":1}").into_response(),
        || Response::new("id=1".into()),
        compressed,
        || StatusCode::CREATED.into_response(),
    ];
    for (n, body) in bodies.into_iter().enumerate() {
        let mut things = things(body).await;
        assert_eq!(things.events_of("POST", "/things").await, [], "{n}");
        assert_eq!(things.stats().observed_unreadable, 1, "{n}");
    }
}

#[tokio::test]
async fn json_may_have_another_name_or_none() {
    let bodies = [
        || {
            (
                [(header::CONTENT_TYPE, "Application/JSON; charset=utf-8")],
                "1",
            )
                .into_response()
        },
        || ([(header::CONTENT_TYPE, "application/hal+json")], "1").into_response(),
        || Response::new("1".into()),
    ];
    for body in bodies {
        let mut things = things(body).await;
        let events = things.events_of("POST", "/things").await;
        assert_eq!(events, event("things created", json!(1)));
    }
}

type Pieces = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// A host whose routes stream what the test sends, and the sender for the next request.
async fn streaming() -> (Things, Pieces) {
    let (pieces, receiver) = mpsc::channel(1);
    let receiver = Arc::new(Mutex::new(Some(receiver)));
    let stream = move || {
        let receiver = receiver.lock().take().expect("one request");
        let pieces = stream::unfold(receiver, async |mut receiver: mpsc::Receiver<_>| {
            Some((receiver.recv().await?, receiver))
        });
        let kind = [(header::CONTENT_TYPE, "application/json")];
        (kind, Body::from_stream(pieces)).into_response()
    };
    (things(stream).await, pieces)
}

async fn piece(pieces: &Pieces, text: &'static str) {
    let sent = pieces.send(Ok(Bytes::from_static(text.as_bytes())));
    within(sent).await.unwrap();
}

/// Reads until a text has come.
async fn until(client: &mut Client, text: &str) {
    let mut seen = Vec::new();
    while !seen
        .windows(text.len())
        .any(|window| window == text.as_bytes())
    {
        // What was looked through is kept only as far as the text may have begun in it.
        seen.drain(..seen.len().saturating_sub(text.len()));
        seen.extend(client.some().await);
    }
}

#[tokio::test]
async fn a_stream_goes_on_as_it_comes_and_its_event_when_it_has_ended() {
    let (mut things, pieces) = streaming().await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    piece(&pieces, "{\"id\":").await;
    until(&mut client, "{\"id\":").await;
    assert_eq!(things.events().await, []);
    piece(&pieces, "7}").await;
    until(&mut client, "7}").await;
    drop(pieces);
    let created = things.client.event().await;
    assert_eq!(created, ("things created".to_owned(), json!({ "id": 7 })));
    until(&mut client, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_stream_that_grows_too_long_goes_on() {
    let (things, pieces) = streaming().await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    let long: &'static str = "9".repeat(600_000).leak();
    let sending = background(async move {
        for _ in 0..3 {
            piece(&pieces, long).await;
        }
        piece(&pieces, "end").await;
    });
    until(&mut client, "end").await;
    within(sending).await.unwrap();
    let stats = things.stats();
    assert_eq!((stats.observed_too_large, stats.observed), (1, 0));
}

#[tokio::test]
async fn a_stream_that_breaks_or_is_left_is_counted() {
    let (things, pieces) = streaming().await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    piece(&pieces, "{\"id\":7}").await;
    pieces
        .send(Err(std::io::Error::other("on purpose")))
        .await
        .unwrap();
    client.ended().await;
    counted(&things, "it broke", |stats| stats.observed_cut_off, 1).await;

    let (things, pieces) = streaming().await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    piece(&pieces, "{\"id\":").await;
    until(&mut client, "{\"id\":").await;
    drop(client);
    counted(&things, "it was left", |stats| stats.observed_cut_off, 1).await;
    assert_eq!(things.stats().observed, 0);
}

/// A body that is all there, in pieces.
fn in_pieces() -> Response {
    let text = format!("[\"{}\"]", "x".repeat(900_000));
    let pieces: Vec<_> = text.as_bytes().chunks(30_000).collect();
    let pieces = pieces.into_iter().map(Bytes::copy_from_slice);
    let pieces: Vec<Result<_, Infallible>> = pieces.map(Ok).collect();
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (kind, Body::from_stream(stream::iter(pieces))).into_response()
}

#[tokio::test]
async fn a_client_that_goes_does_not_take_the_event_along() {
    let mut things = things(in_pieces).await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    until(&mut client, "HTTP/1.1 200").await;
    drop(client);
    let (name, data) = things.client.event().await;
    assert_eq!(
        (&*name, data.as_str().unwrap().len()),
        ("things created", 900_000)
    );
}

/// As a layer with a time limit does that runs out while the answer is written.
#[tokio::test]
async fn an_answer_that_nobody_looks_at_has_its_event() {
    let app = builder().build().unwrap();
    let router = Router::new().route("/things", post(async || in_pieces()));
    let router = router.layer(EventLayer::new(&app).resource("/things", "things"));
    let router = router.layer(from_fn(async |request: HttpRequest, next: Next| {
        drop(next.run(request).await);
        StatusCode::GATEWAY_TIMEOUT
    }));
    let host = Host::axum(&app, router.layer(app.layer())).await;
    let mut client = SocketClient::connect(host.addr).await;
    let answer = host.send(send("POST", "/things")).await;
    assert_eq!((answer.status, answer.body.len()), (504, 0));
    assert_eq!(client.event().await.0, "things created");
    assert_eq!(app.stats().observed, 1);
}

#[tokio::test]
async fn a_shutdown_waits_for_the_event_of_an_answer_that_is_under_way() {
    let (mut things, pieces) = streaming().await;
    let mut client = things.host.client().await;
    client.begin(&send("POST", "/things")).await;
    piece(&pieces, "{\"id\":").await;
    until(&mut client, "{\"id\":").await;
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    let note = move |event: &wingbeat::Event| *hears.lock() = Some(event.data().value().clone());
    let app = things.host.app.clone();
    app.service_at("things").on("created", note);
    let stopping = background(things.host.stop());
    assert!(matches!(
        things.client.end().await,
        Heard::Closed(Some(1012))
    ));
    assert!(!stopping.is_finished());
    piece(&pieces, "7}").await;
    drop(pieces);
    assert_eq!(stopping.await.unwrap(), Leftover::default());
    assert_eq!(*heard.lock(), Some(json!({ "id": 7 })));
}

#[tokio::test]
async fn a_shutdown_waits_for_a_handler_that_may_emit() {
    let gate = Gate::new();
    let waiting = gate.clone();
    let handler = async move |events: Events| {
        let null = json!(null);
        Service::create(&waiting, null, &Params::default()).await?;
        events.emit("orders", "closed", &json!(7)).await
    };
    let app = builder().build().unwrap();
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    let note = move |event: &wingbeat::Event| *hears.lock() = Some(event.data().value().clone());
    app.service_at("orders").on("closed", note);
    let router = Router::new().route("/close", post(handler));
    let host = serve(&app, router, EventLayer::new(&app)).await;
    let mut client = host.client().await;
    client.begin(&send("POST", "/close")).await;
    gate.entered().await;
    let stopping = background(host.stop());
    within(app.draining()).await;
    assert!(!stopping.is_finished());
    gate.open.add_permits(1);
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(stopping.await.unwrap(), Leftover::default());
    assert_eq!(*heard.lock(), Some(json!(7)));
}

#[tokio::test]
async fn after_the_end_nothing_hangs_and_what_is_lost_is_counted() {
    let app = builder().build().unwrap();
    let mut router = Router::new()
        .route("/todos", post(async || Json(json!({ "id": 1 }))))
        .route("/payments", post(pay))
        .layer(EventLayer::new(&app).resource("/todos", "todos"));
    app.close().await;
    for (path, status) in [("/todos", 200), ("/payments", 503)] {
        let request = HttpRequest::post(path).header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from("{}")).unwrap();
        let response = within(tower::Service::call(&mut router, request)).await;
        assert_eq!(response.unwrap().status(), status, "{path}");
    }
    let stats = app.stats();
    assert_eq!((stats.observed, stats.observed_cut_off), (0, 1));
}
