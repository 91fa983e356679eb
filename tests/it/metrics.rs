//! What operators scrape, against the table of names that they were promised.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use wingbeat::{App, Memory};

use crate::support::http::{Answer, Request};
use crate::support::{Node, cluster, eventually, eventually_in};

/// Samples by name and labels as they stand in the text.
type Samples = BTreeMap<String, f64>;

fn samples(answer: &Answer) -> Samples {
    let lines = answer.text().lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (series, value) = line.rsplit_once(' ').expect("a series and a value");
        (series.to_owned(), value.parse().expect("a number"))
    };
    lines.map(sample).collect()
}

async fn scrape(node: &Node) -> Samples {
    let answer = node.get("/metrics").await;
    assert_eq!(answer.status, 200);
    samples(&answer)
}

fn name(series: &str) -> &str {
    series.split('{').next().unwrap_or(series)
}

/// The rows of the table in `docs/metrics.md`: name, type, and names of labels.
fn promised() -> Vec<(String, String, Vec<String>)> {
    let rows = include_str!("../../docs/metrics.md").lines();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `wingbeat_")?.split(" | ");
        let name = format!("wingbeat_{}", cells.next()?.strip_suffix('`')?);
        let kind = cells.next()?.to_owned();
        let labels = cells.next()?.split(", ").filter(|label| !label.is_empty());
        let labels = labels.map(|label| label.trim_matches('`').to_owned());
        Some((name, kind, labels.collect()))
    };
    rows.filter_map(row).collect()
}

/// Two nodes that know each other.
async fn pair() -> Vec<Node> {
    cluster(2, |_| App::builder().service("messages", Memory::new())).await
}

#[tokio::test]
async fn every_name_of_the_table_is_there_and_no_other() {
    let nodes = pair().await;
    // Some hellos have to pass before it says so.
    let says = || nodes[0].app.sync().peers()[0].hears_us.is_some();
    eventually_in(
        Duration::from_secs(20),
        "the peer says whether it hears",
        says,
    )
    .await;
    let answer = nodes[0].get("/metrics").await;
    let text = answer.text();
    let shown: BTreeSet<String> = samples(&answer)
        .keys()
        .map(|series| name(series).to_owned())
        .collect();
    let promised = promised();
    let names: BTreeSet<String> = promised.iter().map(|(name, ..)| name.clone()).collect();
    assert_eq!(shown, names);
    assert_eq!(names.len(), promised.len(), "no name stands twice");
    for (name, kind, labels) in promised {
        let family = name.strip_suffix("_total").unwrap_or(&name);
        let typed = format!("# TYPE {family} {kind}\n");
        assert_eq!(text.matches(&typed).count(), 1, "{typed}");
        let labels: String = labels.iter().map(|label| format!("{label}=")).collect();
        let series = |line: &&str| {
            line.strip_prefix(&*name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        for line in text.lines().filter(series) {
            if name.ends_with("hears_us") {
                assert!(line.ends_with(" 1"), "{line}");
            }
            let found = line
                .split(['{', ',', '"'])
                .filter(|part| part.ends_with('='));
            assert_eq!(found.collect::<String>(), labels, "{line}");
        }
    }
}

#[tokio::test]
async fn counters_move_with_what_happens() {
    let nodes = pair().await;
    let before = scrape(&nodes[1]).await;
    for n in 0..3 {
        nodes[0].post("/messages", &json!({ "text": n })).await;
    }
    let received = || nodes[1].app.sync().peers()[0].received == 3;
    eventually("the other node has them", received).await;
    let after = scrape(&nodes[1]).await;
    let moved = |series: &str| after[series] - before[series];
    assert_eq!(moved("wingbeat_sync_released_total"), 3.0);
    assert_eq!(moved("wingbeat_sync_emitted_total"), 0.0);
    let peer = &nodes[1].app.sync().peers()[0];
    let labels = format!(r#"{{node="{}",name="node-0"}}"#, peer.node);
    assert_eq!(
        moved(&format!("wingbeat_sync_peer_received_total{labels}")),
        3.0
    );
    let last_heard = after[&format!("wingbeat_sync_peer_last_heard_seconds{labels}")];
    assert!((0.0..60.0).contains(&last_heard), "{last_heard}");
    assert_eq!(after[r#"wingbeat_sync_status{status="ready"}"#], 1.0);
    let statuses = after
        .iter()
        .filter(|(series, _)| name(series) == "wingbeat_sync_status");
    assert_eq!(statuses.map(|(_, value)| value).sum::<f64>(), 1.0);
}

#[tokio::test]
async fn a_lone_node_is_off_and_says_what_it_answers_with() {
    let node = Node::start(App::builder().service("messages", Memory::new())).await;
    let answer = node.get("/metrics").await;
    assert_eq!(
        answer.header("content-type").as_deref(),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
    );
    assert!(answer.text().ends_with("\n# EOF\n"));
    let shown = samples(&answer);
    assert_eq!(shown[r#"wingbeat_sync_status{status="off"}"#], 1.0);
    assert!(!answer.text().contains("wingbeat_sync_peer"));
    let head = node.send(Request::new("HEAD", "/metrics")).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = node.post("/metrics", &json!({})).await;
    assert_eq!(post.status, 404);
}

/// Anybody on the broker can choose a name for itself.
#[tokio::test]
async fn names_of_peers_can_not_break_the_text() {
    let broker = wingbeat_adapter::MemoryBroker::new();
    let builder = |name: &str| {
        let builder = App::builder().service("messages", Memory::new()).name(name);
        builder.sync(broker.clone())
    };
    let node = Node::start(builder("a")).await;
    let hostile = "x\"} 7\nwingbeat_connections 99\\";
    let other = Node::start(builder(hostile)).await;
    let is_known = || {
        let peers = node.app.sync().peers();
        peers.iter().any(|peer| &*peer.name == hostile)
    };
    eventually("the other one is known", is_known).await;
    let answer = node.get("/metrics").await;
    assert!(
        answer
            .text()
            .contains(r#"name="x\"} 7\nwingbeat_connections 99\\"}"#)
    );
    assert_eq!(samples(&answer)["wingbeat_connections"], 0.0);
    drop(other);
}

#[tokio::test]
async fn a_service_of_that_name_goes_first() {
    let node = Node::start(App::builder().service("metrics", Memory::new())).await;
    assert_eq!(node.get("/metrics").await.pair(), (200, json!([])));
}
