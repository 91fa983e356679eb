//! Another Redis takes over, and the nodes find it one by one.

use super::*;
use crate::support::eventually_in;
use crate::support::load::RECOVERY;
use crate::support::redis::cluster::Cluster;
use crate::support::redis::sentinel::{SERVICE, Sentinel, Watched};

/// A replica would show each node to those on the same server alone, so that nobody stays with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_demoted_and_promoted_again_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let (redis, other) = (RedisServer::start(), RedisServer::start());
    let load = Load::start(&Plan::default(), &vec![redis.uri(); 3]).await;
    warm_up().await;
    let mut trouble = load.trouble("REPLICAOF another server, then of no one", ALL);
    let port = other.port().to_string();
    redis.cli(&["replicaof", "127.0.0.1", &port]);
    trouble.felt().await;
    redis.cli(&["replicaof", "no", "one"]);
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_failover_from_a_dead_primary_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let mut watched = Watched::start();
    let load = Load::start(&Plan::default(), &vec![watched.uri(); 3]).await;
    warm_up().await;
    let mut trouble = load.trouble("Sentinel replaces a dead primary", ALL);
    watched.primary.kill();
    trouble.felt().await;
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

/// For some seconds both servers are primaries: whoever dials anew is on the new one, whoever has a link stays on the old
/// one, and all believe that they are ready. The old one ends as a replica.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sentinel_failover_that_splits_the_nodes_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let watched = Watched::start();
    let load = Load::start(&Plan::default(), &vec![watched.uri(); 3]).await;
    warm_up().await;
    let mut trouble = load.trouble("Sentinel replaces a living primary", ALL);
    let said = watched.sentinels[0].cli(&["sentinel", "failover", SERVICE]);
    assert_eq!(said.trim(), "OK");
    let new = watched.replica.port().to_string();
    eventually_in(RECOVERY, "the sentinels name the new primary", || {
        let knows = |sentinel: &Sentinel| {
            let named = sentinel.cli(&["sentinel", "get-master-addr-by-name", SERVICE]);
            named.lines().nth(1) == Some(new.as_str())
        };
        watched.sentinels.iter().all(knows)
    })
    .await;
    let of_b = client_id(&watched.primary, &["name=wingbeat:b", "sub=2"]);
    watched.primary.cli(&["client", "kill", "id", &of_b]);
    eventually_in(RECOVERY, "one node is alone on the new primary", || {
        (n_links(&watched.primary), n_links(&watched.replica)) == (2, 1)
    })
    .await;
    trouble.felt().await;
    trouble.over().await;
    assert_eq!(n_links(&watched.replica), 3);
    assert_eq!(load.finish().await, 0, "nothing is missing");
}

fn n_links(redis: &RedisServer) -> usize {
    redis.cli(&["client", "list"]).matches("sub=2 ").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_node_of_a_cluster_costs_no_event() {
    let _turn = turn(Size::Half).await;
    let mut cluster = Cluster::start();
    let owner = cluster.owner_of("feathers-sync");
    let replica = cluster.add_replica_of(owner);
    let load = Load::start(&Plan::default(), &vec![cluster.uri(); 3]).await;
    warm_up().await;
    let mut trouble = load.trouble("a cluster loses the server of the slot", ALL);
    cluster.servers[owner].kill();
    trouble.felt().await;
    let is_primary = || {
        let role = cluster.servers[replica].cli(&["role"]);
        role.starts_with("master")
    };
    eventually_in(RECOVERY, "the replica takes over", is_primary).await;
    trouble.over().await;
    assert_eq!(load.finish().await, 0, "nothing is missing");
}
