// A Feathers application with feathers-sync over Redis, as a peer of `benches/peers`.
//
//   node peer-feathers.mjs REDIS_URI
//
// Its service `messages` keeps nothing; each event goes to all clients. It prints `listening PORT`.
import { once } from 'node:events'

import { feathers } from '@feathersjs/feathers'
import { koa } from '@feathersjs/koa'
import socketio from '@feathersjs/socketio'
import sync from 'feathers-sync'

const [, , uri] = process.argv
const app = koa(feathers())
app.configure(socketio())
app.configure(sync({ uri }))
app.use('messages', { create: async (data) => data }, { methods: ['create'] })
app.on('connection', (connection) => app.channel('everybody').join(connection))
app.publish(() => app.channel('everybody'))

const server = await app.listen(0, '127.0.0.1')
if (!server.listening) await once(server, 'listening')
await app.sync.ready
console.log(`listening ${server.address().port}`)
