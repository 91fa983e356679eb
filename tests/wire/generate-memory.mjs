// Writes memory.json: queries, and calls, and what the real `@feathersjs/memory` answers.
//
//   (cd tests/interop && npm ci) && node tests/wire/generate-memory.mjs
//
// For a longer comparison, `node tests/wire/generate-memory.mjs 100000 7 > long.json` writes that many random queries for that
// seed, and `WINGBEAT_MEMORY_ROWS=long.json cargo test --lib the_real_adapter` reads them.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const fromInterop = createRequire(new URL('../interop/package.json', import.meta.url))
const { MemoryService } = fromInterop('@feathersjs/memory')

// ---------------------------------------------------------------- random values

// A small seeded generator (mulberry32), so that the file is the same on every machine.
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
  return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
}

const numbers = [0, 1, 2, 10, -1, 1.5, 9007199254740991]
const texts = ['', 'a', 'b', 'B', '1', '10', 'é', '\uffee', '\u{1F600}', 'null', 'true']
const scalars = [...numbers, ...texts, true, false]

// What both sides are to agree on. Left out: strings and the length of arrays seen as objects, as `name.length` and `name.0`
// find them in JavaScript, and relations of objects, which it compares as text.
const makers = (seed) => {
  const next = random(seed)
  const below = (limit) => Math.floor(next() * limit)
  const pick = (list) => list[below(list.length)]
  const list = (most, make) => Array.from({ length: below(most + 1) }, make)
  const object = (keys, make) => Object.fromEntries(list(2, () => [pick(keys), make()]))

  // A query that asks for what some record has finds something more often.
  const seen = []
  const value = (depth = 2) => {
    const made = anything(depth)
    seen.push(made)
    return made
  }
  const wanted = (depth) => (next() < 0.6 ? pick(seen) : anything(depth))
  const anything = (depth) => {
    const kind = next()
    if (depth === 0 || kind < 0.6) return pick(scalars)
    if (kind < 0.7) return null
    if (kind < 0.87) return list(3, () => value(depth - 1))
    return object(['k', 'm', 'z'], () => value(depth - 1))
  }
  // What has its place in an array, without strings.
  const element = () => pick([1, 2, null, { k: 1 }, { k: 'a' }, { k: [1, { k: 2 }] }, [1, 2], [{ k: 1 }], { 0: 1 }, {}])
  const sortable = () => pick([...scalars, [1], [1, 2], ['a'], [], { k: 1 }, { k: 2, m: 0 }, {}])

  const record = (id) => {
    const made = { id, o: { k: sortable() } }
    for (const name of ['a', 'b']) if (next() < 0.8) made[name] = value()
    if (next() < 0.8) made.l = list(3, element)
    if (next() < 0.8) made.s = sortable()
    made.n = below(4)
    return made
  }

  const path = () => pick(['a', 'a', 'b', 'a.k', 'b.k', 'a.k.m', 'l', 'l.k', 'l.0', 'l.1.k', 'l.5', 'l.k.k', 'o.k', 'n', 's', 'missing', 'missing.k'])
  const operator = () => {
    const kind = next()
    if (kind < 0.2) return ['$ne', wanted(2)]
    if (kind < 0.4) return [pick(['$in', '$nin']), next() < 0.85 ? list(3, () => wanted(1)) : pick(scalars)]
    return [pick(['$lt', '$lte', '$gt', '$gte']), pick(scalars)]
  }
  const test = () => (next() < 0.35 ? wanted(2) : Object.fromEntries([operator(), ...list(1, operator)]))
  const conditions = (depth) => {
    const made = Object.fromEntries(Array.from({ length: pick([0, 1, 1, 1, 2]) }, () => [path(), test()]))
    if (depth > 0 && next() < 0.3) made.$or = [conditions(depth - 1), ...list(2, () => conditions(depth - 1))]
    return made
  }
  const direction = () => pick([1, -1, '1', '-1', 0, 2, 'x', null, [1, 2]])
  const bound = () => pick([0, 1, 2, 5, '3', 1.9, '1e3', [1], [2, 3], -1, -5, 'abc', null, true, ' 4', '+2', '-', 100])
  const query = () => {
    const made = conditions(2)
    if (next() < 0.15) made.$and = [conditions(1), ...list(2, () => conditions(1))]
    if (next() < 0.5) made.$sort = Object.fromEntries([[pick(['s', 'n', 'o.k']), direction()], ...list(2, () => [pick(['s', 'n', 'o.k']), direction()])])
    if (next() < 0.2) made.$limit = bound()
    if (next() < 0.2) made.$skip = bound()
    if (next() < 0.1) made.$select = pick([['n'], ['s', 'id', 'n'], [], ['missing', 'o'], 'n', null, [1, 'n']])
    return made
  }
  const paginate = () => pick([false, false, { default: 2, max: 3 }, { default: 2 }, { max: 3 }, {}, { default: 0, max: 0 }, { default: 3, max: 0 }])
  return { record, query, paginate }
}

