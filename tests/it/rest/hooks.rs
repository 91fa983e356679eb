//! Hooks over REST: their order, and what they want of the response (feathers.md §1.2, §5).

use std::sync::Arc;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use wingbeat::error::Result;
use wingbeat::hooks::{All, HookKind, RegisterHooks};
use wingbeat::service::{Id, Registration};
use wingbeat::{App, Error, HookContext, Memory, Method, Params, Service};

use crate::support::Node;
use crate::support::http::Request;
use crate::support::services::Echo;

/// Does to the response what the query asks for.
fn want(context: &mut HookContext) {
    let query = context.params.query.clone();
    let text = |name: &str| query.get(name).and_then(Value::as_str);
    if let Some(status) = text("status") {
        context.http.status = StatusCode::from_bytes(status.as_bytes()).ok();
    }
    if query.contains_key("header") {
        let multi = HeaderName::from_static("x-multi");
        let headers = &mut context.http.headers;
        headers.insert("x-foo", HeaderValue::from_static("first"));
        headers.append(multi.clone(), HeaderValue::from_static("a"));
        headers.append(multi, HeaderValue::from_static("b"));
    }
    if let Some(location) = text("raw_location") {
        let location = HeaderValue::from_str(location).unwrap();
        context.http.headers.insert("location", location);
    }
    if let Some(content_type) = text("type") {
        let content_type = HeaderValue::from_str(content_type).unwrap();
        let lie = [("content-type", content_type), ("content-length", 1.into())];
        let lie = lie.map(|(name, value)| (HeaderName::from_static(name), value));
        context.http.headers.extend(HeaderMap::from_iter(lie));
    }
    context.http.location = text("location").map(str::to_owned);
    if let Some(dispatch) = text("dispatch") {
        context.dispatch = serde_json::from_str(dispatch).ok();
    }
}

async fn wanting() -> Node {
    let http = Registration::new(Echo).after(All, |context| {
        Box::pin(async move {
            want(context);
            Ok(())
        })
    });
    Node::start(App::builder().service("http", http)).await
}

#[tokio::test]
async fn hooks_set_the_status() {
    let node = wanting().await;
    assert_eq!(node.get("/http?status=418").await.status, 418);
    let created = node.post("/http?status=200", &json!({})).await;
    assert_eq!(
        (created.status, created.json()["method"] == "create"),
        (200, true)
    );
    for bodiless in [204, 205, 304] {
        let answer = node.get(&format!("/http?status={bodiless}")).await;
        assert_eq!((answer.status, answer.text()), (bodiless, ""));
        assert_eq!(answer.header("content-type"), None);
    }
    let falsy = node.get("/http?status=200&dispatch=null").await;
    assert_eq!((falsy.status, falsy.text()), (200, "null"));
}

#[tokio::test]
async fn hooks_set_headers() {
    let node = wanting().await;
    let answer = node.post("/http?header=1", &json!({})).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("x-foo").as_deref(), Some("first"));
    let multi: Vec<_> = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "x-multi")
        .collect();
    assert_eq!(multi.len(), 2);
    let typed = node.get("/http?type=application/geo%2Bjson").await;
    assert_eq!(
        typed.header("content-type").as_deref(),
        Some("application/geo+json")
    );
    assert!(typed.text().ends_with('}'), "the length is the true one");
}

#[tokio::test]
async fn a_location_is_a_303_with_its_body() {
    let node = wanting().await;
    let answer = node
        .post("/http?location=/a%20b%25zz/%25C3/%C3%BC%22%3C", &json!({}))
        .await;
    assert_eq!(
        (answer.status, &answer.json()["method"]),
        (303, &json!("create"))
    );
    assert_eq!(
        answer.header("location").as_deref(),
        Some("/a%20b%25zz/%C3/%C3%BC%22%3C")
    );
    let answer = node.get("/http?raw_location=/x&dispatch=null").await;
    assert_eq!((answer.status, answer.text()), (303, "null"));
    let answer = node.get("/http?location=/x&status=201").await;
    assert_eq!(
        (answer.status, answer.header("location").as_deref()),
        (201, Some("/x"))
    );
}

