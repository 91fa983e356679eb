//! Calls and their answers (feathers.md §2.2).

use serde_json::{Value, json};
use wingbeat::hooks::{All, RegisterHooks};
use wingbeat::service::Registration;
use wingbeat::{App, AppBuilder, Config, Error, Memory};

use crate::support::Node;
use crate::support::services::{Echo, Returns};
use crate::support::socket::SocketClient;

fn services() -> AppBuilder {
    App::builder()
        .service("messages", Memory::new())
        .service("echo", Echo)
        .service("org/:org/echo", Echo)
        .service("returns", Returns)
        .service("reading", Registration::new(Echo).methods(["find", "get"]))
}

async fn connected() -> (Node, SocketClient) {
    let node = Node::start(services()).await;
    let client = SocketClient::connect(node.addr).await;
    (node, client)
}

fn error(name: &str, code: u16, class_name: &str, message: &str) -> Result<Value, Value> {
    Err(json!({ "name": name, "message": message, "code": code, "className": class_name }))
}

/// Makes each call and compares what the service saw.
async fn sees(calls: impl IntoIterator<Item = (&str, Value, Value)>) {
    let (_node, mut client) = connected().await;
    for (method, arguments, mut expected) in calls {
        expected["method"] = json!(method);
        expected["route"] = json!({});
        expected["provider"] = json!("socketio");
        let result = client.call(method, "echo", arguments.clone()).await;
        assert_eq!(result, Ok(expected), "{method} {arguments}");
    }
}

fn not_found(message: &str) -> Result<Value, Value> {
    error("NotFound", 404, "not-found", message)
}

#[tokio::test]
async fn methods_that_read_have_an_id_and_a_query() {
    let query = json!({ "q": [1] });
    sees([
        ("find", json!([query]), json!({ "query": query })),
        ("find", json!([]), json!({ "query": {} })),
        (
            "get",
            json!(["7", query]),
            json!({ "id": "7", "query": query }),
        ),
        ("get", json!([7]), json!({ "id": 7, "query": {} })),
        (
            "remove",
            json!([7, query]),
            json!({ "id": 7, "query": query }),
        ),
        ("remove", json!([null]), json!({ "id": null, "query": {} })),
    ])
    .await;
}

#[tokio::test]
async fn methods_that_write_have_data_too() {
    let query = json!({ "q": [1] });
    sees([
        (
            "create",
            json!([{ "a": 1 }, query]),
            json!({ "data": { "a": 1 }, "query": query }),
        ),
        ("create", json!([]), json!({ "data": null, "query": {} })),
        (
            "update",
            json!([1.5, [2], query]),
            json!({ "id": 1.5, "data": [2], "query": query }),
        ),
        (
            "patch",
            json!([null, { "a": 1 }, query]),
            json!({ "id": null, "data": { "a": 1 }, "query": query }),
        ),
        (
            "patch",
            json!([null]),
            json!({ "id": null, "data": null, "query": {} }),
        ),
        (
            "custom",
            json!(["data", query]),
            json!({ "data": "data", "query": query }),
        ),
    ])
    .await;
}

#[tokio::test]
async fn records_are_made_read_changed_and_removed() {
    let (_node, mut client) = connected().await;
    let one = client
        .call("create", "messages", json!([{ "text": "one" }, {}]))
        .await
        .unwrap();
    let id = one["id"].clone();
    assert_eq!(
        client.call("get", "messages", json!([id, {}])).await,
        Ok(one)
    );
    let patched = client
        .call("patch", "messages", json!([id, { "read": true }, {}]))
        .await
        .unwrap();
    assert_eq!(patched, json!({ "text": "one", "read": true, "id": id }));
    let updated = client
        .call("update", "messages", json!([id, { "text": "new" }, {}]))
        .await
        .unwrap();
    assert_eq!(updated, json!({ "text": "new", "id": id }));
    assert_eq!(
        client.call("remove", "messages", json!([id, {}])).await,
        Ok(updated)
    );
    assert_eq!(
        client.call("find", "messages", json!([{}])).await,
        Ok(json!([]))
    );
}

