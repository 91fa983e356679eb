// Writes socketio.json: packets that a client sends over a websocket, and what a real Feathers server sends back.
//
//   (cd tests/interop && npm ci) && node tests/wire/generate-socketio.mjs
//
// A row is `[packets, frames, end]`: each packet after the first is sent when the one before it is answered; `end` is the
// websocket's close code, or null if the server left it open. Session ids are replaced by `S`.
//
// Left out, since wingbeat differs on purpose: `41` and `1`, after which it closes the transport; ids that are neither
// numbers nor strings, and missing ones, which it refuses; halves of surrogate pairs, which it replaces; spaces
// among the digits of an ack id, which it takes for malformed. What waits for attachments is left out as well.
import { writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createRequire } from 'node:module'

const fromInterop = createRequire(new URL('../interop/package.json', import.meta.url))
const { feathers } = fromInterop('@feathersjs/feathers')
const socketio = fromInterop('@feathersjs/socketio')
const { memory } = fromInterop('@feathersjs/memory')
const WebSocket = createRequire(fromInterop.resolve('engine.io'))('ws')

const beforeConnecting = [
  '40', '40{}', '40{"token":"x"}', '40/', '40/,', '40/,{}', '405', '40[]', '40null', '40"x"', '40{',
  '40/foo', '40/foo,', '40/foo,{"token":"x"}', '40/a/b,7{}', '40/foo,[]', '41', '42', '42["find","echo"]', '421["find","echo",{}]',
  '43[]', '44', '2', '3', '6', 'x', ''
]

const engine = ['', '0', '0{}', '2', '2probe', '3', '3probe', '4', '5', '6', '6x', '7', 'x', 'é', 'b', 'bAQID']

const malformed = [
  '40', '40{}', '40/,', '41{}', '41[]', '41/foo,', '42[', '42[]', '42{}', '42null', '42"find"', '42[null]', '42[true]', '42[{}]', '42[[]]',
  '42-1["find"]', '421.5["find"]', '42/foo,1["find","echo"]', '42/foo', '42["connect"]', '42["connect_error"]', '42["disconnect"]',
  '42["disconnecting"]', '42["newListener"]', '42["removeListener"]', '43{}', '43"x"', '44', '44{}', '44"x"', '45', '451', '45-["x"]', '450-["x"]',
  '451["x"]', '4511-["x"]', '451.5-["x"]', '46', '461', '47', '48[]', '4é'
]

const ignored = [
  '42', '427', '42["error"]', '42["nope","echo",{}]', '421["nope","echo",{}]', '42[5]', '427[5,"x"]', '42[-1.5]', '421["find"]', '42["find"]',
  '421["FIND","echo"]', '421["setup","echo"]', '421["toString","echo"]', '421["__proto__","echo"]', '421["messages::find",{}]',
  '421["messages find",{}]', '421["","echo"]', '42["find","nope",{}]', '43', '431', '43[]', '4312[null,{}]', '40/foo,'
]

const calls = [
  ['find', 'echo'], ['find', 'echo', {}], ['find', 'echo', { a: { $in: [1, '1', null] } }], ['find', 'echo', null], ['find', 'echo', 5],
  ['find', 'echo', true], ['find', 'echo', 'abc'], ['find', 'echo', 'é\u20ac'], ['find', 'echo', [1, { a: 2 }]], ['find', 'echo', {}, {}],
  ['find', '/echo/', {}], ['find', '//echo//', {}], ['find', 'echo/77', {}], ['find', 'echo/77/8', {}], ['find', 'Echo', {}], ['find', 'nope', {}],
  ['find', '/nope/', {}], ['find', '', {}], ['find', ' echo', {}], ['find', 'echo%2F', {}], ['find', null, {}], ['find', 5, {}], ['find', {}, {}],
  ['find', ['echo'], {}], ['find', 'org/7/items', {}], ['find', 'org//items', {}], ['find', 'org/a b/items', {}], ['find', 'org/7/items/9', {}],
  ['find', 'org/items', {}], ['get', 'echo', 1], ['get', 'echo', 1, {}], ['get', 'echo', '1', { q: 1 }], ['get', 'echo', 1.5, {}],
  ['get', 'echo', -0.25, {}], ['get', 'echo', '', {}], ['get', 'echo', 1, {}, 2], ['create', 'echo'], ['create', 'echo', null], ['create', 'echo', 0],
  ['create', 'echo', false], ['create', 'echo', ''], ['create', 'echo', [], {}], ['create', 'echo', {}, {}],
  ['create', 'echo', { a: [1, { b: null }] }, { q: 1 }], ['create', 'echo', 'text', {}], ['create', 'echo', { a: 1 }, {}, {}],
  ['update', 'echo', 1, { a: 1 }, {}], ['update', 'echo', null, { a: 1 }, {}], ['update', 'echo', 1], ['update', 'echo', 1, {}, {}, {}],
  ['patch', 'echo', 1, { a: 1 }, { q: 1 }], ['patch', 'echo', null, { a: 1 }, {}], ['patch', 'echo', 1], ['patch', 'echo', 1, {}, {}, null],
  ['remove', 'echo', 1, {}], ['remove', 'echo', null, {}], ['remove', 'echo', 1], ['remove', 'echo', 1, {}, {}],
  ['custom', 'echo', { a: 1 }, { q: 1 }], ['custom', 'echo'], ['custom', 'echo', 1, 2, 3], ['custom', 'messages', {}, {}],
  ['create', 'reading', {}, {}], ['hidden', 'echo', {}, {}], ['create', 'messages', { text: 'hé \u{1F600} "\\', n: 1 }, {}],
  ['create', 'messages', { text: 'two' }, {}], ['create', 'messages', [{ a: 1 }, { a: 2 }], {}], ['find', 'messages', {}], ['get', 'messages', 0, {}],
  ['get', 'messages', '0', {}], ['get', 'messages', 99, {}], ['patch', 'messages', 0, { read: true }, {}], ['update', 'messages', 1, { text: 'new' }, {}],
  ['remove', 'messages', 0, {}], ['remove', 'messages', 0, {}], ['update', 'messages', null, {}, {}]
]

