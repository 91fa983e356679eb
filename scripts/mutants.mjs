#!/usr/bin/env node
// Breaks the delivery core on purpose, one rule at a time, and wants its tests to notice.
//
//   node scripts/mutants.mjs            the mutants that the rules of delivery name: what CI runs
//   node scripts/mutants.mjs --all      all of them
//   node scripts/mutants.mjs high-water those whose name has the word
//
// The core is built alone, as a crate of its own under target/mutants, because the whole workspace would take twenty times as
// long for each. cargo-mutants makes mutants from syntax; these are made from the rules: each is the mistake that somebody
// could make while changing the code, and its pattern must still be found, so that the list does not rot.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const core = join(root, 'src/sync/delivery')
const crate = join(process.env.CARGO_TARGET_DIR ?? join(root, 'target'), 'mutants')
const word = process.argv[2]
const mutants = JSON.parse(readFileSync(join(root, 'scripts/mutants.json'), 'utf8'))
const chosen = mutants.filter((mutant) => word === '--all' || (word ? mutant.name.includes(word) : mutant.listed))

// The versions of the workspace, for the few dependencies that the core has.
function manifest () {
  const workspace = readFileSync(join(root, 'Cargo.toml'), 'utf8')
  const version = (name) => workspace.match(new RegExp(`^${name} = .*$`, 'm'))[0]
  return [
    '[package]', 'name = "mutants"', 'version = "0.0.0"', 'edition = "2024"', '[workspace]', '[dependencies]',
    version('data-encoding'), version('rand'), version('serde'), version('serde_json'), version('proptest'),
    `wingbeat-adapter = { path = ${JSON.stringify(join(root, 'adapters/contract'))} }`, ''
  ].join('\n')
}

function lay () {
  rmSync(join(crate, 'src'), { recursive: true, force: true })
  mkdirSync(join(crate, 'src'), { recursive: true })
  cpSync(core, join(crate, 'src/delivery'), { recursive: true })
  writeFileSync(join(crate, 'Cargo.toml'), manifest())
  writeFileSync(join(crate, 'src/lib.rs'), '#![allow(warnings)]\npub mod delivery;\n')
  cpSync(join(root, 'Cargo.lock'), join(crate, 'Cargo.lock'))
}

function change (mutant) {
  const path = join(crate, 'src/delivery', mutant.file)
  const text = readFileSync(path, 'utf8')
  const changed = text.replace(new RegExp(mutant.find), () => mutant.replace)
  if (changed === text) throw new Error(`${mutant.file} has no place for the mutant '${mutant.name}' any more`)
  writeFileSync(path, changed)
}

// A mistake shows in the first hundreds of schedules or not at all; thousands for each mutant would take hours.
const seeds = '300'
const cargo = (...args) => spawnSync('cargo', [...args, '--lib'], { cwd: crate, encoding: 'utf8', timeout: 300_000, env: { ...process.env, CARGO_TARGET_DIR: join(crate, 'target'), RUST_BACKTRACE: '0', WINGBEAT_SEEDS: seeds, PROPTEST_MAX_SHRINK_ITERS: '0' } })

// Alive, killed by its tests, or killed because they do not end.
function run () {
  const built = cargo('test', '--no-run')
  if (built.status !== 0) throw new Error(`it does not build:\n${built.stderr.slice(-2000)}`)
  const { status, stdout } = cargo('test')
  const failed = [...stdout.matchAll(/^test delivery::(?:tests::)?(\S+) \.\.\. FAILED/gm)].map(([, test]) => test)
  return { alive: status === 0, failed }
}

execFileSync('cargo', ['--version'], { stdio: 'ignore' })
lay()
if (!run().alive) throw new Error('the core fails its tests without any mutant')
const survivors = []
for (const mutant of chosen) {
  lay()
  change(mutant)
  const { alive, failed } = run()
  console.log(`${alive ? 'SURVIVED' : 'killed  '} ${mutant.name}${alive ? '' : ` (${failed.length ? failed.slice(0, 3).join(', ') : 'the tests do not end'})`}`)
  if (alive) survivors.push(mutant.name)
}
console.log(`${chosen.length - survivors.length} of ${chosen.length} mutants killed`)
process.exit(survivors.length || !chosen.length ? 1 : 0)
