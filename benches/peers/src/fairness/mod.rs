//! What others wait for: answers beside events to very many, and events beside clients that do not read.

mod answers;
mod stalled;

use crate::Outcome;
use crate::figures::setting;
use crate::measure::Plan;

/// Measures and prints the parts that are named, or both.
pub(crate) fn main(names: &[&str]) -> Outcome<()> {
    let mut plan = Plan::from_env()?;
    plan.connections = setting("WINGBEAT_BENCH_CONNECTIONS", 10_000)?;
    let unknown = names
        .iter()
        .find(|name| !PARTS.iter().any(|part| part.0 == **name));
    if let Some(name) = unknown {
        return Err(format!("nobody waits for '{name}'").into());
    }
    for (name, measure) in PARTS {
        if names.is_empty() || names.contains(&name) {
            measure(&plan)?;
        }
    }
    Ok(())
}

type Part = (&'static str, fn(&Plan) -> Outcome<()>);

const PARTS: [Part; 2] = [("answers", answers::main), ("stalled", stalled::main)];