#[tokio::test]
async fn dispatch_is_what_clients_get_also_when_it_is_falsy() {
    let node = wanting().await;
    let answer = node.get("/http/1?dispatch={%22safe%22:true}").await;
    assert_eq!((answer.status, answer.text()), (200, "{\"safe\":true}"));
    assert_eq!(node.get("/http/1?dispatch=0").await.status, 204);
}

type Log = Arc<Mutex<Vec<String>>>;

struct Logging(Log);

impl Service for Logging {
    const METHODS: &'static [&'static str] = &["get"];

    async fn get(&self, id: Id, _: &Params) -> Result<Value> {
        self.0.lock().push("method".to_owned());
        match id.to_string().as_str() {
            "bad" => Err(Error::bad_request("no")),
            id => Ok(json!({ "id": id })),
        }
    }
}

/// Adds a hook of every kind, for all methods and for `get`, that writes down its name.
fn log_hooks<R: RegisterHooks>(mut on: R, log: &Log, level: &'static str) -> R {
    for specific in [false, true] {
        let select = || {
            if specific {
                Method::Get.into()
            } else {
                wingbeat::hooks::Select::All
            }
        };
        let suffix = if specific { "get" } else { "all" };
        let around = Arc::clone(log);
        on = on.around(select(), move |context, next| {
            let log = Arc::clone(&around);
            Box::pin(async move {
                log.lock().push(format!("{level} around {suffix} in"));
                let ran = next.run(context).await;
                log.lock().push(format!("{level} around {suffix} out"));
                ran
            })
        });
        let note = |kind: &'static str, expected: HookKind| {
            let log = Arc::clone(log);
            move |context: &mut HookContext| {
                assert_eq!(context.kind(), expected);
                log.lock().push(format!("{level} {kind} {suffix}"));
            }
        };
        let before = note("before", HookKind::Before);
        let after = note("after", HookKind::After);
        let error = note("error", HookKind::Error);
        on = on
            .before(select(), move |context| {
                before(context);
                Box::pin(async { Ok(()) })
            })
            .after(select(), move |context| {
                after(context);
                Box::pin(async { Ok(()) })
            })
            .on_error(select(), move |context| {
                error(context);
                Box::pin(async { Ok(()) })
            });
    }
    on
}

#[tokio::test]
async fn hooks_of_all_levels_run_in_the_order_of_feathers() {
    let log = Log::default();
    let service = log_hooks(
        Registration::new(Logging(Arc::clone(&log))),
        &log,
        "service",
    );
    let app = log_hooks(App::builder().service("logging", service), &log, "app");
    let node = Node::start(app).await;
    let inwards = [
        "app around all in",
        "app around get in",
        "app before all",
        "app before get",
        "service around all in",
        "service around get in",
        "service before all",
        "service before get",
        "method",
    ];
    let outwards = [
        "service after all",
        "service after get",
        "service around get out",
        "service around all out",
        "app after all",
        "app after get",
        "app around get out",
        "app around all out",
    ];
    assert_eq!(node.get("/logging/1").await.status, 200);
    assert_eq!(*log.lock(), [&inwards[..], &outwards[..]].concat());
    log.lock().clear();
    let failing = [
        "service error get",
        "service error all",
        "service around get out",
        "service around all out",
        "app error get",
        "app error all",
        "app around get out",
        "app around all out",
    ];
    assert_eq!(node.get("/logging/bad").await.status, 400);
    assert_eq!(*log.lock(), [&inwards[..], &failing[..]].concat());
}

#[tokio::test]
async fn hooks_that_wrap_a_service_stand_between_its_own_and_those_of_the_app() {
    let log = Log::default();
    let service = log_hooks(
        Registration::new(Logging(Arc::clone(&log))),
        &log,
        "service",
    );
    let noting = |name: &'static str| {
        let log = Arc::clone(&log);
        move |_: &HookContext| log.lock().push(name.to_owned())
    };
    let (own, all) = (noting("wrap get"), noting("wrap all"));
    let service = service
        .wrap(Method::Get, move |context, next| {
            own(context);
            next.run(context)
        })
        .wrap(All, move |context, next| {
            all(context);
            next.run(context)
        });
    let app = log_hooks(App::builder().service("logging", service), &log, "app");
    let node = Node::start(app).await;
    assert_eq!(node.get("/logging/1").await.status, 200);
    let around = [
        "app before get",
        "wrap all",
        "wrap get",
        "service around all in",
    ];
    assert_eq!(log.lock()[3..7], around);
}

