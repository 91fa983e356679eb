// Three wingbeat nodes and a Node process with the real feathers-sync share a Redis that is killed again and again.
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'

import { lastingPort, listen, socketClient, startFixture, startNodePeer, startRedis, stopStarted, syncOf, syncReady, until } from './support.mjs'

const NODES = ['A', 'B', 'C']
const KILLS = 3
const DOWN_MS = 2000
// Each node makes so many events in one go, all but the last of them on the service that the Node process knows.
const AT_ONCE = 5
// 500 events a second, together.
const PAUSE_MS = 1000 * NODES.length * AT_ONCE / 500

describe('a Redis that is killed three times under three wingbeat nodes and one feathers-sync process', () => {
  let port, redis, peer, fixtures, clients, heard
  const lane = []
  const made = Object.fromEntries(NODES.map((name) => [name, 0]))

  before(async () => {
    port = await lastingPort()
    await restart()
    const env = { SYNC_URI: redis.uri, SYNC_KEY: 'feathers-sync' }
    const fixture = (name) => {
      return startFixture({ ...env, SYNC_NODE_PATHS: 'messages', SYNC_DELIVERY: name === 'B' ? 'local_first' : 'ordered', NODE_NAME: name })
    }
    ;[peer, ...fixtures] = await Promise.all([startNodePeer(env), ...NODES.map(fixture)])
    const connected = await Promise.all([...fixtures, peer].map(({ url }) => socketClient(url)))
    clients = Object.fromEntries([...NODES, 'node'].map((name, index) => [name, connected[index]]))
    heard = Object.fromEntries(Object.entries(clients).map(([name, client]) => [name, listenTo(client)]))
  })
  after(stopStarted)

  const restart = async () => {
    redis = await startRedis(port)
    await watchLane(port, lane)
  }

  /** One go: the numbers run over both services, as the order does. */
  const makeSome = async (from) => {
    const numbers = Array.from({ length: AT_ONCE }, (_, index) => made[from] + index)
    const last = numbers.pop()
    await clients[from].service('messages').create(numbers.map((n) => ({ from, n })))
    await clients[from].service('tasks').create({ from, n: last })
    made[from] += AT_ONCE
  }

  const makeUntil = async (from, isOver) => {
    for (let due = performance.now(); !isOver(); due += PAUSE_MS) {
      await pause(Math.max(0, due - performance.now()))
      await makeSome(from)
    }
  }

  const allHaveAll = async () => {
    const lacks = () => NODES.flatMap((at) => NODES.filter((from) => numbers(heard[at], from).length < made[from]).map((from) => `${at} of ${from}`))
    await until('every client of wingbeat has everything', () => lacks().length === 0, { ms: 30_000, describe: lacks })
    const due = Object.fromEntries(NODES.map((from) => [from, Array.from({ length: made[from] }, (_, n) => n)]))
    for (const at of NODES) {
      for (const from of NODES) assert.deepEqual(numbers(heard[at], from), due[from], `what the client of ${at} heard of ${from}`)
    }
  }

  it('costs the clients of wingbeat nothing', async (t) => {
    let isOver = false
    const started = performance.now()
    const makers = NODES.map((from) => makeUntil(from, () => isOver))
    for (let kill = 1; kill <= KILLS; kill++) {
      await pause(1000)
      const seconds = stopwatch()
      await redis.kill()
      await until('all notice', async () => (await statuses(fixtures)).every((status) => status === 'reconnecting'))
      const noticed = seconds()
      await pause(DOWN_MS)
      await restart()
      const back = stopwatch()
      await Promise.all(fixtures.map(syncReady))
      t.diagnostic(`kill ${kill}: noticed after ${noticed} s, all ready ${back()} s after Redis is back`)
    }
    isOver = true
    await Promise.all(makers)
    const total = NODES.reduce((sum, from) => sum + made[from], 0)
    const rate = Math.round(total / (performance.now() - started) * 1000)
    await allHaveAll()
    t.diagnostic(`${total} events to 3 clients each, ${rate} a second, nothing missing or twice`)
  })

  it('leaves the Node process alive, and it hears and is heard again', async (t) => {
    assert.equal(peer.child.exitCode, null)
    const probes = listen(clients.node, 'messages', 'created')
    await until('it hears again', async () => {
      await makeSome('A')
      return probes.length > 0
    }, { ms: 20_000, describe: () => peer.lines.slice(-5).join('\n') })
    await allHaveAll()

    const before = made.A
    for (let go = 0; go < 20; go++) await makeSome('A')
    await allHaveAll()
    const due = Array.from({ length: made.A - before }, (_, n) => before + n).filter((n) => n % AT_ONCE !== AT_ONCE - 1)
    const since = () => numbers(heard.node, 'A').filter((n) => n >= before)
    await until('it hears what its service is named for', () => since().length >= due.length)
    assert.deepEqual(since(), due, 'once and in order, and nothing of the other service')

    for (let n = 0; n < 20; n++) await clients.node.service('messages').create({ from: 'node', n })
    for (const at of NODES) {
      await until(`${at} hears it`, () => numbers(heard[at], 'node').length >= 20)
      assert.deepEqual(numbers(heard[at], 'node'), Array.from({ length: 20 }, (_, n) => n), `what the client of ${at} heard`)
    }
    const of = (from) => new Set(numbers(heard.node, from)).size
    t.diagnostic(`its client heard ${NODES.map((from) => `${of(from)} of ${made[from] * (AT_ONCE - 1) / AT_ONCE} of ${from}`).join(', ')}`)
  })

  it('told the Node process nothing that it does not know', () => {
    assert.ok(lane.length > 1000, `${lane.length} messages were seen`)
    for (const message of lane) {
      assert.deepEqual([message.event, message.path], ['created', 'messages'])
      const unknown = Object.keys(message).filter((key) => !['event', 'path', 'data', 'context', 'wb'].includes(key))
      assert.deepEqual(unknown, [])
      assert.equal(message.wb?.control, undefined)
    }
    const problems = peer.lines.filter((line) => line.startsWith('{"type":"problem"'))
    assert.deepEqual(problems.filter((line) => !OUTAGE.test(line)), [], 'it complained of lost connections alone')
  })
})

// What feathers-sync reports while Redis is away, by console.error. Which of them depends on what its client did when
// the server went: it read, wrote, or tried to connect.
const OUTAGE =
  /^\{"type":"problem","message":"REDIS ERROR .*(ECONNREFUSED|ECONNRESET|EPIPE|SocketClosedUnexpectedly|Socket closed unexpectedly)/

/** One list for both services, as it comes. */
const listenTo = (client) => {
  const heard = []
  for (const path of ['messages', 'tasks']) client.service(path).on('created', (data) => heard.push(data))
  return heard
}

const numbers = (heard, from) => heard.filter((data) => data.from === from).map(({ n }) => n)

const statuses = (fixtures) => Promise.all(fixtures.map(async (node) => (await syncOf(node)).status))

/** Collects all that is said on the topic that Node processes listen to, until the server goes. */
const watchLane = async (port, lane) => {
  const socket = connect(port, '127.0.0.1', () => socket.write('SUBSCRIBE feathers-sync\r\n'))
  socket.on('error', () => {})
  const lines = createInterface({ input: socket })
  const subscribed = new Promise((resolve) => lines.once('line', resolve))
  lines.on('line', (line) => { if (!/^[*$:]|^message$|^subscribe$|^feathers-sync$/.test(line)) lane.push(JSON.parse(line)) })
  await subscribed
}

const stopwatch = () => {
  const started = performance.now()
  return () => ((performance.now() - started) / 1000).toFixed(1)
}
