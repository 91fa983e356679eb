// What clients of Engine.IO and Socket.IO send below Feathers, and what nobody would: of a seed, any number of visits.
//
// A visit is the steps of one client; `differential-visitor.mjs` says what each does.
import { createRequire } from 'node:module'

const engine = createRequire(createRequire(import.meta.url).resolve('engine.io'))
export const WebSocket = engine('ws')

export const PATH = '/socket.io/'
export const POLLING = '?EIO=4&transport=polling'
export const WEBSOCKET = '?EIO=4&transport=websocket'

// ---------------------------------------------------------------- steps

export const request = (method, path, headers = {}, body) => ({ step: 'request', method, path, headers, body })
export const open = (query = POLLING, headers = {}) => request('GET', PATH + query, headers)
export const post = (body, headers = { 'content-type': 'text/plain;charset=UTF-8' }) => request('POST', `${PATH}${POLLING}&sid=$sid`, headers, body)
/** Waits for packets. */
export const fetched = () => ({ step: 'fetch' })
/** Begins to wait for packets. */
export const poll = () => ({ step: 'poll' })
export const websocket = (query = WEBSOCKET, headers = {}) => ({ step: 'websocket', path: PATH + query, headers })
export const probing = () => websocket(`${WEBSOCKET}&sid=$sid`)
export const text = (message) => ({ step: 'send', message })
/** Waits for the next frame of the websocket. */
export const hear = () => ({ step: 'hear' })
export const binary = (...bytes) => ({ step: 'send', bytes })
export const close = (code) => ({ step: 'close', code })
/** One websocket frame as bytes. */
export const frame = (data, { fin = true, rsv1 = false, opcode = 1, mask = true } = {}) => ({
  step: 'raw', bytes: [...Buffer.concat(WebSocket.Sender.frame(Buffer.from(data), { fin, rsv1, opcode, mask, readOnly: false }))]
})
export const connected = [websocket(), hear(), text('40'), hear()]
export const polled = [open(), post('40'), fetched()]

// ---------------------------------------------------------------- what is sent