const acks = [0, 7, 12345, Number.MAX_SAFE_INTEGER]
const rows = [
  ...beforeConnecting.map((packet) => [packet]),
  ...[...engine, ...malformed, ...ignored].map((packet) => ['40', packet]),
  ...calls.map((call, at) => ['40', `42${acks[at % acks.length]}${JSON.stringify(call)}`]),
  ['40', '42["create","messages",{"text":"no ack"},{}]'],
  ['40', '42007["find","echo"]'], ['40', '42/,7["find","echo"]'], ['40', '427 ["find","echo"]'], ['40', '427[ "find" , "echo" ]'],
  ['40', '421["find","echo",{"__proto__":1,"a":1}]'], ['40', '421["find","echo",{"a":1,"a":2}]'], ['40', '40/foo,', '421["find","echo"]']
]

const seen = (method, given, { query, route, provider }) => ({ method, ...given, query, route, provider })
const echo = () => ({
  async find (params) { return seen('find', {}, params) },
  async get (id, params) { return seen('get', { id }, params) },
  async create (data = null, params) { return seen('create', { data }, params) },
  async update (id, data = null, params) { return seen('update', { id, data }, params) },
  async patch (id, data = null, params) { return seen('patch', { id, data }, params) },
  async remove (id, params) { return seen('remove', { id }, params) },
  async custom (data = null, params) { return seen('custom', { data }, params) }
})

const start = async () => {
  const app = feathers().configure(socketio())
  const methods = ['find', 'get', 'create', 'update', 'patch', 'remove', 'custom']
  app.use('messages', memory({ multi: true }))
  app.use('echo', echo(), { methods })
  app.use('org/:org/items', echo(), { methods })
  app.use('reading', echo(), { methods: ['find', 'get'] })
  app.on('connection', (connection) => app.channel('all').join(connection))
  app.publish(() => app.channel('all'))
  const server = createServer()
  await app.setup(server)
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `ws://127.0.0.1:${server.address().port}/socket.io/?EIO=4&transport=websocket`
}

/** Sends the packets of a row and resolves when the server has closed, or has nothing more to say. */
const play = (url, packets) => new Promise((resolve) => {
  const rest = [...packets]
  const frames = []
  const socket = new WebSocket(url, { perMessageDeflate: false })
  const finish = (end) => {
    clearTimeout(silence)
    socket.removeAllListeners('close').terminate()
    resolve([packets, frames, end])
  }
  const silence = setTimeout(() => finish(null), 300)
  socket.on('close', finish)
  socket.on('message', (message) => {
    const frame = message.toString().replace(/"sid":"[^"]+"/, '"sid":"S"')
    if (!frame.startsWith('0')) frames.push(frame)
    const next = rest.shift()
    if (next !== undefined) socket.send(next)
  })
})

const url = await start()
const played = []
for (const packets of rows) played.push(JSON.stringify(await play(url, packets)))
writeFileSync(new URL('socketio.json', import.meta.url), `[\n${played.join(',\n')}\n]\n`)
process.exit()
