#!/usr/bin/env bash
# Runs every test of the project: Rust unit, integration, conformance and documentation tests, then the real Feathers
# clients, feathers-sync processes and the browser of tests/interop.
#
# On Debian and Ubuntu it first installs what is missing (as root, or through sudo). Nothing is asked. The tests start
# their own Redis, RabbitMQ, NATS, PostgreSQL and nginx on free ports; those of the machine are neither needed nor touched.
# (Debian's packages of RabbitMQ and nginx start one when they are installed.)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# step NAME COMMAND…: one line on success, all of the command's output on failure.
step() {
    local name=$1 log="$logs/${1// /-}.log" started=$SECONDS
    shift
    if "$@" >"$log" 2>&1 </dev/null; then
        echo "ok      $name ($((SECONDS - started)) s)"
    else
        cat "$log"
        echo "FAILED  $name: $*"
        exit 1
    fi
}

fail() {
    echo "FAILED  $*"
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_packages() {
    has apt-get || { echo "no apt-get here: please install by hand: $*"; return 1; }
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# The same places as in tests/interop/support.mjs.
has_browser() {
    local path
    for path in "${WINGBEAT_CHROMIUM:-}" /usr/bin/chromium /usr/bin/google-chrome /usr/bin/google-chrome-stable /snap/bin/chromium; do
        if [ -n "$path" ] && [ -x "$path" ]; then return 0; fi
    done
    return 1
}

# Debian keeps the server's programs out of PATH; the same places as in tests/it/support/postgres.rs.
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || has initdb; }

# Debian keeps this one out of the PATH of those who are not root; the same places as in tests/it/support/nats.rs.
has_nats() { has nats-server || [ -x /usr/sbin/nats-server ] || [ -x /usr/local/sbin/nats-server ]; }
# The same for this one; the same place as in tests/interop/nginx.mjs.
has_nginx() { has nginx || [ -x /usr/sbin/nginx ]; }
# Debian's wrapper in PATH is not what the tests start; the same place as in tests/it/support/rabbitmq.rs.
has_rabbitmq() { [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || has rabbitmq-server; }

install_missing() {
    local missing=()
    has cc || missing+=(gcc libc6-dev)
    has curl || missing+=(curl)
    has openssl || missing+=(openssl)
    has redis-server || missing+=(redis-server)
    has_nats || missing+=(nats-server)
    has_rabbitmq || missing+=(rabbitmq-server)
    has_postgres || missing+=(postgresql)
    has_nginx || missing+=(nginx)
    has node || missing+=(nodejs)
    has npm || missing+=(npm)
    has_browser || missing+=(chromium)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ ${#missing[@]} -eq 0 ] || step "install ${missing[*]}" install_packages "${missing[@]}"

    has_browser || fail "no browser: install Chromium or Chrome and set WINGBEAT_CHROMIUM to its path"
    node -e 'const [a, b] = process.versions.node.split("."); process.exit(+a > 18 || (+a === 18 && +b >= 19) ? 0 : 1)' ||
        fail "node $(node --version) is too old: 18.19 or newer is needed"
}

# The installed modules carry a copy of the lock file that they were installed from.
install_node_modules() (
    cd tests/interop
    if ! cmp -s package-lock.json node_modules/.installed-lock.json; then
        npm ci --no-audit --no-fund --loglevel=error &&
            cp package-lock.json node_modules/.installed-lock.json
    fi
)

find_cargo() {
    if ! has cargo && [ -f "$HOME/.cargo/env" ]; then
        # shellcheck source=/dev/null
        . "$HOME/.cargo/env"
    fi
    has cargo || fail "no cargo: install Rust first"
}

# sum LOG PATTERN: adds up the number in every match of PATTERN.
sum() { { grep -oE "$2" "$1" || true; } | awk '{ gsub(/[^0-9]/, ""); total += $0 } END { print total + 0 }'; }

find_cargo
install_missing
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
export CARGO_TARGET_DIR="$target"
export WINGBEAT_FIXTURE="${WINGBEAT_FIXTURE:-$target/debug/examples/fixture}"
export WINGBEAT_CHAT="${WINGBEAT_CHAT:-$target/debug/examples/chat}"
export WINGBEAT_TODOS="${WINGBEAT_TODOS:-$target/debug/examples/todos_after}"
export WINGBEAT_QUERIES="${WINGBEAT_QUERIES:-$target/debug/examples/queries}"

step "node modules" install_node_modules
step "cargo build" cargo build --workspace --all-features --examples
# A workspace of its own, with tests of its own: what it includes of the others must compile there.
step "bench of peers" cargo test --locked --manifest-path benches/peers/Cargo.toml
# The tests of the guide run it; built by them, it would slow the others down.
step "project of the guide" node tests/interop/guide.mjs
# Random schedules for each property of the delivery core; without this, tests run 2,000.
export WINGBEAT_SEEDS="${WINGBEAT_SEEDS:-10000}"
step "cargo test" cargo test --workspace --all-features --no-fail-fast
# Every wait in there is bounded; the limit is for what nobody thought of.
step "interop" timeout --kill-after=10 900 npm --prefix tests/interop --silent test

step "mutants" node scripts/mutants.mjs

rust=$(sum "$logs/cargo-test.log" '^test result: ok\. [0-9]+ passed')
interop=$(sum "$logs/interop.log" ' pass [0-9]+$')
if [ "$rust" -eq 0 ] || [ "$interop" -eq 0 ]; then fail "no tests ran: rust $rust, interop $interop"; fi
grep -E 'ms from submit|events to [0-9]+ clients' "$logs/interop.log" | sed 's/^[^A-Za-z0-9]*/        /' || true
echo "all tests passed: rust $rust, interop $interop, $(tail -n 1 "$logs/mutants.log")"