const METHODS = ['GET', 'GET', 'GET', 'GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD']
const PATHS = [PATH, PATH, PATH, PATH, PATH, '/socket.io/x', '/socket.io//', '/socket.io/?', '/Socket.io/', '/socket.iox']
const EIO = ['EIO=4', 'EIO=4', 'EIO=4', 'EIO=4', 'EIO=3', 'EIO=5', 'EIO=', 'EIO', 'EIO=04', 'EIO=%34', 'EIO=4.0', 'EIO=+4', 'eio=4', 'EIO[]=4', 'EIO=3&EIO=4', 'EIO=4&EIO=3', '']
const TRANSPORT = [
  'transport=polling', 'transport=polling', 'transport=polling', 'transport=websocket', 'transport=websocket', 'transport=webtransport', 'transport=', 'transport', 'transport=Polling',
  'transport=pollin%67', 'transport=polling+', 'transport=constructor', 'transport=__proto__', 'transport[]=polling', 'transport=polling&transport=websocket', 'transport=websocket&transport=polling', ''
]
const SID = ['', '', '', '', 'sid=', 'sid=x', 'sid=AAAAAAAAAAAAAAAAAAAA', 'sid=__proto__', 'sid=constructor', 'sid=toString', 'sid[]=x', 'sid=x&sid=', 'sid=&sid=x', 'sid=%00', 'sid=%C3%A9']
const EXTRA = ['', '', '', 't=abc', 'b64=1', 'j=0', 'a[b]=1', '%zz', '&&', '__proto__=1', 'x=%C3%A9', `x=${'y'.repeat(2000)}`]
const HEADERS = [
  {}, {}, {}, { origin: 'http://other.test' }, { cookie: 'a=b' }, { origin: 'null', 'content-type': 'text/plain' }, { 'accept-encoding': 'gzip' },
  { 'user-agent': ';MSIE 9' }, { 'access-control-request-method': 'GET', origin: 'http://other.test' }
]
const KEY = 'AAAAAAAAAAAAAAAAAAAAAA=='
const UPGRADE = { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': KEY }
const UPGRADES = [
  {}, {}, {}, { connection: 'keep-alive, upgrade' }, { upgrade: 'WebSocket' }, { 'sec-websocket-version': '12' }, { 'sec-websocket-version': undefined }, { 'sec-websocket-key': undefined },
  { 'sec-websocket-key': 'short==' }, { 'sec-websocket-key': '' }, { upgrade: 'h2c' }, { 'sec-websocket-protocol': 'one, two' }, { 'sec-websocket-extensions': 'permessage-deflate' }
]
/** A request as `upgrade` makes it, with other headers. */
export const upgrading = (query = WEBSOCKET, headers = {}, method = 'GET', path = PATH) => {
  const all = Object.entries({ ...UPGRADE, ...headers }).filter(([, value]) => value !== undefined)
  return request(method, path + query, Object.fromEntries(all))
}

const ENGINE = ['', '0', '0{}', '2', '2probe', '3', '3probe', '33', '4', '5', '6', '6x', '7', '9', 'x', 'é', 'b', 'bAQID', 'bAQ', 'b?', 'b=', ' 40', '\u0000', '\u001e', '4\u001e', '+4']
const CONNECT = [
  '40', '40', '40', '40', '40{}', '40{"token":"x"}', '40/', '40/,', '40/,{}', '405', '40[]', '40null', '40"x"', '40{', '40/foo', '40/foo,', '40/foo,{"token":"x"}', '40/a/b,7{}', '40/foo,[]',
  '40/FOO,', '40/?a=b,', '40/foo?token=x,{}', '40foo', '40,', '40/é,', '40{"a":{"b":[1,2]}}', '40 {}', '40{} ', '4'
]
const CALLS = [
  '420["find","echo",{}]', '421["find","echo"]', '427["get","echo",1,{}]', '42["find","echo"]', '4212["custom","echo",{"a":[1,null,"é😀"]},{}]', '423["get","getonly","x"]',
  '425["find","nope",{}]', '426["get","echo","a b"]', '428["get","errs","BadRequest"]', '429["hidden","echo"]', '4210["find","echo",{"a":{"b":{"c":[[]]}}}]', '42/,11["find","echo"]',
  '42007["find","echo"]', '4213[ "find" , "echo" ]', '4214["find","echo",null]', '4215["find",5]', '4216["custom","echo",-1.5]', '42["nope","echo",{}]', '4217["nope"]', '42[5]', '42'
]
const SOCKET = [
  '41', '41{}', '41/foo,', '42[', '42[]', '42{}', '42null', '42"find"', '42[null]', '42[true]', '42[{}]', '42[[]]', '42-1["find","echo"]', '421.5["find","echo"]', '421e2["find","echo"]', '42 ["find","echo"]',
  '42/foo,1["find","echo"]', '42/foo', '42["connect"]', '42["connect_error"]', '42["disconnect"]', '42["disconnecting"]', '42["newListener"]', '42["removeListener"]', '42["error"]',
  '43', '431', '43[]', '43[1]', '4312[null,{}]', '43{}', '43"x"', '43/foo,1[]', '44', '44{}', '44"x"', '44/foo,{"message":"x"}', '45', '451', '45-["x"]', '450-["x"]', '451', '451-', '4511-["x"]', '451.5-["x"]',
  '451-["find","echo"]', '451-1["custom","echo",{"_placeholder":true,"num":0},{}]', '452-2["custom","echo",[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}],{}]', '461-1[]', '46', '461', '47', '48[]',
  '4é', '42999999999999999["find","echo"]', '4218["find","echo",{"__proto__":1,"a":1}]', '4219["find","echo",{"a":1,"a":2}]', '4220["find","echo"]]', '4221["find","echo"] x', "42['find','echo']", '42[1e999]',
  '4222["get","getonly","\\ud83d\\ude00"]', '4223["get","getonly","\\u0000"]', '4224["get","getonly","a\u2028b"]', '4225["find","echo",{"":1}]'
]
const PIECES = ['"', '[', ']', '{', '}', '-', '/', ',', ':', ' ', '0', '1', '9', 'é', '\u0000', '\n', '\\', 'e', '.', 'null']
const PROBES = ['2probe', '2probe', '2probe', '2probe', '2', '3probe', '5', '2PROBE', '2probe ', '42["find","echo"]', '40', '6', '', '1', 'x', '0']
const UPGRADED = ['5', '5', '5', '5', '2probe', '5x', '3probe', '40', '6', '', '1', '2']
const OPCODES = [0, 1, 1, 2, 3, 8, 9, 10, 11]

/** `count` visits. */
export const visits = (random, count) => {
  const from = generator(random)
  const kinds = [from.handshake, from.handshake, from.talk, from.talk, from.talk, from.frames, from.posts, from.posts, from.change]
  return Array.from({ length: count }, () => kinds[Math.floor(random() * kinds.length)]())
}

const generator = (random) => {
  const chance = (share) => random() < share
  const pick = (list) => list[Math.floor(random() * list.length)]
  const some = (least, most, make) => Array.from({ length: least + Math.floor(random() * (most - least + 1)) }, make)

  // -------------------------------------------------------------- handshakes

  const query = () => `?${[pick(EIO), pick(TRANSPORT), pick(SID), pick(EXTRA)].filter(Boolean).join('&')}`
  const handshake = () => {
    const isUsual = chance(0.3)
    const asked = isUsual ? pick([POLLING, WEBSOCKET]) : query()
    const path = pick(PATHS)
    // Elsewhere are records, which are to stay.
    const isOdd = path.startsWith(PATH) && chance(0.5)
    if (chance(0.35)) return [upgrading(asked, { ...pick(HEADERS), ...pick(UPGRADES) }, isOdd && chance(0.2) ? pick(METHODS) : 'GET', path)]
    const method = isOdd ? pick(METHODS) : 'GET'
    return [request(method, path + asked, pick(HEADERS), method === 'POST' && chance(0.5) ? '40' : undefined)]
  }

  // -------------------------------------------------------------- packets

  const broken = (packet) => {
    const at = Math.floor(random() * (packet.length + 1))
    // A cut in the middle of a pair would be no text.
    return pick([packet.slice(0, at), packet.slice(0, at) + pick(PIECES) + packet.slice(at), packet.slice(0, at) + packet.slice(at + 1), packet + packet]).toWellFormed()
  }
  const packet = () => {
    const usual = chance(0.5) ? pick(CALLS) : pick([ENGINE, CONNECT, SOCKET, SOCKET, SOCKET, SOCKET])
    const chosen = Array.isArray(usual) ? pick(usual) : usual
    return chance(0.2) ? broken(chosen) : chosen
  }
  const message = () => chance(0.9) ? text(packet()) : binary(...some(0, 5, () => Math.floor(random() * 256)))
  const begin = () => chance(0.8) ? '40' : pick(CONNECT)

  const talk = () => [websocket(), hear(), text(begin()), hear(), ...some(1, 4, message), ...(chance(0.05) ? [close(pick([undefined, 1000, 1001, 3000, 4999]))] : [])]
  const oddFrame = () => frame(pick(['40', '420["find","echo"]', '', 'é', [255, 254], '2', 'x'.repeat(200)]), {
    fin: chance(0.7), rsv1: chance(0.1), opcode: pick(OPCODES), mask: chance(0.9)
  })
  const frames = () => [...(chance(0.8) ? connected : [websocket(), hear()]), ...some(1, 4, oddFrame)]

  // -------------------------------------------------------------- polling

  const payload = () => some(1, 3, packet).join(chance(0.9) ? '\u001e' : pick(['\u001e\u001e', '\n', ':', '2:40']))
  const aPost = () => chance(0.9) ? post(payload()) : pick([post(payload(), { 'content-type': 'application/octet-stream' }), post(''), post('\u001e'), post(payload(), {}), request('PUT', `${PATH}${POLLING}&sid=$sid`), request('GET', `${PATH}?transport=polling&sid=$sid`)])
  const posts = () => [open(), ...(chance(0.85) ? [post(begin()), fetched()] : []), ...(chance(0.5) ? [poll()] : []), ...some(1, 3, aPost)]

  // -------------------------------------------------------------- the change from one to the other

  const probe = (packet) => packet === '2probe' ? [text(packet), hear()] : [text(packet)]
  const change = () => [
    ...(chance(0.8) ? polled : [open()]), ...(chance(0.5) ? [poll()] : []), probing(), ...probe(pick(PROBES)),
    ...(chance(0.8) ? [text(pick(UPGRADED))] : []), ...some(0, 2, message)
  ]

  return { handshake, talk, frames, posts, change }
}
