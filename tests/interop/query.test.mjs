// Query strings and forms mean what they mean to Express: its own parser and wingbeat's read 100,000 queries, and servers of
// both get forms.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'

import { example, startFeathers, startFixture, stopStarted } from './support.mjs'

const express = createRequire(import.meta.url)('express/lib/utils.js').compileQueryParser('extended')

const STRINGS = 100_000
const FORMS = 3000
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

describe('the forms of Express', () => {
  let urls
  before(async () => { urls = (await Promise.all([startFeathers(), startFixture()])).map(({ url }) => url) })
  after(stopStarted)

  const read = async (url, body) => {
    const answer = await fetch(`${url}/echo`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body })
    return `${answer.status} ${await answer.text()}`
  }

  it(`are read alike, ${FORMS} of seed ${SEED} and those at the limits`, { timeout: 120_000 }, async () => {
    const random = mulberry32(SEED)
    const forms = [...Array.from({ length: FORMS }, () => form(random)), ...long(), ...limits()]
    const seen = { 201: 0, 500: 0 }
    for (const [at, form] of forms.entries()) {
      const [wanted, got] = await Promise.all(urls.map((url) => read(url, form)))
      assert.equal(got, wanted, `WINGBEAT_QUERY_SEED=${SEED}, form ${at}: ${form.slice(0, 500)}`)
      seen[wanted.slice(0, 3)]++
    }
    assert.ok(seen[201] > FORMS / 2 && seen[500] > 10, `taken and refused: ${JSON.stringify(seen)}`)
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

/** As query strings, and some with keys that are nearly too deep, or just so. */
function form (random) {
  const deep = () => `a${'[b]'.repeat(28 + Math.floor(random() * 8))}${random() < 0.3 ? '[' : ''}=x`
  return random() < 0.9 ? query(random) : [query(random), deep(), query(random)].join('&')
}

/** Where lists of forms become objects, by how many parameters there are. */
function limits () {
  const padded = (n) => '&b=x'.repeat(n)
  return [0, 1, 98, 99, 100, 101, 500].flatMap((n) => [99, 100, 101, 102, n, n + 1, n + 2].flatMap((index) => [
    `a[${index}]=x${padded(n)}`, `a[${index}]=x&a=y${padded(n)}`, `a[${index}]=x&a[]=y${padded(n)}`, `a=x&a[${index}]=y${padded(n)}`, `a[0]=x&a[${index}]=y&a[b]=z${padded(n)}`
  ])).concat(['\ufeffa=1', '\ufeff', ' a = 1 '])
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
