//! P6: who is who.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::super::{PeerStats, QuarantineReason, Status};
use super::super::plan::{Fault, Plan};
use super::super::world::{Node, Verdict, World};
use super::{holds, strategy};

/// A restart has the label of the one before, another id, and sequences that begin at 0 again. The promises hold for each id
/// by itself, so nothing of the old one is taken for the new one's, even where a frozen broker executes it later; and peers
/// show two rows.
#[test]
fn p6_a_restart_with_the_same_label_is_another_origin() {
    let plans = || {
        let restart = strategy::place().prop_map(|place| Fault::Restart { place });
        let restarts = vec(strategy::at(0..14_000, restart), 1..=3);
        let others = vec(strategy::at(0..12_000, strategy::fault()), 0..=3);
        strategy::with_faults(
            (restarts, others)
                .prop_map(|(restarts, others)| restarts.into_iter().chain(others).collect()),
        )
    };
    holds(plans, |plan| {
        let world = World::played(plan);
        world.check()?;
        let living = || world.nodes.iter().filter(|node| node.is_alive);
        for (node, peer) in living().flat_map(|node| living().map(move |peer| (node, peer))) {
            if node.id != peer.id {
                is_listed(node, peer)?;
            }
        }
        Ok(())
    });
}

/// Two processes with one id, which a copied memory or a bad source of randomness can make.
///
/// A third node cannot tell them apart: it hears one sequence, each number of it once and in order, from whichever of the two
/// it came first, and nothing but that. Each of the two takes the other's echoes for its own, so peers may lack events of
/// both; but their own clients hear each own event once, in order and in time. The one that emitted less hears numbers that it
/// never gave out, which is what shows the clone: it is counted, and another id is asked for. The shell of the model gives
/// none, to see how the two live on.
#[test]
fn p6_a_cloned_id_is_noticed_and_nothing_is_heard_twice() {
    let plans = || strategy::without_faults(strategy::bursts(16_000)).prop_map(cloned);
    holds(plans, |plan| {
        let world = World::played(plan);
        world.check()?;
        let [first, second] = [&world.nodes[0], &world.nodes[1]];
        let behind = if first.synced() < second.synced() {
            first
        } else {
            second
        };
        let is_noticed = behind
            .quarantined
            .contains(&QuarantineReason::ClonedIdentity)
            && behind.renames_asked > 0;
        if first.synced() != second.synced() && !is_noticed {
            return Err("cloned identity: not noticed".to_owned());
        }
        let is_ready = |node: &Node| node.core.status == Status::Ready;
        if world.nodes.iter().all(is_ready) {
            Ok(())
        } else {
            Err("cloned identity: not ready".to_owned())
        }
    });
}

/// The same under faults: nothing is promised about being noticed, all the rest is.
#[test]
fn p6_under_faults_a_cloned_id_lets_nothing_be_heard_twice() {
    holds(|| strategy::plan().prop_map(cloned), World::run);
}

fn cloned(plan: Plan) -> Plan {
    Plan {
        is_cloned: true,
        ..plan
    }
}

/// One row for the id, with its label and without anything missing.
fn is_listed(node: &Node, peer: &Node) -> Verdict {
    let is_right = |row: &PeerStats| {
        row.node == peer.id
            && *row.name == *format!("node-{}", peer.place)
            && row.next == peer.synced() as u64
    };
    let rows = node.core.peers();
    if rows.iter().filter(|row| is_right(row)).count() == 1 {
        Ok(())
    } else {
        Err(format!(
            "restart: {:?} has no row of {:?}: {rows:?}",
            node.id, peer.id
        ))
    }
}
