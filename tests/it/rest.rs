//! REST, byte by byte (feathers.md §1, the Express column).

mod bodies;
mod errors;
mod hooks;
mod routing;

use serde_json::{Value, json};
use wingbeat::service::Registration;
use wingbeat::stores::{Multi, Paginate};
use wingbeat::{App, Memory};

use crate::support::Node;
use crate::support::http::Request;
use crate::support::services::{Echo, Returns};

async fn echo() -> Node {
    Node::start(App::builder().service("echo", Echo)).await
}

/// Sends the request of each line, `VERB PATH [JSON] => STATUS [BODY]`, over one connection; answers are compared as text.
async fn replay(node: &Node, transcript: &str) {
    let mut client = node.client().await;
    for line in transcript.lines().filter(|line| !line.is_empty()) {
        let (request, expected) = line.split_once(" => ").unwrap();
        let mut words = request.splitn(3, ' ');
        let mut request = Request::new(words.next().unwrap(), words.next().unwrap());
        if let Some(data) = words.next() {
            request = request.typed("application/json", data);
        }
        let answer = client.send(request).await;
        let answered = format!("{} {}", answer.status, answer.text());
        assert_eq!(answered.trim_end(), expected, "{line}");
    }
}

fn not_supported(method: &str) -> (u16, Value) {
    let message = format!("Method `{method}` is not supported by this endpoint.");
    not_allowed(&message)
}

fn not_allowed(message: &str) -> (u16, Value) {
    let (name, class_name) = ("MethodNotAllowed", "method-not-allowed");
    (
        405,
        json!({ "name": name, "message": message, "code": 405, "className": class_name }),
    )
}

#[tokio::test]
async fn verbs_lead_to_methods() {
    replay(&echo().await, VERBS).await;
}

const VERBS: &str = r#"
GET /echo => 200 {"method":"find","query":{},"route":{},"provider":"rest"}
GET /echo/7 => 200 {"method":"get","id":"7","query":{},"route":{},"provider":"rest"}
POST /echo {"x":1} => 201 {"method":"create","data":{"x":1},"query":{},"route":{},"provider":"rest"}
POST /echo/7 [1] => 201 {"method":"create","data":[1],"query":{},"route":{},"provider":"rest"}
PUT /echo/7 {"x":1} => 200 {"method":"update","id":"7","data":{"x":1},"query":{},"route":{},"provider":"rest"}
PUT /echo {"x":1} => 200 {"method":"update","id":null,"data":{"x":1},"query":{},"route":{},"provider":"rest"}
PATCH /echo/7 {"x":1} => 200 {"method":"patch","id":"7","data":{"x":1},"query":{},"route":{},"provider":"rest"}
PATCH /echo?a=1 {"x":1} => 200 {"method":"patch","id":null,"data":{"x":1},"query":{"a":"1"},"route":{},"provider":"rest"}
DELETE /echo/7 {"x":1} => 200 {"method":"remove","id":"7","query":{},"route":{},"provider":"rest"}
DELETE /echo => 200 {"method":"remove","id":null,"query":{},"route":{},"provider":"rest"}
"#;

