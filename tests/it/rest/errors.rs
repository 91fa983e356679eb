//! Errors of services, and panics (feathers.md §1.7, §7).

use serde_json::{Value, json};
use wingbeat::error::{ErrorName, Result};
use wingbeat::service::Id;
use wingbeat::{App, AppBuilder, Config, Error, Params, Service};

use super::replay;
use crate::support::Node;
use crate::support::http::Request;

struct Errors;

impl Service for Errors {
    const METHODS: &'static [&'static str] = &["get"];

    async fn get(&self, id: Id, _: &Params) -> Result<Value> {
        let data = |message, data| Error::bad_request(message).with_data(data);
        Err(match id.to_string().as_str() {
            "plain" => Error::foreign("Plain failure"),
            "data" => data(
                "With data",
                json!({ "foo": "bar", "errors": { "email": "invalid" } }),
            ),
            "array" => data("With array", json!([1, 2])),
            "errorsonly" => data("With errors", json!({ "errors": [{ "message": "x" }] })),
            "emptydata" => data("Empty", json!({})),
            "panic" => panic!("on purpose"),
            name => Error::new(
                ErrorName::from_name(name).unwrap(),
                format!("This is {name}"),
            ),
        })
    }
}

fn errors(compat: bool) -> AppBuilder {
    let mut config = Config::default();
    config.feathers_compat = compat;
    App::builder().config(config).service("errs", Errors)
}

#[tokio::test]
async fn errors_have_their_code_and_json() {
    replay(&Node::start(errors(false)).await, ERRORS).await;
}

const ERRORS: &str = r#"
GET /errs/data => 400 {"name":"BadRequest","message":"With data","code":400,"className":"bad-request","data":{"foo":"bar"},"errors":{"email":"invalid"}}
GET /errs/array => 400 {"name":"BadRequest","message":"With array","code":400,"className":"bad-request","data":[1,2]}
GET /errs/errorsonly => 400 {"name":"BadRequest","message":"With errors","code":400,"className":"bad-request","data":{},"errors":[{"message":"x"}]}
GET /errs/emptydata => 400 {"name":"BadRequest","message":"Empty","code":400,"className":"bad-request","data":{}}
GET /errs/NotAuthenticated => 401 {"name":"NotAuthenticated","message":"This is NotAuthenticated","code":401,"className":"not-authenticated"}
GET /errs/PaymentError => 402 {"name":"PaymentError","message":"This is PaymentError","code":402,"className":"payment-error"}
GET /errs/Forbidden => 403 {"name":"Forbidden","message":"This is Forbidden","code":403,"className":"forbidden"}
GET /errs/NotFound => 404 {"name":"NotFound","message":"This is NotFound","code":404,"className":"not-found"}
GET /errs/MethodNotAllowed => 405 {"name":"MethodNotAllowed","message":"This is MethodNotAllowed","code":405,"className":"method-not-allowed"}
GET /errs/NotAcceptable => 406 {"name":"NotAcceptable","message":"This is NotAcceptable","code":406,"className":"not-acceptable"}
GET /errs/Timeout => 408 {"name":"Timeout","message":"This is Timeout","code":408,"className":"timeout"}
GET /errs/Conflict => 409 {"name":"Conflict","message":"This is Conflict","code":409,"className":"conflict"}
GET /errs/Gone => 410 {"name":"Gone","message":"This is Gone","code":410,"className":"gone"}
GET /errs/LengthRequired => 411 {"name":"LengthRequired","message":"This is LengthRequired","code":411,"className":"length-required"}
GET /errs/Unprocessable => 422 {"name":"Unprocessable","message":"This is Unprocessable","code":422,"className":"unprocessable"}
GET /errs/TooManyRequests => 429 {"name":"TooManyRequests","message":"This is TooManyRequests","code":429,"className":"too-many-requests"}
GET /errs/GeneralError => 500 {"name":"GeneralError","message":"This is GeneralError","code":500,"className":"general-error"}
GET /errs/NotImplemented => 501 {"name":"NotImplemented","message":"This is NotImplemented","code":501,"className":"not-implemented"}
GET /errs/BadGateway => 502 {"name":"BadGateway","message":"This is BadGateway","code":502,"className":"bad-gateway"}
GET /errs/Unavailable => 503 {"name":"Unavailable","message":"This is Unavailable","code":503,"className":"unavailable"}
"#;

#[tokio::test]
async fn foreign_errors_are_hidden_unless_compat_asks_for_them() {
    let node = Node::start(errors(true)).await;
    let shown = r#"GET /errs/plain => 500 {"name":"GeneralError","message":"Plain failure","code":500,"className":"general-error"}"#;
    replay(&node, shown).await;
    let node = Node::start(errors(false)).await;
    let (status, body) = node.get("/errs/plain").await.pair();
    assert_eq!((status, &body["name"]), (500, &json!("GeneralError")));
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("Internal error, log id ") && !message.contains("Plain"));
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_connection_lives_on() {
    let app = errors(false).on_request(|parts, _| {
        assert!(
            parts.uri.query() != Some("bad"),
            "on purpose, while a request is looked at"
        );
    });
    let node = Node::start(app).await;
    let mut client = node.client().await;
    for path in ["/errs/panic", "/errs/data?bad"] {
        let (status, body) = client.send(Request::new("GET", path)).await.pair();
        assert_eq!((status, &body["name"]), (500, &json!("GeneralError")));
        assert!(!body["message"].as_str().unwrap().contains("purpose"));
    }
    assert_eq!(
        client.send(Request::new("GET", "/errs/data")).await.status,
        400
    );
}
