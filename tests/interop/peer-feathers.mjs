// A Feathers application with feathers-sync over Redis, as a peer of `benches/peers`.
//
//   node peer-feathers.mjs REDIS_URI|none
//
// Its service `messages` keeps nothing; each event goes to all clients. With `none` it is alone. It prints `listening PORT`.
import { once } from 'node:events'

import { feathers } from '@feathersjs/feathers'
import { koa } from '@feathersjs/koa'
import socketio from '@feathersjs/socketio'
import sync from 'feathers-sync'

const [, , uri] = process.argv
const app = koa(feathers())
app.configure(socketio())
if (uri !== 'none') app.configure(sync({ uri }))
const messages = { create: async (data) => data, get: async (id) => ({ id }) }
app.use('messages', messages, { methods: ['create', 'get'] })
app.on('connection', (connection) => app.channel('everybody').join(connection))
app.publish(() => app.channel('everybody'))

const server = await app.listen(0, '127.0.0.1')
if (!server.listening) await once(server, 'listening')
await app.sync?.ready
console.log(`listening ${server.address().port}`)
