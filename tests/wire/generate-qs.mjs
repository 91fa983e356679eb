// Writes qs.json: query strings and what Express' own query parser, the real `qs`, makes of them.
//
//   (cd tests/interop && npm ci) && node tests/wire/generate-qs.mjs
//
// For a longer comparison, `node tests/wire/generate-qs.mjs 100000 7` prints that many pairs for that seed, one
// `["query","result as JSON text"]` a line, instead of writing the file.
import { writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

const fromInterop = createRequire(new URL('../interop/package.json', import.meta.url))
const { original: express } = fromInterop('@feathersjs/express')
const parse = express().get('query parser fn')

const repeat = (count, part) => Array.from({ length: count }, (_, index) => part(index)).join('&')

// One row for every rule that the protocol notes name.
const rules = [
  '', '&', 'a', 'a=', 'a=1&b=true&c=null&d=', 'a=1&a=2', 'a[]=1&a[]=2', 'a[0]=1&a[1]=2', 'a[1]=2&a[0]=1', 'a[]=1&a=2',
  'a[]=1', 'a[5]=x', 'a[]=', 'a[]', 'a[00]=x', 'a[-1]=x', 'a[1.5]=x', 'a[b]=1&a[c][d]=2',
  'a[b][c][d][e][f]=1', 'a[b][c][d][e][f][g]=1', 'a[b][c][d][e][f][g][h]=1', 'a[b][c][d][e][f]g[h]i=1',
  'a[$in][]=1&a[$in][]=2', 'a[$in]=1', 'a[$in]=1,2', '$or[0][a]=1&$or[1][b]=2', '$or[][a]=1&$or[][b]=2',
  '$sort[a]=-1', '$limit=1&$limit=2', '$select[]=a&$select[]=b',
  'a=1&a[b]=2', 'a[b]=2&a=1', 'a[]=1&a[b]=2', 'a.b=1', 'a;b=1', 'a=1;b=2',
  'a%5Bb%5D=1', 'a%5bb%5d=1', 'a=%5B%5D', 'a=%5B%ZZ', 'a%5B%255D=1', 'a=%20x+y', 'a+b=1', 'a=b=c', 'a=b]=c', 'a[b=c]=d',
  'a=%ZZ', 'a=%', 'a=%4', 'a=%41%', '=x', '&&a=1&', '=', '==', '[]=x', '[a]=x', 'a[=x', 'a]=x', 'a[b=x', 'a[b]c=x',
  'a[[b]]=x', '[=x', ']=x', '[[]b=x', '[]', '[][]=x', 'a[][]=x', 'a[][b]=1&a[][b]=2', 'a[0][]=x&a[][0]=y',
  '__proto__=x', '__proto__[a]=x', 'a[__proto__]=x', 'a[__proto__][b]=x&a[c]=y', 'a[b][__proto__][c]=x', 'a=1&a[__proto__]=x',
  'constructor=x', 'toString=1', 'a[hasOwnProperty]=1', 'hasOwnProperty[a]=1', 'toJSON=1&a[toJSON]=2', 'length=1&a[length]=2&a[]=3',
  'a[20]=x', 'a[999]=x', 'a[1000]=x', 'a[1000]=x&a=y', 'a=y&a[1000]=x', 'a[999]=x&a[1000]=y', 'a[1000]=x&a[b]=y&a=z',
  'a[0]=x&a[999]=y&a[]=z', 'a[999]=x&a=y', 'a[0]=x&a[999]=y&a[0]=z&a=w', 'a[][1000]=x&a[]=y',
  'b=1&2=x&a=2&1=y&01=z', 'a[b]=1&a[2]=2&a[1]=3', '4294967294=a&x=b&4294967295=c&1=d',
  'a[9007199254740992]=x&a=y', 'a[9007199254740993]=x&a=y', 'a[100000000000000000000]=x', 'a[1000000000000000000000]=x&a=y',
  'a[NaN]=x&a[1000]=y&a=z', 'a[-0]=x', 'a[1e3]=x', 'a[ 1]=x', 'a[+1]=x', '0=x', '[0]=x', '[1000]=x&[a]=y',
  'a=x&a=y&a[b]=z&a=&a=w', 'a[b]=1&a=2&a=3&a[c]=4&a=5', 'a[b]=1&[a]=2&a[5]=3&a=4', 'a=1&[a]=2', 'a=&a[b]=1', 'a[b]=1&a=',
  'a=%C3%A9', 'a=%c3%a9&b=%E2%82%AC&c=%F0%9F%98%80', 'a=\u00e9%C3%A9', 'a=%C3', 'a=%C3x', 'a=%A9', 'a=%C0%80', 'a=%ED%A0%80',
  'a=%F4%90%80%80', 'a=%C3%A9+%FF', '%FF=%41', 'a%00b=%00', '\u{1F600}=\u20ac', 'a=%EF%BB%BF', '\ufeffa=1', 'a=%26b=%3D', '?a=1', 'a=1#b',
  repeat(20, () => 'a[]='), repeat(21, () => 'a[]='), repeat(21, (i) => `a[${i}]=`), repeat(21, (i) => `$or[${i}]=x`),
  repeat(999, () => 'a=') + '&b=1&c=2', repeat(1001, () => 'a[]='), repeat(999, () => 'a[]=') + '&a=1', repeat(1100, () => '') + '&a=1'
]

// A small seeded generator (mulberry32), so that the file is the same on every machine.
const random = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0
  let bits = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
  return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
}

