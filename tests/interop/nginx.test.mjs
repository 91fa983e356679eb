// Stock clients that reach two nodes through nginx, set up as docs/guide/load-balancers.md says.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { io } from 'socket.io-client'

import { blocks } from './guide.mjs'
import { addressOf, from, isLed, metric, startSite } from './nginx.mjs'
import { listen, restClient, socketClient, stopStarted, until, within } from './support.mjs'

const page = 'load-balancers.md'

const ofEach = (nodes, name) => Promise.all(nodes.map((node) => metric(node, name)))
const sum = (numbers) => numbers.reduce((a, b) => a + b)

const clientFrom = async (number, url, options) => {
  // A client that is closed while it changes to a websocket keeps a timer.
  const client = await socketClient(url, { agent: from(number), autoUnref: true, ...options })
  return Object.assign(client, { heard: listen(client, 'ev', 'created') })
}

/** Creates something and waits until every client heard of it; none hears it twice. */
const allHear = async (clients, n, caller) => {
  await caller.service('ev').create({ n })
  const times = ({ heard }) => heard.filter((data) => data.n === n).length
  await until(`all hear ${n}`, () => clients.every(times), { ms: 20_000 })
  for (const client of clients) assert.equal(times(client), 1)
}

const KINDS = [['polling'], ['polling', 'websocket'], ['websocket']]

describe('nginx with sticky sessions', () => {
  let site, addresses
  const [leaving, staying] = [[], []]
  before(async () => {
    site = await startSite({ isSticky: true })
    addresses = [await addressOf(site.url, 'B'), await addressOf(site.url, 'A')]
  })
  after(stopStarted)

  for (const [index, transports] of KINDS.entries()) it(`${transports.join(', then ')}: calls are answered and events reach both nodes`, async () => {
    const clients = await Promise.all(addresses.map((number) => {
      return clientFrom(number, site.url, { transports, reconnection: true, reconnectionDelay: 50 })
    }))
    ;[leaving[index], staying[index]] = clients
    assert.deepEqual(await ofEach(site.nodes, 'wingbeat_connections'), [index + 1, index + 1])
    const transportOf = ({ socket }) => socket.io.engine.transport.name
    await until('the last transport is in use', () => clients.every((client) => transportOf(client) === transports.at(-1)))

    for (const [n, caller] of [...clients, restClient(site.url)].entries()) await allHear(clients, `${index}.${n}`, caller)
    await assert.rejects(clients[0].service('todos').get(-1), { name: 'NotFound' })
    assert.equal(sum(await ofEach(site.nodes, 'wingbeat_wrong_node_total')), 0)
  })

  it('clients of a node that is restarted come back, and new ones find it', async () => {
    let disconnects = 0
    for (const { socket } of staying) socket.on('disconnect', () => disconnects++)
    const again = leaving.map(({ socket }) => new Promise((resolve) => socket.once('disconnect', () => socket.once('connect', resolve))))
    assert.equal(await site.nodes[0].stop(), 0)
    await within(20_000, 'the clients of the stopped node are back', Promise.all(again))
    await allHear([...leaving, ...staying], 'elsewhere', leaving[0])

    site.nodes[0] = await site.nodes[0].restart()
    // nginx leaves a server alone for 10 s once it took no connection.
    await until('its address leads to it again', () => isLed(addresses[0], site.url, 'B'), { ms: 60_000 })
    const late = await clientFrom(addresses[0], site.url, { transports: ['websocket'] })
    assert.ok(await metric(site.nodes[0], 'wingbeat_connections') > 0)
    // Clients that poll move back with their address, and may be under way.
    await allHear([leaving.at(-1), ...staying, late], 'home', late)
    assert.equal(disconnects, 0)
  })

  it('the metrics stay inside', async () => {
    assert.equal((await fetch(`${site.url}/metrics`)).status, 404)
  })
})

describe('nginx without sticky sessions', () => {
  let site
  before(async () => { site = await startSite({ isSticky: false }) })
  after(stopStarted)

  it('clients that begin with a websocket need none, and REST neither', async () => {
    const clients = [await clientFrom(2, site.url, { transports: ['websocket'] }), await clientFrom(2, site.url, { transports: ['websocket'] })]
    assert.deepEqual(await ofEach(site.nodes, 'wingbeat_connections'), [1, 1])
    for (const n of [0, 1, 2, 3]) await allHear(clients, n, restClient(site.url))
    assert.equal(sum(await ofEach(site.nodes, 'wingbeat_wrong_node_total')), 0)
  })

  it('the client of the page is one of these', async () => {
    const [code] = await blocks(page, 'js')
    const socket = new Function('io', `${code}\nreturn socket`)((url, options) => io(site.url, { ...options, forceNew: true, reconnection: false }))
    await within(20_000, 'connected', new Promise((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject)))
    socket.close()
  })

  it('a client that polls is told why it can not', async () => {
    const [expected] = await blocks(page, 'json')
    const socket = io(site.url, { transports: ['polling'], forceNew: true, reconnection: false })
    // The body is gone with the request as soon as its listeners ran.
    const refused = new Promise((resolve) => socket.once('connect_error', ({ context }) => resolve(context.responseText)))

    assert.deepEqual(JSON.parse(await within(20_000, 'the refusal', refused)), JSON.parse(expected))
    assert.ok(sum(await ofEach(site.nodes, 'wingbeat_wrong_node_total')) > 0)
  })
})
