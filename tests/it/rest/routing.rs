//! Which path leads where (feathers.md §0.4), and what comes with it.

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use tower::Service as _;
use wingbeat::error::Result;
use wingbeat::service::Registration;
use wingbeat::transport::ClientAddr;
use wingbeat::{App, Params, Service};

use super::echo;
use crate::support::Node;
use crate::support::http::Request;
use crate::support::services::Echo;

#[tokio::test]
async fn ids_and_route_params_are_taken_as_they_stand_in_the_path() {
    let preset = Map::from_iter([("preset".to_owned(), json!("yes"))]);
    let app = App::builder()
        .service("echo", Echo)
        .service("org/:orgId/items", Echo)
        .service("a/:x/b/:y", Registration::new(Echo).route_params(preset));
    let node = Node::start(app).await;
    let mut client = node.client().await;
    let expected = [
        ("/echo/a%20b", r#""a%20b" {}"#),
        ("/echo/5/", r#""5" {}"#),
        ("//echo/%ZZ", r#""%ZZ" {}"#),
        ("/org/x%2Fy/items/1", r#""1" {"orgId":"x%2Fy"}"#),
        ("/org//items/1", r#""1" {"orgId":""}"#),
        ("/a/1/b/2/3", r#""3" {"preset":"yes","y":"2","x":"1"}"#),
    ];
    for (path, expected) in expected {
        let answer = client.send(Request::new("GET", path)).await.json();
        assert_eq!(
            format!("{} {}", answer["id"], answer["route"]),
            expected,
            "{path}"
        );
    }
    for unknown in ["/echo//5", "/Echo/5", "/echo/5/6", "/org/items", "/"] {
        let answer = client.send(Request::new("GET", unknown)).await;
        assert_eq!(answer.status, 404, "{unknown}");
    }
}

#[tokio::test]
async fn unknown_paths_are_404_with_the_url() {
    let node = echo().await;
    let answer = node.get("/no/such/route?x=1").await;
    assert_eq!(
        answer.text(),
        r#"{"name":"NotFound","message":"Page not found","code":404,"className":"not-found","data":{"url":"/no/such/route?x=1"}}"#
    );
    assert_eq!(answer.status, 404);
}

#[tokio::test]
async fn a_root_service_takes_single_segments_but_not_health() {
    let app = App::builder().service("/", Echo).service("echo", Echo);
    let node = Node::start(app).await;
    assert_eq!(node.get("/").await.json()["method"], "find");
    assert_eq!(node.get("/nope").await.json()["id"], "nope");
    assert_eq!(node.get("/echo").await.json()["method"], "find");
    assert_eq!(node.get("/a/b").await.status, 404);
    assert_eq!(node.get("/live").await.json(), json!({ "live": true }));
    assert_eq!(node.get("/ready").await.json()["ready"], true);
    let answer = node.post("/live", &json!({})).await;
    assert_eq!(answer.json()["method"], "create");
}

#[tokio::test]
async fn services_go_before_health_and_the_fallback() {
    let pages = Router::new()
        .route("/", get(async || "page"))
        .route("/echo", get(async || "never"))
        .route("/upload", post(async |body: String| body.len().to_string()));
    let app = App::builder()
        .service("echo", Echo)
        .service("live", Echo)
        .fallback(pages);
    let node = Node::start(app).await;
    assert_eq!(node.get("/").await.text(), "page");
    assert_eq!(node.get("/echo").await.json()["method"], "find");
    assert_eq!(node.get("/live").await.json()["method"], "find");
    let body = "x".repeat(300_000);
    let request = Request::new("POST", "/upload").typed("text/plain", body);
    assert_eq!(node.send(request).await.text(), "300000");
    let unknown = node.get("/no").await;
    assert_eq!(unknown.json()["data"], json!({ "url": "/no" }));
}

struct Asker;

impl Service for Asker {
    const METHODS: &'static [&'static str] = &["find"];

    async fn find(&self, params: &Params) -> Result<Value> {
        let addr = params.extensions.get::<ClientAddr>().map(|addr| addr.0);
        let tenant = params.extensions.get::<Tenant>();
        let mut answer = params.to_json();
        answer["from"] = json!(addr.map(|addr| addr.ip().to_string()));
        answer["tenant"] = json!(tenant.map(|tenant| tenant.0));
        Ok(answer)
    }
}

#[derive(Clone)]
struct Tenant(u32);

#[tokio::test]
async fn the_apps_own_code_says_who_asks() {
    let app = App::builder()
        .service("asker", Asker)
        .on_request(|parts, params| {
            if let Some(authorization) = parts.headers.get("authorization") {
                let text = authorization.to_str().unwrap_or_default();
                let properties = &mut params.properties;
                properties.insert("authorization".to_owned(), text.into());
            }
        })
        .on_request(|_, params| {
            params.extensions.insert(Tenant(7));
        });
    let node = Node::start(app).await;
    let request = Request::new("GET", "/asker?a=1")
        .header("Authorization", "Bearer x")
        .header("X-Two", "1");
    let answer = node.send(request).await.text().to_owned();
    assert_eq!(
        answer,
        r#"{"query":{"a":"1"},"headers":{"host":"test","authorization":"Bearer x","x-two":"1"},"route":{},"provider":"rest","authorization":"Bearer x","from":"127.0.0.1","tenant":7}"#
    );
}

#[tokio::test]
async fn a_host_serves_the_app_without_our_sockets() {
    let app = App::builder().service("asker", Asker).build().unwrap();
    let mut host = Router::new().nest_service("/api", app.http_service());
    let mut request = http::Request::new(axum::body::Body::empty());
    *request.uri_mut() = "/api/asker?x=1".parse().unwrap();
    request.extensions_mut().insert(Tenant(9));
    let response = host.call(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = axum::body::to_bytes(response.into_body(), 10_000).await;
    let json: Value = serde_json::from_slice(&body.unwrap()).unwrap();
    assert_eq!(
        (&json["tenant"], &json["from"], &json["query"]["x"]),
        (&json!(9), &json!(null), &json!("1"))
    );
}

#[tokio::test]
async fn head_has_no_body_also_without_our_sockets() {
    let app = App::builder().service("echo", Echo).build().unwrap();
    let mut request = http::Request::new(axum::body::Body::empty());
    *request.method_mut() = http::Method::HEAD;
    *request.uri_mut() = "/echo".parse().unwrap();
    let response = app.http_service().call(request).await.unwrap();
    assert_ne!(response.headers()["content-length"], "0");
    let body = axum::body::to_bytes(response.into_body(), 10_000).await;
    assert!(body.unwrap().is_empty());
}
