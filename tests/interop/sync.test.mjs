// Two wingbeat nodes and a Node process with the real feathers-sync share a Redis.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { listen, nextEvent, restClient, socketClient, startFixture, startNodePeer, startRedis, stopStarted, until } from './support.mjs'

const EVENTS = 300
const NODES = ['A', 'B', 'node']

describe('a cluster of two wingbeat nodes and one feathers-sync process', () => {
  let peer, fixtures, clients, messages
  before(async () => {
    const { uri } = await startRedis()
    const env = { SYNC_URI: uri, SYNC_KEY: 'feathers-sync' }
    const fixture = (name, delivery) => {
      return startFixture({ ...env, SYNC_NODE_PATHS: 'messages,ev', SYNC_DELIVERY: delivery, NODE_NAME: name })
    }
    ;[peer, ...fixtures] = await Promise.all([startNodePeer(env), fixture('A', 'ordered'), fixture('B', 'local_first')])
    const connected = await Promise.all([...fixtures, peer].map(({ url }) => socketClient(url)))
    clients = Object.fromEntries(NODES.map((name, index) => [name, connected[index]]))
    // One list per client for the whole suite: a late copy of an early event is found at the end.
    messages = connected.map((client) => listen(client, 'messages', 'created'))
  })
  after(stopStarted)

  it(`${EVENTS} events of each are heard once and in their order everywhere`, async (t) => {
    const services = [restClient(fixtures[0].url), clients.B, clients.node].map((client) => client.service('messages'))
    const createAll = async (service, from) => {
      for (let n = 0; n < EVENTS; n++) await service.create({ from, n })
    }
    const started = performance.now()

    await Promise.all(NODES.map((from, index) => createAll(services[index], from)))

    const counts = () => messages.map((events) => events.length)
    await until('everybody heard everything', () => counts().every((count) => count >= 3 * EVENTS), { ms: 30_000, describe: () => counts().join(', ') })
    t.diagnostic(`${3 * EVENTS} events to 3 clients in ${Math.round(performance.now() - started)} ms`)
    assertOnceAndInOrder(messages)
  })

  it('a custom event of each reaches the clients of all', async () => {
    const heard = NODES.map((name) => listen(clients[name], 'ev', 'custom'))
    const payload = (from) => ({ from, words: ['é', '\u2028', '"'], nothing: null })

    for (const from of NODES) {
      await clients[from].service('ev').fire({ event: 'custom', payload: payload(from) })
      await until(`everybody heard ${from}`, () => heard.every((events) => events.some((event) => event.from === from)))
    }

    assert.deepEqual(heard, NODES.map(() => NODES.map(payload)))
  })

  it('all four standard events cross, both ways', async () => {
    for (const [from, to] of [['A', 'node'], ['node', 'B']]) {
      const service = clients[from].service('messages')
      const heard = (event, action) => nextEvent(clients[to], 'messages', event, action, (data) => data.text?.startsWith(from))
      let message
      await heard('created', async () => { message = await service.create({ text: `${from} creates` }) })
      const { id } = message
      assert.deepEqual(await heard('updated', () => service.update(id, { text: `${from} updates` })), { text: `${from} updates`, id })
      assert.deepEqual(await heard('patched', () => service.patch(id, { more: 1 })), { text: `${from} updates`, more: 1, id })
      assert.deepEqual(await heard('removed', () => service.remove(id)), { text: `${from} updates`, more: 1, id })
    }
  })

  it('listeners in the Node process get the data and a context with method and result', async () => {
    const event = peer.line('the event of A', (line) => line.startsWith('{') && line.includes('"for the listener"') && JSON.parse(line))

    const created = await clients.A.service('messages').create({ text: 'for the listener' })

    const { path, data, context } = await event
    assert.deepEqual([path, data], ['messages', created])
    assert.deepEqual([context.path, context.method, context.event, context.result], ['messages', 'create', 'created', created])
  })

  it('the elements of a bulk create arrive one by one on the other side', async () => {
    for (const [from, to] of [['A', 'node'], ['node', 'A']]) {
      const heard = messages[NODES.indexOf(to)]
      const isOfBulk = ({ bulk }) => bulk === from

      const created = await clients[from].service('messages').create([0, 1, 2, 3].map((n) => ({ bulk: from, n })))

      await until(`${to} heard all elements`, () => heard.filter(isOfBulk).length >= created.length)
      assert.deepEqual(heard.filter(isOfBulk), created)
    }
  })

  for (const origin of NODES) {
    it(`an event that ${origin} keeps to itself reaches its own clients only`, async () => {
      const heard = NODES.map((name) => listen(clients[name], 'ev', 'created'))
      const numbers = () => heard.map((events) => events.map(({ n }) => n))
      const ev = clients[origin].service('ev')

      await ev.create({ n: 0 })
      await ev.create({ n: 1 }, { query: { nosync: 'true' } })
      await ev.create({ n: 2 })

      // The last one left after the kept one: who heard it will not hear the kept one any more.
      await until('everybody heard the last event', () => numbers().every((list) => list.includes(2)))
      const own = numbers()[NODES.indexOf(origin)]
      // In feathers-sync the kept event overtakes the one before it; in wingbeat nothing does.
      assert.deepEqual(origin === 'node' ? own.sort() : own, [0, 1, 2])
      for (const name of NODES.filter((name) => name !== origin)) {
        assert.deepEqual(numbers()[NODES.indexOf(name)], [0, 2], `what the client of ${name} heard`)
      }
    })
  }

  it('an event that only the Node process knows disturbs nobody', async () => {
    const typing = listen(clients.node, 'messages', 'typing')

    await peer.ask({ emit: ['messages', 'typing', { user: 1 }] })

    await until('its own client heard it', () => typing.length > 0)
    for (const to of ['A', 'B']) {
      await nextEvent(clients[to], 'messages', 'created', () => peer.ask({ call: ['messages', 'create', { text: `after typing ${to}` }] }))
    }
  })

  it('nothing came twice or late, and the Node process met no message that it could not take', async () => {
    assertOnceAndInOrder(messages)
    assert.deepEqual(peer.lines.filter((line) => line.startsWith('{"type":"problem"')), [])
  })
})

function assertOnceAndInOrder (heard) {
  const inOrder = Array.from({ length: EVENTS }, (_, n) => n)
  for (const [index, events] of heard.entries()) {
    for (const from of NODES) {
      const numbers = events.filter((event) => event.from === from).map(({ n }) => n)
      assert.deepEqual(numbers, inOrder, `what the client of ${NODES[index]} heard of ${from}`)
    }
  }
}