// ---------------------------------------------------------------- bad queries, and those with a quirk of their own

const rules = [
  { $foo: 1 }, { $limit: 1, $eq: 1 }, { a: { $eq: 1 } }, { a: { $exists: true } }, { a: { b: { $foo: 1, c: 2 } } }, { a: [{ $foo: 1 }] }, { a: { $in: [{ $foo: 1 }] } },
  { a: { $regex: '^a' } }, { a: { $not: { $gt: 1 } } }, { $nor: [{ a: 1 }] }, { $or: [{ a: { $foo: 1 } }] }, { $or: [{ $and: [{ a: 1 }] }] }, { $and: [{ $and: [{ a: 1 }] }] },
  { $and: [{ $or: [{ a: 1 }, { a: 'a' }] }] }, { $sort: { a: { $foo: 1 } } }, { $sort: { $foo: 1 } }, { $sort: [{ $foo: 1 }] }, { $select: { $foo: 1 } }, { $select: [{ $foo: 1 }] },
  { $foo: 1, $or: [{ $bar: 1 }] }, { a: { $foo: 1 }, $bar: 1 }, { a: { $foo: 1, message: 'm', errors: [1] } }, { 'a.$foo': 1 }, { a: { 'b$': 1 } },
  { $or: [] }, { $and: [] }, { $or: 'x' }, { $or: {} }, { $or: { a: 1 } }, { $and: 'x' }, { $or: null }, { a: { $or: [{ k: 1 }] } }, { a: { $gt: 1, k: 1 } }, { a: { $in: [{ $gt: 1 }] } },
  { a: { $nin: { $gt: 1 } } }, { $or: [{}] }, { $or: [null] }, { $or: ['x', 1] }, { $or: [[1]] }, { $or: [{ $ne: 5 }] }, { $or: [{ $gt: 5 }] }, { $or: [{ $in: [null] }] }, { $or: [{ $or: [{ n: 1 }] }] },
  { $sort: null }, { $sort: 'a' }, { $sort: [-1] }, { $sort: 1 }, { $select: null }, { $select: 'n' }, { $select: 'text' }, { $select: '' }, { $select: 0 }, { $select: 1 }, { $select: true },
  { $select: { a: 1 } }, { $select: [] }, { $select: ['n', 'n', 'id', 'o'] }, { a: {} }, { a: [] }, { a: null }, { a: { $ne: null } }, { a: { $in: [] } }, { a: { $nin: [] } }, { '': null }, { 'a.': 1 }, { '.': null }
]

// ---------------------------------------------------------------- calls on one store