#[tokio::test]
async fn other_verbs_are_405_as_they_are_spelled() {
    let node = echo().await;
    for verb in ["OPTIONS", "PROPFIND", "TRACE", "get"] {
        let answer = node.send(Request::new(verb, "/echo")).await;
        let message = format!("Method {verb} not allowed");
        assert_eq!(answer.pair(), not_allowed(&message));
    }
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let node = echo().await;
    let mut client = node.client().await;
    let get = client.send(Request::new("GET", "/echo/7")).await;
    let head = client.send(Request::new("HEAD", "/echo/7")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(
        head.header("content-length"),
        Some(get.body.len().to_string())
    );
    assert_eq!(head.header("content-type"), get.header("content-type"));
    let head = client.send(Request::new("HEAD", "/nowhere")).await;
    assert_eq!((head.status, head.body.len()), (404, 0));
    assert_eq!(client.send(Request::new("GET", "/live")).await.status, 200);
    assert_eq!(client.send(Request::new("HEAD", "/live")).await.status, 200);
}

#[tokio::test]
async fn x_service_method_names_custom_methods_and_only_those() {
    let node = echo().await;
    let named = |verb, path, name| {
        Request::new(verb, path)
            .header("x-service-method", name)
            .json(&json!([1]))
    };
    let answer = node.send(named("POST", "/echo/5", "custom")).await;
    let custom = r#"{"method":"custom","data":[1],"query":{},"route":{},"provider":"rest"}"#;
    assert_eq!((answer.status, answer.text()), (200, custom));
    let answer = node.send(named("POST", "/echo", "")).await;
    assert_eq!(answer.pair().1["method"], "create");
    let answer = node.send(named("PUT", "/echo/1", "custom")).await;
    assert_eq!(answer.pair().1["method"], "update");
    for hidden in ["hidden", "Custom", "custom\u{fc}"] {
        let answer = node.send(named("POST", "/echo", hidden)).await;
        assert_eq!(answer.pair(), not_supported(hidden));
    }
    let answer = node.send(named("POST", "/echo", "create")).await;
    assert_eq!(answer.pair(), not_supported("create"));
    let answer = node.send(named("GET", "/echo/1", "create")).await;
    assert_eq!(answer.pair(), not_supported("get"));
    let answer = node.send(named("PROPFIND", "/echo", "create")).await;
    assert_eq!(answer.pair(), not_allowed("Method PROPFIND not allowed"));
}

#[tokio::test]
async fn methods_that_are_not_listed_are_405() {
    let only_get = Registration::new(Echo).methods(["get"]);
    let node = Node::start(App::builder().service("one", only_get)).await;
    assert_eq!(node.get("/one/1").await.status, 200);
    assert_eq!(node.get("/one").await.pair(), not_supported("find"));
    assert_eq!(
        node.post("/one", &json!({})).await.pair(),
        not_supported("create")
    );
}

#[tokio::test]
async fn the_result_decides_the_status() {
    let node = Node::start(App::builder().service("returns", Returns)).await;
    let mut client = node.client().await;
    for falsy in ["null", "0", "false", "\"\""] {
        let path = format!("/returns?v={}", falsy.replace('"', "%22"));
        let find = client.send(Request::new("GET", &path)).await;
        let created = Request::new("POST", "/returns").json(&json!({ "v": falsy }));
        let created = client.send(created).await;
        for answer in [find, created] {
            assert_eq!((answer.status, answer.text()), (204, ""), "{falsy}");
            assert_eq!(answer.header("content-type"), None);
            assert_eq!(answer.header("content-length"), None);
        }
    }
    for truthy in ["1", "true", "\"hello\"", "[]", "{}", "[{\"a\":1}]"] {
        let data = json!({ "v": truthy });
        let methods = [
            (Request::new("POST", "/returns"), 201),
            (Request::new("PUT", "/returns/1"), 200),
            (Request::new("PATCH", "/returns/1"), 200),
            (
                Request::new("POST", "/returns").header("x-service-method", "custom"),
                200,
            ),
        ];
        for (request, status) in methods {
            let answer = client.send(request.json(&data)).await;
            assert_eq!((answer.status, answer.text()), (status, truthy));
            assert_eq!(
                answer.header("content-length"),
                Some(truthy.len().to_string())
            );
        }
    }
}

#[tokio::test]
async fn queries_follow_the_grammar_of_qs() {
    let node = echo().await;
    let answer = node
        .get("/echo?a[$in][]=1&a[$in][]=2&b.c=%20x+y&n=1&e=&__proto__[x]=1&$or[1][a]=2&$or[0][b]=1")
        .await;
    let query = json!({ "a": { "$in": ["1", "2"] }, "b.c": " x y", "n": "1", "e": "", "$or": [{ "b": "1" }, { "a": "2" }] });
    assert_eq!(answer.json()["query"], query);
}

#[tokio::test]
async fn records_are_made_read_changed_and_removed() {
    let paged = Memory::new()
        .multi(Multi::All)
        .paginate(Paginate::new(2, 3));
    let app = App::builder()
        .service("messages", Memory::new().start_id(1).multi(Multi::All))
        .service("paged", paged)
        .service("single", Memory::new());
    replay(&Node::start(app).await, RECORDS).await;
}

const RECORDS: &str = r#"
POST /messages {"text":"one","n":1} => 201 {"text":"one","n":1,"id":1}
POST /messages [{"text":"two"},{"text":"three"}] => 201 [{"text":"two","id":2},{"text":"three","id":3}]
GET /messages?$sort[text]=1&$limit=2 => 200 [{"text":"one","n":1,"id":1},{"text":"three","id":3}]
GET /messages/1 => 200 {"text":"one","n":1,"id":1}
GET /messages/99 => 404 {"name":"NotFound","message":"No record found for id '99'","code":404,"className":"not-found"}
PUT /messages/1 {"text":"updated"} => 200 {"text":"updated","id":1}
PUT /messages {} => 400 {"name":"BadRequest","message":"You can not replace multiple instances. Did you mean 'patch'?","code":400,"className":"bad-request"}
PATCH /messages?text=two {"read":true} => 200 [{"text":"two","id":2,"read":true}]
DELETE /messages?text=none => 200 []
DELETE /messages/2 => 200 {"text":"two","id":2,"read":true}
GET /messages => 200 [{"text":"updated","id":1},{"text":"three","id":3}]
GET /messages?$foo=1 => 400 {"name":"BadRequest","message":"Invalid filter value $foo","code":400,"className":"bad-request"}
GET /messages?text[$regex]=x => 400 {"name":"BadRequest","message":"Invalid query parameter $regex","code":400,"className":"bad-request","data":{"$regex":"x"}}
GET /messages?text[$in][]=three&text[$ne]=x&$select[]=text => 200 [{"text":"three","id":3}]
GET /messages?$or[0][text]=three&$or[1][id][$gt]=0&$sort[id]=-1 => 200 [{"text":"three","id":3}]
POST /paged [{},{},{},{},{}] => 201 [{"id":0},{"id":1},{"id":2},{"id":3},{"id":4}]
GET /paged => 200 {"total":5,"limit":2,"skip":0,"data":[{"id":0},{"id":1}]}
GET /paged?$limit=10&$skip=1 => 200 {"total":5,"limit":3,"skip":1,"data":[{"id":1},{"id":2},{"id":3}]}
DELETE /single => 405 {"name":"MethodNotAllowed","message":"Can not remove multiple entries","code":405,"className":"method-not-allowed"}
"#;