#[tokio::test]
async fn unknown_services_and_records_are_not_found() {
    let (_node, mut client) = connected().await;
    for path in ["nope", "/nope/", "", "Echo", "echo/7/8"] {
        let message = format!("Service '{path}' not found");
        assert_eq!(
            client.call("find", path, json!([{}])).await,
            not_found(&message)
        );
    }
    for path in ["5", "null", "{}", "[\"echo\"]"] {
        client.send(&format!(r#"4290["find",{path},{{}}]"#)).await;
        assert_eq!(client.answer(90).await, not_found("Invalid service path"));
    }
    assert_eq!(
        client.call("get", "messages", json!([12345, {}])).await,
        not_found("No record found for id '12345'")
    );
}

#[tokio::test]
async fn methods_that_a_service_does_not_offer_are_not_allowed() {
    let (_node, mut client) = connected().await;
    for (method, path) in [
        ("create", "reading"),
        ("custom", "/messages"),
        ("custom", "reading"),
    ] {
        let message = format!("Method '{method}' not allowed on service '{path}'");
        assert_eq!(
            client.call(method, path, json!([1, 2, 3, 4])).await,
            error("MethodNotAllowed", 405, "method-not-allowed", &message)
        );
    }
}

#[tokio::test]
async fn more_arguments_than_a_method_has_are_refused() {
    let (_node, mut client) = connected().await;
    for (method, n_arguments) in [
        ("find", 1),
        ("get", 2),
        ("create", 2),
        ("update", 3),
        ("patch", 3),
        ("remove", 2),
        ("custom", 2),
    ] {
        let message = format!("Too many arguments for '{method}' method");
        let arguments = Value::from(vec![Value::Null; n_arguments + 1]);
        assert_eq!(
            client.call(method, "echo", arguments).await,
            error("BadRequest", 400, "bad-request", &message)
        );
    }
    let id = client.call("get", "echo", json!([{ "a": 1 }])).await;
    assert_eq!(id.unwrap_err()["name"], "BadRequest");
}

#[tokio::test]
async fn an_id_that_is_left_out_does_not_mean_all_records() {
    let (_node, mut client) = connected().await;
    for method in ["get", "update", "patch", "remove"] {
        let message = format!("id for '{method}' can not be undefined");
        assert_eq!(
            client.call(method, "echo", json!([])).await,
            error("BadRequest", 400, "bad-request", &message)
        );
    }
}

#[tokio::test]
async fn paths_find_placeholders_and_ids_leave_their_mark() {
    let (_node, mut client) = connected().await;
    for (path, route) in [
        ("echo", json!({})),
        ("/echo/", json!({})),
        ("echo/77", json!({ "__id": "77" })),
        ("org/7/echo", json!({ "org": "7" })),
        ("org//echo", json!({ "org": "" })),
    ] {
        let result = client.call("get", path, json!([1, {}])).await.unwrap();
        assert_eq!(
            (&result["route"], &result["id"]),
            (&route, &json!(1)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_query_is_copied_into_an_object() {
    let (_node, mut client) = connected().await;
    for (argument, query) in [
        (json!(null), json!({})),
        (json!(5), json!({})),
        (json!(true), json!({})),
        (json!("abc"), json!({ "0": "a", "1": "b", "2": "c" })),
        (json!([1, { "a": 2 }]), json!({ "0": 1, "1": { "a": 2 } })),
        (
            json!({ "a": { "$in": [1, "1", null] } }),
            json!({ "a": { "$in": [1, "1", null] } }),
        ),
    ] {
        let result = client
            .call("find", "echo", json!([argument]))
            .await
            .unwrap();
        assert_eq!(result["query"], query);
    }
    let endless = client
        .call("find", "echo", json!(["x".repeat(1_001)]))
        .await
        .unwrap_err();
    assert_eq!(endless["name"], "BadRequest");
}

#[tokio::test]
async fn results_are_sent_as_they_are() {
    let (_node, mut client) = connected().await;
    for text in [
        "null",
        "0",
        "false",
        "\"\"",
        "[]",
        "{}",
        "1.5",
        "\"hé\"",
        "[1,{\"a\":null}]",
    ] {
        let result = client.call("get", "returns", json!([text])).await.unwrap();
        assert_eq!(result.to_string(), text);
    }
}

#[tokio::test]
async fn a_dispatch_is_what_clients_get_unless_it_is_falsy() {
    let builder = services().after(All, |context| {
        Box::pin(async move {
            context.dispatch = context.params.query.get("dispatch").cloned();
            Ok(())
        })
    });
    let node = Node::start(builder).await;
    let mut client = SocketClient::connect(node.addr).await;
    for (dispatch, expected) in [
        (json!({ "safe": 1 }), json!({ "safe": 1 })),
        (json!([]), json!([])),
        (json!(0), json!(7)),
        (json!(""), json!(7)),
    ] {
        let result = client
            .call("get", "returns", json!(["7", { "dispatch": dispatch }]))
            .await;
        assert_eq!(result, Ok(expected), "{dispatch}");
    }
}

#[tokio::test]
async fn foreign_errors_show_their_text_in_compat_only() {
    for (compat, expected) in [
        (true, json!({ "message": "Plain failure" })),
        (false, json!(null)),
    ] {
        let mut config = Config::default();
        config.feathers_compat = compat;
        let builder = services().config(config).before(All, |_| {
            Box::pin(async { Err(Error::foreign("Plain failure")) })
        });
        let node = Node::start(builder).await;
        let mut client = SocketClient::connect(node.addr).await;
        let error = client.call("find", "echo", json!([{}])).await.unwrap_err();
        if compat {
            assert_eq!(error, expected);
        } else {
            assert_eq!(
                (&error["name"], &error["code"]),
                (&json!("GeneralError"), &json!(500))
            );
            assert!(
                !error["message"].as_str().unwrap().contains("Plain"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn ack_ids_are_echoed_as_numbers_and_calls_without_run_too() {
    let builder = services()
        .on_connection(|connection, channels| channels.channel("all").join(connection))
        .publish(|_, channels| channels.channel("all"));
    let node = Node::start(builder).await;
    let mut client = SocketClient::connect(node.addr).await;
    for (ack, answer) in [
        ("007", "437[null,1]"),
        ("18446744073709551615", "4318446744073709551615[null,1]"),
        ("0", "430[null,1]"),
    ] {
        client
            .send(&format!(r#"42{ack}["get","returns","1"]"#))
            .await;
        assert_eq!(client.packet().await, answer);
    }
    client
        .send(r#"42["create","nope",{"text":"unheard"},{}]"#)
        .await;
    client
        .send(r#"42["create","messages",{"text":"quiet"},{}]"#)
        .await;
    assert_eq!(
        client.packet().await,
        r#"42["messages created",{"text":"quiet","id":0}]"#
    );
    assert_eq!(
        client.call("get", "returns", json!(["2"])).await,
        Ok(json!(2))
    );
}

#[tokio::test]
async fn half_an_emoji_is_replaced_and_costs_nobody_the_connection() {
    let (_node, mut client) = connected().await;
    client.send(r#"421["create","echo","cut \ud83d",{}]"#).await;
    assert_eq!(client.answer(1).await.unwrap()["data"], "cut \u{fffd}");
}
