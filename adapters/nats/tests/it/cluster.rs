//! Several servers of one cluster: links at different ones meet, and the next one is taken when one is gone.

use super::*;
use crate::nats_server::free_port;

struct Cluster([NatsServer; 2]);

impl Cluster {
    /// Starts two servers and waits until they have met.
    async fn start() -> Self {
        let ports = [free_port(), free_port()];
        let settings = |own: usize, other: usize| {
            format!(
                "server_name: s{own}\n\
                 cluster {{ name: c, listen: \"127.0.0.1:{}\", routes: [ \"nats://127.0.0.1:{}\" ] }}",
                ports[own], ports[other]
            )
        };
        let one = NatsServer::start_with(&settings(0, 1));
        let two = NatsServer::start_with(&settings(1, 0));
        let cluster = Self([one, two]);
        for server in &cluster.0 {
            until("the servers have met", || {
                server.ask("/routez").contains("\"rid\":")
            })
            .await;
        }
        cluster
    }

    /// The URI of both, one of them first.
    fn uri(&self, first: usize) -> String {
        let [first, second] = [&self.0[first], &self.0[1 - first]];
        format!("{},127.0.0.1:{}", first.uri(), second.port())
    }
}

/// A subscription takes a moment to be known at the other server, which no confirmation waits for.
async fn meet(one: &mut Link, two: &mut Link) {
    for lane in [Lane::Events, Lane::Control] {
        reach(one, two, lane).await;
        reach(two, one, lane).await;
    }
}

/// Speaks until it is heard.
async fn reach(speaker: &mut Link, listener: &mut Link, lane: Lane) {
    let start = Instant::now();
    for attempt in 1.. {
        let word = format!("hello {attempt}");
        publish(speaker, lane, &[&word]).await;
        expect(&mut speaker.inbound, lane, &[&word]).await;
        let hearing = hear(&mut listener.inbound, &word);
        if timeout(Duration::from_millis(500), hearing).await.is_ok() {
            let took = start.elapsed();
            println!("heard at the other server at attempt {attempt}, after {took:?}");
            return;
        }
        assert!(start.elapsed() < MEETING, "links do not meet");
    }
}

async fn hear(inbound: &mut Inbound, word: &str) {
    while next(inbound).await.1 != word {}
}

#[tokio::test]
async fn links_at_two_servers_of_a_cluster_hear_each_other_in_order() {
    let cluster = Cluster::start().await;
    let mut one = open_at(&cluster.uri(0)).await;
    let mut two = open_at(&cluster.uri(1)).await;
    for server in &cluster.0 {
        assert!(server.holdings() > 0, "each has one");
    }
    meet(&mut one, &mut two).await;
    let payloads: Vec<String> = (0..500).map(|n| n.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    publish(&mut one, Lane::Events, &payloads).await;
    expect(&mut one.inbound, Lane::Events, &payloads).await;
    expect(&mut two.inbound, Lane::Events, &payloads).await;
}

#[tokio::test]
async fn when_a_server_is_killed_the_next_connect_finds_the_other_one() {
    let mut cluster = Cluster::start().await;
    let uri = cluster.uri(0);
    let mut link = open_at(&uri).await;
    let mut other = open_at(&cluster.uri(1)).await;
    meet(&mut link, &mut other).await;
    let start = Instant::now();
    cluster.0[0].kill();
    expect_over(&mut link).await;
    let mut again = open_at(&uri).await;
    println!(
        "a link was open at the other server after {:?}",
        start.elapsed()
    );
    expect_joined(&mut again, &mut other).await;
}

/// The frozen one has its share of the time and no more.
#[tokio::test]
async fn a_frozen_server_does_not_keep_a_link_from_the_next_one() {
    let cluster = Cluster::start().await;
    cluster.0[0].freeze();
    let start = Instant::now();
    let mut link = open_at(&cluster.uri(0)).await;
    println!("past a frozen server in {:?}", start.elapsed());
    publish(&mut link, Lane::Events, &["a"]).await;
    expect(&mut link.inbound, Lane::Events, &["a"]).await;
    cluster.0[0].thaw();
}