#[tokio::test]
async fn error_hooks_of_a_method_do_not_see_failures_of_before_hooks_for_all() {
    let log = Log::default();
    let failing = Registration::new(Logging(Arc::clone(&log)))
        .before(All, |_| Box::pin(async { Err(Error::forbidden("first")) }));
    let service = log_hooks(failing, &log, "service");
    let node = Node::start(App::builder().service("logging", service)).await;
    assert_eq!(node.get("/logging/1").await.status, 403);
    let expected = [
        "service around all in",
        "service around get in",
        "service error all",
        "service around get out",
        "service around all out",
    ];
    assert_eq!(*log.lock(), expected);
}

#[tokio::test]
async fn a_result_set_before_replaces_the_method() {
    let log = Log::default();
    let service = Registration::new(Logging(Arc::clone(&log))).before(All, |context| {
        context.result = Some(json!("instead"));
        Box::pin(async { Ok(()) })
    });
    let node = Node::start(App::builder().service("logging", service)).await;
    assert_eq!(
        node.get("/logging/bad").await.pair(),
        (200, json!("instead"))
    );
    assert!(log.lock().is_empty());
}

#[tokio::test]
async fn an_error_hook_turns_a_failure_into_a_result_or_another_failure() {
    let service = Registration::new(Logging(Log::default())).on_error(All, |context| {
        let failure = context
            .error
            .as_ref()
            .map(|error| error.message().to_owned());
        let wants_result = context.params.query.contains_key("rescue");
        context.result = wants_result.then(|| json!({ "rescued": failure }));
        Box::pin(async move {
            if wants_result {
                Ok(())
            } else {
                Err(Error::forbidden("not that one"))
            }
        })
    });
    let node = Node::start(App::builder().service("logging", service)).await;
    assert_eq!(
        node.get("/logging/bad?rescue").await.pair(),
        (200, json!({ "rescued": "no" }))
    );
    assert_eq!(node.get("/logging/bad").await.status, 403);
}

#[tokio::test]
async fn error_hooks_for_all_methods_see_what_those_of_the_method_leave() {
    let service = Registration::new(Logging(Log::default()))
        .on_error(All, |context| {
            let failure = context.error.as_ref().map(ToString::to_string);
            context.result = Some(json!({ "by": "all", "of": failure }));
            Box::pin(async { Ok(()) })
        })
        .on_error(Method::Get, |context| {
            let wants_result = context.params.query.contains_key("rescue");
            context.result = wants_result.then(|| json!({ "by": "get" }));
            let outcome = match wants_result {
                true => Ok(()),
                false => Err(Error::forbidden("another one")),
            };
            Box::pin(async { outcome })
        });
    let node = Node::start(App::builder().service("logging", service)).await;
    let rescued = node.get("/logging/bad?rescue").await;
    assert_eq!(rescued.pair(), (200, json!({ "by": "get" })));
    let replaced = node.get("/logging/bad").await.pair();
    assert_eq!(replaced, (200, json!({ "by": "all", "of": "another one" })));
}

#[tokio::test]
async fn hooks_change_what_the_method_gets() {
    let service = Registration::new(Memory::new())
        .before(Method::Create, |context| {
            let author = context.params.headers.get("x-author").cloned();
            Box::pin(async move {
                let author = author.ok_or_else(|| Error::forbidden("who are you?"))?;
                if let Some(data) = &mut context.data {
                    data["author"] = author.to_str().unwrap_or_default().into();
                }
                Ok(())
            })
        })
        .after(All, |context| {
            context
                .http
                .headers
                .insert("x-path", context.path().parse().unwrap());
            Box::pin(async { Ok(()) })
        });
    let node = Node::start(App::builder().service("notes", service)).await;
    assert_eq!(node.post("/notes", &json!({})).await.status, 403);
    let request = Request::new("POST", "/notes")
        .header("x-author", "Ada")
        .json(&json!({ "a": 1 }));
    let answer = node.send(request).await;
    assert_eq!(
        answer.pair(),
        (201, json!({ "a": 1, "author": "Ada", "id": 0 }))
    );
    assert_eq!(answer.header("x-path").as_deref(), Some("notes"));
}
