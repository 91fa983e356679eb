// A Feathers application with the real feathers-sync, as it would share a broker with wingbeat nodes.
//
//   SYNC_URI=redis://127.0.0.1:6379  SYNC_KEY=feathers-sync  SYNC_CODEC=json  PORT=0  node node-peer.mjs
//
// With SYNC_CODEC=bson it encodes as BSON, and the property `at` of what is created is a Date.
//
// Services: `messages` (memory, multi, ids from 1, event `typing`) and `ev` (custom event `custom`, custom method
// `fire({ event, payload })`). A call with the query `nosync` keeps its event on this process.
// All events go to all Socket.IO clients. Lines of JSON go both ways:
//   in   {"id":1,"call":["messages","create",{"text":"hi"}]}   {"id":2,"emit":["messages","typing",{"user":1}]}
//   out  {"type":"ready","port":1234}   {"type":"result","id":1,"result":…} or with "error"
//        {"type":"event","path":"messages","event":"created","data":…,"dates":["at"],"context":…}   {"type":"problem","message":"…"}
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import express from '@feathersjs/express'
import { feathers } from '@feathersjs/feathers'
import { MemoryService } from '@feathersjs/memory'
import socketio from '@feathersjs/socketio'
import { deserialize, serialize } from 'bson'
import sync from 'feathers-sync'

const { SYNC_URI, SYNC_KEY = 'feathers-sync', SYNC_CODEC = 'json', PORT = '0' } = process.env
const isBson = SYNC_CODEC === 'bson'
const EVENTS = { messages: ['created', 'updated', 'patched', 'removed', 'typing'], ev: ['created', 'updated', 'patched', 'removed', 'custom'] }

const print = (type, content) => process.stdout.write(`${JSON.stringify({ type, ...content })}\n`)
const problem = (error) => print('problem', { message: error?.stack ?? String(error) })

// feathers-sync reports a message that it could not take in by console.error, and is deaf from then on.
console.error = (...words) => problem(words.map((word) => word?.stack ?? word).join(' '))
process.on('uncaughtException', problem).on('unhandledRejection', problem)

class Ev {
  async create (data) { return { id: 1, ...data } }
  async patch (id, data) { return { id, ...data } }
  async fire ({ event, payload }) {
    this.emit(event, payload)
    return { fired: event }
  }
}

const app = express.default(feathers())
app.use(express.json()).configure(express.rest()).configure(socketio())
const nats = SYNC_URI.startsWith('nats:') && { natsConnectionOptions: { servers: [SYNC_URI] } }
app.configure(sync({ uri: SYNC_URI, key: SYNC_KEY, ...(isBson && { serialize, deserialize }), ...nats }))
app.use('messages', new MemoryService({ multi: true, startId: 1 }), { events: ['typing'] })
app.use('ev', new Ev(), { methods: ['create', 'patch', 'fire'], events: ['custom'] })
app.hooks({
  before: {
    all: [async (context) => {
      const { nosync, ...query } = context.params.query ?? {}
      if (nosync) Object.assign(context, { [sync.SYNC]: false, params: { ...context.params, query } })
    }]
  },
  after: {
    // The memory service keeps JSON only.
    create: [async ({ result }) => { if (isBson && result.at) result.at = new Date(result.at) }]
  }
})
app.on('connection', (connection) => app.channel('everybody').join(connection))
app.publish(() => app.channel('everybody'))
app.use(express.notFound()).use(express.errorHandler({ logger: false }))

const visible = ({ app: _app, service: _service, self: _self, ...context }) => context
for (const [path, events] of Object.entries(EVENTS)) {
  for (const event of events) {
    app.service(path).on(event, (data, context) => {
      const dates = Object.keys(data ?? {}).filter((name) => data[name] instanceof Date)
      print('event', { path, event, data, dates, context: context ? visible(context) : null })
    })
  }
}

const execute = async ({ id, call, emit }) => {
  const [path, name, ...args] = call ?? emit
  try {
    const result = await app.service(path)[call ? name : 'emit'](...(call ? args : [name, ...args]))
    print('result', { id, result })
  } catch (error) {
    print('result', { id, error: error.message })
  }
}

await app.sync.ready
const server = await app.listen(Number(PORT), '127.0.0.1')
if (!server.listening) await once(server, 'listening')
createInterface({ input: process.stdin }).on('line', (line) => execute(JSON.parse(line)).catch(problem)).on('close', () => process.exit(0))
print('ready', { port: server.address().port })
