// Stock Socket.IO clients on every transport: long-polling, websocket, and the change from one to the other.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { listen, nextEvent, restClient, socketClient, startFixture, stopStarted, until, within } from './support.mjs'

const transportOf = ({ socket }) => socket.io.engine.transport.name

const metricOf = async ({ url }, name) => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^wingbeat_${name} (\\d+)$`, 'm').exec(metrics)[1])
}
const connectionsOf = (node) => metricOf(node, 'connections')

let node
before(async () => { node = await startFixture() })
after(stopStarted)

for (const transports of [['polling'], ['websocket'], ['polling', 'websocket']]) describe(transports.join(', then '), () => {
  let client, other
  before(async () => {
    ;[client, other] = await Promise.all([1, 2].map(() => socketClient(node.url, { transports })))
    await until('the last transport is in use', () => [client, other].every((client) => transportOf(client) === transports.at(-1)))
  })

  it('calls are answered and events are heard', async () => {
    const todo = { text: 'é \u001e 🐦', complete: false }
    const heard = await nextEvent(other, 'todos', 'created', () => client.service('todos').create(todo))

    assert.deepEqual({ ...heard, id: 0 }, { ...todo, id: 0 })
    await assert.rejects(client.service('todos').get(-1), { name: 'NotFound' })
  })

  it('many calls at once are all answered', async () => {
    const ids = Array.from({ length: 200 }, (_, id) => id)

    const answers = await Promise.all(ids.map((id) => client.service('echo').get(id)))

    assert.deepEqual(answers.map(({ id }) => id), ids)
  })

  it('large data fits', async () => {
    const text = 'x'.repeat(900_000)

    assert.equal((await client.service('echo').create({ text })).data.text, text)
  })

  it('binary data comes back as it was, in answers and events', async () => {
    const files = [Buffer.from([0, 1, 2, 255]), Buffer.alloc(0), Buffer.alloc(70_000, 7)]
    let answer
    const heard = await nextEvent(other, 'ev', 'created', async () => { answer = await client.service('ev').create({ files }) })

    for (const got of [answer, heard]) {
      assert.ok(got.files.every(Buffer.isBuffer))
      assert.deepEqual(got.files, files)
    }
  })

  it('every event comes once and in order to clients that connect while events fly', async () => {
    const producer = restClient(node.url).service('ev')
    let n = 0
    let isOver = false
    const produce = async () => {
      while (!isOver) await producer.create(Array.from({ length: 20 }, () => ({ n: n++ })))
    }
    const producing = produce()
    const connect = async () => {
      const client = await socketClient(node.url, { transports })
      return { client, heard: listen(client, 'ev', 'created') }
    }
    const consumers = await Promise.all(Array.from({ length: 20 }, connect))
    await until('all use the last transport', () => consumers.every(({ client }) => transportOf(client) === transports.at(-1)))
    const enough = n + 200
    await until('some more events were sent', () => n > enough)
    isOver = true
    await producing

    await until('all heard the last event', () => consumers.every(({ heard }) => heard.at(-1)?.n === n - 1))
    for (const { heard } of consumers) {
      const expected = Array.from({ length: heard.length }, (_, at) => n - heard.length + at)
      assert.deepEqual(heard.map(({ n }) => n), expected)
    }
  })

  it('a client whose session the app ends gives up', async () => {
    const before = await connectionsOf(node)
    const query = { channel: `revoked ${transports}` }
    const leaving = await socketClient(node.url, { transports, query, reconnection: true, reconnectionDelay: 1 })
    await until('the last transport is in use', () => transportOf(leaving) === transports.at(-1))
    const attempts = []
    leaving.socket.io.on('reconnect_attempt', (n) => attempts.push(n))
    const ended = new Promise((resolve) => leaving.socket.once('disconnect', resolve))
    await restClient(node.url).service('revoked').create(query)

    assert.equal(await within(10_000, 'the end', ended), 'io server disconnect')
    assert.equal(leaving.socket.active, false, 'it would try again')
    await until('it is gone', async () => await connectionsOf(node) === before)
    assert.deepEqual(attempts, [])
  })

  it('a client that closes is let go at once', async () => {
    const before = await connectionsOf(node)
    const leaving = await socketClient(node.url, { transports })
    assert.equal(await connectionsOf(node), before + 1)
    leaving.socket.disconnect()

    await until('it is gone', async () => await connectionsOf(node) === before)
  })
})

// What a stock client makes of a limit: it comes back by itself, and goes on.
for (const transport of ['polling', 'websocket']) it(`${transport}: a client that sends too fast is closed and comes back`, async () => {
  const strict = await startFixture({ MAX_MESSAGES_PER_SECOND: '5' })
  const client = await socketClient(strict.url, { transports: [transport], reconnection: true, reconnectionDelay: 1 })
  let code
  client.socket.io.engine.on('close', (_, cause) => { code = cause?.context?.code })
  const closed = new Promise((resolve) => client.socket.once('disconnect', resolve))
  for (let n = 0; n < 500; n++) client.socket.emit('find', 'todos', {})

  // By long-polling either the 429 to its post comes first, or the `1` to its poll.
  const reasons = transport === 'polling' ? ['transport error', 'transport close'] : ['transport close']
  assert.ok(reasons.includes(await within(10_000, 'the end', closed)))
  assert.ok(client.socket.active, 'it gave up')
  await until('it is back', () => client.socket.connected)
  assert.ok(Array.isArray(await client.service('todos').find()))
  assert.equal(await metricOf(strict, 'closed_too_many_messages_total'), 1)
  assert.equal(code, transport === 'polling' ? undefined : 1008)
})
