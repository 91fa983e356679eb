// Requests as clients make them, and as nobody would: of a seed, any number of them.
import { deflateSync, gzipSync } from 'node:zlib'

/** Random numbers of a seed (mulberry32). */
export const randomOf = (seed) => () => {
  seed = (seed + 0x6D2B79F5) | 0
  let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

export const rest = (verb, path, body, headers = {}) => ({
  kind: 'rest', verb, path, body, headers: body === undefined || headers['content-type'] ? headers : { 'content-type': 'application/json', ...headers }
})
/** A `POST` whose body `write` has compressed. */
export const compressed = (text, write, coding, type = 'application/json') => rest('POST', '/echo', write(text), { 'content-type': type, 'content-encoding': coding })
export const socket = (...args) => ({ kind: 'socket', args, hasAck: true })

const VERBS = ['GET', 'GET', 'GET', 'GET', 'POST', 'POST', 'POST', 'PUT', 'PATCH', 'DELETE', 'HEAD']
const ODD_VERBS = ['OPTIONS', 'PROPFIND', 'TRACE', 'REPORT', 'MKCOL', 'PURGE', 'SEARCH', 'LINK', 'M-SEARCH']
const SERVICES = [
  'echo', 'echo', 'messages', 'messages', 'paged', 'paged', 'todos', 'returns', 'errs', 'http', 'ev', 'getonly', 'org/7/items',
  'org/a%20b/items', 'a/1/b/2', ''
]
const UNKNOWN = [
  'nope', 'no/such', 'echo/1/2', 'Echo', 'org/7', 'org', 'org/items', 'a/1/b', 'a//b/', 'org//items', 'messages/created/1',
  'constructor', '__proto__', '__proto__/1', 'toString/x', '*/1', ':orgId/1', 'org/:orgId/items'
]
const IDS = [
  '0', '1', '2', '3', '99', '-1', '1.0', '01', '1e0', 'a%20b', 'a+b', '%C3%A9', '%', '%zz', '%2F', '%2e', '%00', 'a;b', 'a:b', "a'b",
  'a,b', '~', 'null', 'undefined', 'NaN', 'true', '__proto__', 'constructor', '[1]', '{a}', 'a|b', '%7B%22a%22%3A1%7D', '$or'
]
const VALUES = ['null', 'zero', 'one', 'false', 'true', 'empty', 'string', 'array', 'object', 'list', 'other']
const FAILURES = [
  'plain', 'data', 'dataonly', 'array', 'errorsonly', 'emptydata', 'nomessage', 'BadRequest', 'NotAuthenticated', 'PaymentError',
  'Forbidden', 'NotFound', 'MethodNotAllowed', 'NotAcceptable', 'Timeout', 'Conflict', 'Gone', 'LengthRequired', 'Unprocessable',
  'TooManyRequests', 'GeneralError', 'NotImplemented', 'BadGateway', 'Unavailable', 'fine'
]
const NAMED = [
  'custom', 'ping', 'boom', 'fire', 'customMethod', 'hidden', 'create', 'get', 'find', 'Custom', '', ' custom', 'constructor',
  'toString', 'emit', 'setup', 'nope'
]
const TYPES = [
  'application/json', 'application/json', 'application/json; charset=utf-8', 'APPLICATION/JSON', 'application/json;charset="UTF-8"',
  'application/x-www-form-urlencoded', 'text/plain', 'text/html', 'application/vnd.api+json', 'multipart/form-data',
  'application/octet-stream', 'json', '', '*/*', 'application/json; charset=latin1'
]
const ACCEPTS = ['application/json', '*/*', 'text/html', 'application/xml', 'text/html, application/json;q=0.5']
const BAD_JSON = [
  '', ' ', '{', '[', '{"a":', '[1,]', '{"a":1,}', '{a:1}', '42', '"x"', 'null', 'true', '{"a":1} x', '[1 2]', '"', '\u0000',
  '{"a":"\n"}', '{"a":"\\x"}', '\ufeff{"a":1}', '{"a":01}', '[-', '{"a":-}', '[1.', '{"a":1e}', '[1', '{"a"', '{"a":1', '{"a":.5}',
  '{"a":1e999}', '{"a":-0}', '{"a":1.0}', '{"a":12345678901234567890}', '{"a":NaN}', "{'a':1}", '{"a":1,"a":2}',
  '{"__proto__":{"b":1}}', '{"constructor":1}', '{"é":"😀\\ud83d\\ude00"}', '{"":""}', '{"2":0,"1":0,"b":0,"-1":0}', '[]', '[[]]',
  '[null]', '[1]', '["x",{"a":1}]', '{"toString":1}'
]
const FORMS = ['a=1&b=2', 'text=x', 'a[b]=1&a[c][]=2', '', 'a', '=', '&', 'text=%C3%A9+x', '{"a":1}', 'v=zero', 'a=%zz']
const NAMES = ['text', 'n', 'a', 'done', 'tags', 'at.x', 'missing', 'é']
const PARTS = [
  'text=x', 'n=1', 'a=1', 'id=1', 'a[]=1', 'a[b]=1', 'a=1&a=2', 'x', '=', '&&', 'a=%zz', 'a=%20+', 'é=1', '%C3%A9=1', '__proto__[a]=1',
  'a[0]=1', 'a[5]=1', 'v=zero', 'v=list', 'v=null', 'toString=1'
]
const STORE_PARTS = [
  '$limit=1', '$limit=0', '$limit=5', '$skip=1', '$sort[n]=1', '$sort[n]=-1', '$sort[text]=1', '$select[]=text',
  '$select[]=n&$select[]=text', 'text[$in][]=x&text[$in][]=y', 'text[$nin][]=x', 'text[$ne]=x', 'text[$gt]=a', 'text[$lte]=x',
  '$or[0][text]=x&$or[1][text]=y', '$and[0][text]=x', 'text=x', 'id=1', '$foo=1', 'text[$foo]=1', 'text[$regex]=x'
]
const CALLED = ['find', 'get', 'create', 'update', 'patch', 'remove']
const CUSTOM = { echo: ['custom'], messages: ['ping', 'boom'], todos: ['customMethod'], ev: ['fire'], returns: ['custom'] }
const PATHS = [
  'echo', 'echo', 'messages', 'messages', 'paged', 'todos', 'returns', 'ev', 'errs', 'http', 'getonly', 'org/7/items', 'a/1/b/2'
]
const ODD_PATHS = [
  '/echo/', '//echo', 'echo/77', 'echo//', 'Echo', 'nope/1', 'no/such/1', '', '/', 'org/:orgId/items', 'org//items', 'constructor',
  '__proto__', 'toString', 'a/b/c/d/e', ' echo', 'echo ', 'echo/1/2', 'é/1', null, 5, true, {}, [], ['echo'], { toString: 'echo' }
]
const TEXTS = ['x', 'y', 'zebra', 'é😀', '', 'a b']

/** `count` requests, in the order in which they are to be made. */
export const requests = (random, count) => {
  const from = generator(random)
  return Array.from({ length: count }, () => random() < 0.55 ? from.rest() : from.socket())
}

const generator = (random) => {
  const chance = (share) => random() < share
  const pick = (list) => list[Math.floor(random() * list.length)]
  const some = (most, make) => Array.from({ length: Math.floor(random() * (most + 1)) }, make)

  // -------------------------------------------------------------- data

  const scalar = () => pick([...TEXTS, 0, 1, 2, -1, 1.5, 1e21, 1e-7, true, false, null])
  const value = (depth = 2) => chance(0.7) || depth === 0 ? scalar() : chance(0.5) ? some(3, () => value(depth - 1)) : object(depth - 1)
  const object = (depth = 1) => Object.fromEntries(some(4, () => [pick(NAMES), value(depth)]))
  // A list as the id of a record is its text to JavaScript, and found by that.
  const record = () => ({ ...(chance(0.1) && { id: pick([1, 5, '2', 'x']) }), text: pick(TEXTS), n: Math.floor(random() * 5), ...(chance(0.3) && object()) })
  const fire = () => ({ event: pick(['custom', 'custom', 'created', 'nope']), payload: value() })
  const data = (service) => {
    if (service === 'ev' && chance(0.5)) return fire()
    if (service === 'returns') return { v: pick(VALUES) }
    const one = () => chance(0.8) ? record() : object()
    return chance(0.15) ? some(3, one) : one()
  }

  // -------------------------------------------------------------- REST

  const path = () => {
    const service = chance(0.85) ? pick(SERVICES) : pick(UNKNOWN)
    const name = service === 'returns' ? pick(VALUES) : service === 'errs' ? pick(FAILURES) : pick(IDS)
    const id = chance(0.6) ? `/${chance(0.85) ? name : pick(IDS)}` : ''
    const [head, tail] = chance(0.85) ? ['/', ''] : [pick(['/', '//', '///']), pick(['', '/', '//'])]
    return { service, path: `${head}${service}${id}${tail}` }
  }
  const query = (service) => {
    if (chance(0.5)) return ''
    const special = service === 'http' ? ['status=202', 'status=204', 'header=1', 'location=%2Fa%20b%22%3C%C3%A9%25zz', 'location=http%3A%2F%2Fx%2F%25C3%25A9', 'dispatch=1']
      : service === 'ev' ? ['noevent=1', 'rename=updated', 'rename=custom', 'dispatch=1']
        : service === 'todos' || service === '' ? ['error=1', 'feathersError=1', 'noContent=1'] : STORE_PARTS
    return `?${some(3, () => encode(chance(0.6) ? pick(special) : pick(PARTS))).join('&')}`
  }
  const encode = (part) => chance(0.5) ? part.replaceAll('[', '%5B').replaceAll(']', '%5D').replaceAll('é', '%C3%A9') : part.replaceAll('é', '%c3%a9')
  const body = (service) => {
    if (chance(0.7)) return [JSON.stringify(data(service)), 'application/json']
    const type = pick(TYPES)
    return [/form-url/.test(type) ? pick(FORMS) : chance(0.5) ? pick(BAD_JSON) : JSON.stringify(data(service)), type]
  }
  const coding = () => chance(0.9) ? {} : { 'content-encoding': pick(['gzip', 'gzip', 'deflate', 'deflate', 'identity', 'br', 'zip', '']) }
  const coded = (text, { 'content-encoding': coding }) => (text && { gzip: gzipSync, deflate: deflateSync }[coding]?.(text)) ?? text
  const restRequest = () => {
    const { service, path: called } = path()
    const verb = chance(0.95) ? pick(VERBS) : pick(ODD_VERBS)
    const takesBody = ['POST', 'PUT', 'PATCH'].includes(verb)
    const hasBody = takesBody ? chance(0.9) : verb !== 'TRACE' && chance(0.05)
    const [text, type] = hasBody ? body(service) : []
    const how = hasBody ? coding() : {}
    const headers = {
      ...(type && { 'content-type': type }), ...how,
      ...(chance(verb === 'POST' ? 0.3 : 0.05) && { 'x-service-method': pick(NAMED) }),
      ...(chance(0.15) && { accept: pick(ACCEPTS) })
    }
    return { kind: 'rest', verb, path: called + query(service), headers, body: coded(text, how) }
  }

  // -------------------------------------------------------------- Socket.IO

  const id = (service) => chance(0.1) ? pick([null, '', true, [], {}, 1.5, -0, '__proto__']) : service === 'returns' ? pick(VALUES) : service === 'errs' ? pick(FAILURES) : pick([0, 1, 2, 3, '1', '2', 99, 'a b'])
  const condition = () => pick([
    { text: pick(TEXTS) }, { n: { $gt: 1 } }, { n: { $lte: 2, $ne: 0 } }, { text: { $in: ['x', 'y'] } }, { n: { $nin: [1, 2] } }, { $or: [{ n: 1 }, { text: 'x' }] },
    { $and: [{ n: { $gte: 1 } }, { text: { $ne: 'y' } }] }, { n: null }, { missing: null }, { $limit: 1 }, { $limit: 2, $skip: 1 }, { $sort: { n: -1, id: 1 } }, { $sort: { text: 1, id: 1 } },
    { $select: ['text'] }, { $select: ['n', 'missing'] }, { $foo: 1 }, { text: { $foo: 1 } }, { text: { $in: 'x' } }, { $limit: '1' }, { id: 1 }, { id: '1' }, { tags: [] }, { text: true }, {}
  ])
  const socketQuery = (service) => chance(0.1) ? pick([null, 5, 'abc', true, [1, 2], [], '']) : service === 'ev' && chance(0.5) ? { [pick(['noevent', 'dispatch'])]: 1 } : chance(0.2) ? object() : condition()
  const argumentsOf = (method, service, isPlain) => {
    const takesId = ['get', 'update', 'patch', 'remove'].includes(method)
    const takesData = !['find', 'get', 'remove'].includes(method)
    const full = [...(takesId ? [id(service)] : []), ...(takesData ? [chance(0.9) ? data(service) : value()] : []), socketQuery(service)]
    if (isPlain) return full
    return chance(0.5) ? full.slice(0, Math.floor(random() * full.length)) : [...full, ...some(2, () => value())]
  }
  const socketRequest = () => {
    const isOdd = chance(0.1)
    const service = isOdd ? pick(ODD_PATHS) : pick(PATHS)
    const method = chance(0.05) ? pick(NAMED) : pick([...CALLED, ...(isOdd ? [] : CUSTOM[service] ?? [])])
    const isPlain = chance(0.8)
    const args = chance(0.01) ? [method] : [method, service, ...argumentsOf(method, service, isPlain)]
    return { kind: 'socket', args, hasAck: true }
  }

  /** What is wrong with a call that wants no answer nobody would see. */
  const unanswered = () => ({ kind: 'socket', args: pick([['create', 'messages', record(), {}], ['patch', 'ev', null, record(), {}], ['remove', 'messages', 1], ['find', 'echo'], ['nope', 'echo']]), hasAck: false })

  return { rest: restRequest, socket: () => chance(0.05) ? unanswered() : socketRequest() }
}