const names = ['a', 'a', 'a', 'b', '', '$or', '__proto__', 'constructor', 'hasOwnProperty', '0', '1', '7', '2.5', 'a.b', 'é', '%61', 'length']
const groups = ['', '', '0', '0', '1', '2', '3', '998', '999', '1000', '1001', '4294967294', '4294967295', '9007199254740991', '9007199254740992',
  '9007199254740993', '99999999999999999999', '999999999999999983222784', '01', '-1', '1.5', 'a', 'b', 'c', '$in', '$gt', '__proto__', 'constructor',
  'toString', 'hasOwnProperty', 'length', 'NaN', 'Infinity', '[', ']', '[x]', ' ', '+', '%30', '%5B', '%5D', '%5d0', '%E9', 'é', '.', 'a.b']
const values = ['', '', 'x', 'y', '1', '0', 'true', 'a=b', 'a]=b', '1,2', ';', '+', '%20', '%', '%4', '%GG', '%C3%A9', '%C3', '%C3%28', '%E2%82', '%E2%82%AC',
  '%F0%9F%98%80', '%ED%A0%80', '%C0%AF', '%5B', '%5D=', '%26', '%00', '%2B', '%25', '%2541', '[]', '[', '😀', 'hasOwnProperty', '__proto__']
const soup = ['a', 'b', '0', '1', '1000', '[', '[', '[', ']', ']', ']', '[]', '=', '=', '&', '&', '%', '%5B', '%5d', '%41', '%C3', '%A9', '+', '.', ';', '__proto__', '$']

const makeQueries = function * (seed) {
  const next = random(seed)
  const below = (limit) => Math.floor(next() * limit)
  const pick = (list) => list[below(list.length)]
  const times = (count, make) => Array.from({ length: count }, make)

  const group = (few) => {
    const text = `[${pick(few)}]`
    const how = next()
    if (how < 0.8) return text
    if (how < 0.9) return text.replace('[', '%5B').replace(']', '%5d')
    return how < 0.93 ? text.slice(1) : how < 0.96 ? text.slice(0, -1) : `${text}x`
  }
  const depth = () => (next() < 0.85 ? below(4) : below(9))
  const parameter = (name, few) => {
    const key = name() + times(depth(), () => group(few)).join('')
    return next() < 0.08 ? key : `${key}=${pick(values)}`
  }
  // Keys of a query come from few words: only then do they meet.
  const related = () => {
    const few = times(1 + below(5), () => pick(groups))
    const name = next() < 0.7 ? () => 'a' : () => pick(names)
    return times(1 + below(9), () => parameter(name, few)).join('&')
  }
  const anything = () => times(1 + below(6), () => parameter(() => pick(names), groups)).join('&')
  const noise = () => times(1 + below(24), () => pick(soup)).join('')
  // Lists that grow up to and over the limit.
  const crowd = () => {
    const parts = times(1 + below(6), () => parameter(() => 'a', ['', '0', '1', '997', '998', '999', '1000', 'b']))
    const many = pick(['a[]=', 'a=', 'a[]=x', 'a[0]=x', 'a[][]=x', 'a[][b]=x', 'a[b]=x'])
    parts.splice(below(parts.length + 1), 0, ...times(pick([3, 990, 997, 998, 999, 1000, 1001]), () => many))
    return parts.join('&')
  }

  for (;;) {
    const kind = next()
    if (kind < 0.55) yield related()
    else if (kind < 0.75) yield anything()
    else if (kind < 0.995) yield noise()
    else yield crowd()
  }
}

const [count, seed] = process.argv.slice(2).map(Number)
if (count) {
  let left = count
  for (const query of makeQueries(seed || 1)) {
    process.stdout.write(`${JSON.stringify([query, JSON.stringify(parse(query))])}\n`)
    if (--left === 0) break
  }
} else {
  const short = []
  for (const query of makeQueries(20)) {
    if (query.length < 300) short.push(query)
    if (short.length === 600) break
  }
  const queries = [...new Set([...rules, ...short])]
  const rows = queries.map((query) => JSON.stringify([query, parse(query)]))
  writeFileSync(fileURLToPath(new URL('qs.json', import.meta.url)), `[\n${rows.join(',\n')}\n]\n`)
}
