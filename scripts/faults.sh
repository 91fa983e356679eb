#!/usr/bin/env bash
# Runs the whole matrix of faults over brokers: what scripts/test.sh runs of it, and what takes too long for that. Prints
# what each fault took. Every test starts its own broker; see scripts/test.sh for what has to be installed.
#
#   ./scripts/faults.sh              every fault over every broker
#   ./scripts/faults.sh rabbitmq     over one: redis, rabbitmq or nats
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

names=()
for module in outage outage::half_open outage::kills joining; do
    names+=("$module::${1:-}")
done
cargo test --all-features --test it -- --include-ignored --nocapture "${names[@]}"