const calls = [
  ['create', [{ text: 'one', n: 1 }]], ['create', [[{ text: 'two' }, { text: 'three', id: 0 }, { id: 'x', text: 'four' }, { id: 10 }, { id: '' }, { id: 7.5 }]]], ['create', [[]]],
  ['create', [{ text: 'picked', n: 2 }, { $select: ['n'] }]], ['create', [{ text: 'ignored' }, { $foo: 1, text: 'no' }]], ['create', [{ id: 'x', text: 'over' }]], ['find', [{}]],
  ['get', [0, {}]], ['get', ['0', {}]], ['get', ['x', { $select: ['text'] }]], ['get', [1, { text: 'one' }]], ['get', [1, { $limit: 0, $skip: 9, $sort: { a: 1 } }]], ['get', [99, {}]], ['get', ['00', {}]],
  ['get', [1, { $foo: 1 }]], ['update', [1, { text: 'new', id: 5 }, {}]], ['update', [1, { m: 1 }, { text: 'other' }]], ['update', [1, { text: 'new', m: 2 }, { text: 'new', $select: ['m'] }]],
  ['update', [null, { text: 'x' }, {}]], ['update', [1, [{ text: 'x' }], {}]], ['update', [null, {}, { $foo: 1 }]], ['update', [99, {}, {}]], ['patch', [1, { n: 5, id: 77 }, {}]],
  ['patch', [1, { text: 'patched' }, { text: 'new' }]], ['patch', [1, { n: 6 }, { text: 'new' }]], ['patch', [null, { seen: true }, { text: { $in: ['patched', 'over'] }, $limit: 1, $skip: 1, $sort: { id: -1 }, $select: ['seen'] }]],
  ['patch', [null, { seen: true }, { text: 'none' }]], ['patch', [null, { text: 'all' }, { text: 'patched' }]], ['patch', [99, {}, {}]], ['find', [{}]], ['remove', ['1', { $select: ['n'] }]], ['remove', [1, {}]],
  ['remove', ['x', { text: 'none' }]], ['remove', [null, { seen: true, $limit: 0 }]], ['remove', [null, { $foo: 1 }]], ['remove', [null, {}]], ['find', [{}]], ['create', [{ after: true }]]
]
const refused = [
  ['create', [[{ a: 1 }]]], ['create', [[]]], ['create', [{ a: 1 }]], ['patch', [null, { a: 1 }, {}]], ['patch', [null, { a: 1 }, { $foo: 1 }]], ['remove', [null, {}]], ['remove', [null, { $foo: 1 }]], ['find', [{}]]
]

// ---------------------------------------------------------------- asking

const outcome = async (call) => {
  try {
    return { result: await call() }
  } catch (error) {
    return { error: typeof error.toJSON === 'function' ? error.toJSON() : { message: error.message } }
  }
}

const answer = async (service, method, args) => {
  const params = { query: args.at(-1) }
  const inputs = args.slice(0, { find: 0, get: 1, create: 1, update: 2, patch: 2, remove: 1 }[method])
  return outcome(() => service[method](...inputs, inputs.length === args.length ? {} : params))
}

const played = async (service, session) => {
  const rows = []
  for (const [method, args] of session) rows.push([method, args, await answer(service, method, args)])
  return rows
}

const clone = (value) => JSON.parse(JSON.stringify(value))
const filled = (records) => new MemoryService({ store: Object.fromEntries(records.map((record) => [record.id, record])) })
const ids = (result) => (Array.isArray(result) ? result.map(({ id }) => id) : { ...result, data: ids(result.data) })

const main = async (count, seed) => {
  const make = makers(seed)
  const records = [3, 1, 2, 'b', 'a', 10, '07', ...Array.from({ length: 33 }, (_, index) => 20 + index)].map(make.record)
  const service = filled(clone(records))
  const queries = [...rules.map((query) => [query, false]), ...Array.from({ length: count }, () => [make.query(), make.paginate()])]
  const found = []
  for (const [query, paginate] of queries) {
    const answered = await outcome(() => service.find({ query: clone(query), paginate }))
    if (answered.result && !('$select' in query)) answered.result = ids(answered.result)
    found.push([query, paginate, answered])
  }
  const sessions = [
    [{ multi: true }, await played(new MemoryService({ multi: true }), calls)],
    [{ multi: ['create'] }, await played(new MemoryService({ multi: ['create'] }), refused)],
    [{ multi: false, id: 'key', startId: 5 }, await played(new MemoryService({ id: 'key', startId: 5 }), refused)]
  ]
  const lines = (rows) => `[\n${rows.map((row) => JSON.stringify(row)).join(',\n')}\n]`
  return `{"records":${lines(records)},\n"found":${lines(found)},\n"sessions":${lines(sessions)}}\n`
}

const [count, seed] = process.argv.slice(2).map(Number)
const text = await main(count || 400, seed || 20)
if (count) process.stdout.write(text)
else writeFileSync(fileURLToPath(new URL('memory.json', import.meta.url)), text)
