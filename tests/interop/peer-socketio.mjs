// A Socket.IO server with its Redis adapter, as a peer of `benches/peers`.
//
//   node peer-socketio.mjs REDIS_URI
//
// It answers `create` as Feathers does and sends the event to all clients of all nodes. It prints `listening PORT`.
import { createServer } from 'node:http'
import { once } from 'node:events'

import { createAdapter } from '@socket.io/redis-adapter'
import { createClient } from 'redis'
import { Server } from 'socket.io'

const [, , url] = process.argv
const publisher = createClient({ url })
const subscriber = publisher.duplicate()
await Promise.all([publisher.connect(), subscriber.connect()])

const server = createServer()
const io = new Server(server, { adapter: createAdapter(publisher, subscriber) })
io.on('connection', (socket) => {
  socket.on('create', (path, data, query, ack) => {
    io.emit(`${path} created`, data)
    ack(null, data)
  })
})
server.listen(0, '127.0.0.1')
await once(server, 'listening')
console.log(`listening ${server.address().port}`)
