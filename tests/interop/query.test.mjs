// Query strings mean what they mean to Express: its own parser and wingbeat's read 100,000 of them.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { describe, it } from 'node:test'

import { example } from './support.mjs'

const express = createRequire(import.meta.url)('express/lib/utils.js').compileQueryParser('extended')

const STRINGS = 100_000
const SEED = Number(process.env.WINGBEAT_QUERY_SEED ?? 1)

describe('the query strings of Express', () => {
  it(`are read alike, ${STRINGS} of seed ${SEED} and some long ones`, { timeout: 120_000 }, async () => {
    const random = mulberry32(SEED)
    const queries = [...Array.from({ length: STRINGS }, () => query(random)), ...long()]
    const lines = await parsed(queries)
    assert.equal(lines.length, queries.length)
    let nested = 0
    for (const [at, query] of queries.entries()) {
      const wanted = JSON.stringify(express(query))
      assert.equal(lines[at], wanted, `WINGBEAT_QUERY_SEED=${SEED}, query ${at}: ${query.slice(0, 500)}`)
      nested += /:[[{]/.test(wanted) ? 1 : 0
    }
    assert.ok(nested > STRINGS / 4, `only ${nested} have a list or an object in them`)
  })
})

/** What the example `queries` prints for each. */
async function parsed (queries) {
  const child = spawn(example('WINGBEAT_QUERIES', 'queries'), { stdio: ['pipe', 'pipe', 'inherit'] })
  child.stdin.end(queries.map((query) => `${query}\n`).join(''))
  return (await text(child.stdout)).split('\n').slice(0, -1)
}

const NAMES = ['a', 'b', 'c', '$or', '$limit', '$select', '0', '1', '2', '19', '20', '999', '1000', '00', '-1', '1.5', 'é', 'a.b',
  '__proto__', 'constructor', 'toString', 'hasOwnProperty', 'length', '']
const ODD = ['%5B', '%5D', '%5b', '%5d', '%', '%zz', '%41', '%C3%A9', '%C3', '%26', '%3D', '%00', '+', '%20', ' ', ';', '.', ',', '#', '"', '\\',
  '[', ']', '[]', '[[', ']]', '=', '==', '&', '&&', '][', ']=', '€', '😀', '\t']

/** Mostly as clients write them, sometimes as nobody would. */
function query (random) {
  const pick = (list) => list[Math.floor(random() * list.length)]
  const times = (n, make) => Array.from({ length: Math.floor(random() * (n + 1)) }, make).join('')
  const word = () => random() < 0.85 ? pick(NAMES) : times(3, () => pick([...NAMES, ...ODD]))
  const group = () => random() < 0.2 ? '[]' : `[${word()}]`
  const key = () => random() < 0.9 ? word() + times(random() < 0.1 ? 8 : 3, group) : times(6, () => pick([...NAMES, ...ODD]))
  const pair = () => random() < 0.9 ? `${key()}=${word()}` : key()
  return Array.from({ length: 1 + Math.floor(random() * 6) }, pair).join('&')
}

/** At the limits: of parameters, of list lengths, of depth. */
function long () {
  const many = (n, make) => Array.from({ length: n }, (_, at) => make(at)).join('&')
  return [20, 21, 22, 999, 1000, 1001, 1500].flatMap((n) => [
    many(n, () => 'a[]=x'), many(n, () => 'a=x'), many(n, (at) => `a[${at}]=x`), many(n, (at) => `a[${n - at}]=x`),
    many(n, (at) => `$or[${at}][b]=x`), many(n, (at) => `a${at}=x`), many(n, () => '&'), `a${'[b]'.repeat(n)}=x`, `${'['.repeat(n)}a=x`
  ])
}

function mulberry32 (seed) {
  return () => {
    seed = (seed + 0x6D2B79F5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
