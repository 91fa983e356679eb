// A Feathers application on Koa, which is faster than Express, as the yardstick of `cargo bench --bench requests`.
//
//   node requests-server.mjs ROWS
//
// `rows` holds the records of ROWS, a JSON array; `notes` is empty. It prints `listening PORT`.
import { once } from 'node:events'

import { feathers } from '@feathersjs/feathers'
import { bodyParser, errorHandler, koa, rest } from '@feathersjs/koa'
import { MemoryService } from '@feathersjs/memory'
import socketio from '@feathersjs/socketio'

const rows = JSON.parse(process.argv[2])
const store = Object.fromEntries(rows.map((row) => [row.id, row]))

const app = koa(feathers())
app.use(errorHandler()).use(bodyParser()).configure(rest()).configure(socketio())
app.use('rows', new MemoryService({ store }))
app.use('notes', new MemoryService())

const server = await app.listen(0, '127.0.0.1')
if (!server.listening) await once(server, 'listening')
console.log(`listening ${server.address().port}`)
