// Two wingbeat nodes and a Node process with the real feathers-sync share a broker, in every encoding that both know.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { listen, nextEvent, restClient, socketClient, startFixture, startNats, startNodePeer, startRabbitMq, startRedis, stopStarted, until } from './support.mjs'

const EVENTS = 1000
const NODES = ['A', 'B', 'node']
const METHODS = {
  created: (service, from, n) => service.create({ from, n }),
  updated: (service, from, n, id) => service.update(id, { from, n }),
  patched: (service, from, n, id) => service.patch(id, { more: n }),
  removed: (service, from, n, id) => service.remove(id)
}

const ALL = EVENTS * NODES.length * Object.keys(METHODS).length

const CLUSTERS = [
  { name: 'Redis and JSON', start: startRedis, codec: 'json' },
  { name: 'Redis and BSON', start: startRedis, codec: 'bson' },
  { name: 'RabbitMQ and JSON', start: startRabbitMq, codec: 'json' },
  { name: 'RabbitMQ and BSON', start: startRabbitMq, codec: 'bson' },
  // feathers-sync opens a connection for each event that it publishes there, so its own come in any order.
  { name: 'NATS and JSON', start: startNats, codec: 'json', inAnyOrder: ['node'] }
]

for (const cluster of CLUSTERS) {
  describe(`two wingbeat nodes and one feathers-sync process over ${cluster.name}`, () => suite(cluster))
}

function suite ({ start, codec, inAnyOrder = [] }) {
  let peer, fixtures, clients, messages
  before(async () => {
    const { uri } = await start()
    const env = { SYNC_URI: uri, SYNC_KEY: 'feathers-sync', SYNC_CODEC: codec }
    const fixture = (name, delivery) => {
      return startFixture({ ...env, SYNC_NODE_PATHS: 'messages,ev', SYNC_DELIVERY: delivery, NODE_NAME: name })
    }
    ;[peer, ...fixtures] = await Promise.all([startNodePeer(env), fixture('A', 'ordered'), fixture('B', 'local_first')])
    const connected = await Promise.all([...fixtures, peer].map(({ url }) => socketClient(url)))
    clients = Object.fromEntries(NODES.map((name, index) => [name, connected[index]]))
    // One list per client for the whole suite: a late copy of an early event is found at the end.
    messages = connected.map(listenToAll)
  })
  after(stopStarted)

  it(`${EVENTS} events of each and of each method are heard once and in their order everywhere`, { timeout: 120_000 }, async (t) => {
    const services = [restClient(fixtures[0].url), clients.B, clients.node].map((client) => client.service('messages'))
    const callAll = async (service, from) => {
      const ids = []
      for (const call of Object.values(METHODS)) {
        for (let n = 0; n < EVENTS; n++) ids[n] = (await call(service, from, n, ids[n])).id
      }
    }
    const started = performance.now()

    await Promise.all(NODES.map((from, index) => callAll(services[index], from)))

    const counts = () => messages.map((events) => events.length)
    await until('everybody heard everything', () => counts().every((count) => count >= ALL), { ms: 30_000, describe: () => counts().join(', ') })
    t.diagnostic(`${ALL} events to 3 clients in ${Math.round(performance.now() - started)} ms`)
    assertOnceAndInOrder(messages, inAnyOrder)
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

  it('an event of a call with a trace is as any other to the Node process and its clients', async () => {
    const event = peer.line('the event of A', (line) => line.startsWith('{') && line.includes('"traced"') && JSON.parse(line))
    const headers = { 'content-type': 'application/json', traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01' }
    let created
    const create = async () => {
      const response = await fetch(`${fixtures[0].url}/messages`, { method: 'POST', headers, body: JSON.stringify({ text: 'traced' }) })
      created = await response.json()
    }

    const heard = await nextEvent(clients.node, 'messages', 'created', create, ({ text }) => text === 'traced')

    assert.deepEqual(heard, created)
    const { path, data, context } = await event
    assert.deepEqual([path, data, context.result], ['messages', created, created])
    assert.ok(!JSON.stringify(context).includes('4bf92f35'))
  })

  it('the elements of a bulk create arrive one by one on the other side', async () => {
    for (const [from, to] of [['A', 'node'], ['node', 'A']]) {
      const heard = listen(clients[to], 'messages', 'created')
      const isOfBulk = ({ bulk }) => bulk === from

      const created = await clients[from].service('messages').create([0, 1, 2, 3].map((n) => ({ bulk: from, n })))

      await until(`${to} heard all elements`, () => heard.filter(isOfBulk).length >= created.length)
      const elements = heard.filter(isOfBulk)
      if (inAnyOrder.includes(from)) elements.sort((a, b) => a.n - b.n)
      assert.deepEqual(elements, created)
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
      await until('everybody heard both others', () => numbers().every((list) => list.includes(0) && list.includes(2)))
      const own = numbers()[NODES.indexOf(origin)]
      // In feathers-sync the kept event overtakes the one before it; in wingbeat nothing does.
      assert.deepEqual(origin === 'node' ? own.sort() : own, [0, 1, 2])
      for (const name of NODES.filter((name) => name !== origin)) {
        const list = numbers()[NODES.indexOf(name)]
        assert.deepEqual(inAnyOrder.includes(origin) ? list.sort() : list, [0, 2], `what the client of ${name} heard`)
      }
    })
  }

  if (codec === 'bson') {
    const AT = '2023-11-14T22:13:20.000Z'
    for (const [from, to] of [['node', 'A'], ['A', 'node']]) {
      it(`a date of ${from} is a date in the Node process and its ISO string for clients`, async () => {
        const text = `a date of ${from}`
        const event = peer.line(text, (line) => line.startsWith('{') && line.includes(`"${text}"`) && JSON.parse(line))

        const heard = await nextEvent(clients[to], 'messages', 'created', () => clients[from].service('messages').create({ text, at: AT }), (data) => data.text === text)

        assert.equal(heard.at, AT)
        const { data, dates } = await event
        assert.deepEqual([data.at, dates], [AT, ['at']])
      })
    }
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
    assertOnceAndInOrder(messages, inAnyOrder)
    assert.deepEqual(peer.lines.filter((line) => line.startsWith('{"type":"problem"')), [])
  })
}

function listenToAll (client) {
  const heard = []
  for (const event of Object.keys(METHODS)) {
    client.service('messages').on(event, ({ from, n }) => NODES.includes(from) && heard.push({ from, text: `${event} ${n}` }))
  }
  return heard
}

function assertOnceAndInOrder (heard, inAnyOrder) {
  const inOrder = Object.keys(METHODS).flatMap((event) => Array.from({ length: EVENTS }, (_, n) => `${event} ${n}`))
  for (const [index, events] of heard.entries()) {
    for (const from of NODES) {
      const texts = events.filter((event) => event.from === from).map(({ text }) => text)
      const [came, made] = inAnyOrder.includes(from) ? [texts.sort(), [...inOrder].sort()] : [texts, inOrder]
      assert.deepEqual(came, made, `what the client of ${NODES[index]} heard of ${from}`)
    }
  }
}
