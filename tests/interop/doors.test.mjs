// Pages of a browser on two nodes, over every broker: what one of them does by its WebSocket, by REST or by Socket.IO, the
// EventSource and the WebSocket of both hear once and in order.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { chromium as playwright } from 'playwright-core'

import { chromium, FLAGS, lastingPort, restClient, socketClient, startFixture, startNats, startRabbitMq, startRedis, stopStarted, syncOf, until } from './support.mjs'

const LIMIT_MS = 30_000
const BROKERS = { Redis: startRedis, RabbitMQ: startRabbitMq, NATS: startNats }

let browser
before(async () => { browser = await playwright.launch({ executablePath: chromium(), args: FLAGS }) })
after(() => browser?.close())

/** A page of a node that listens in both ways. */
const listeningPage = async ({ url }) => {
  const page = await browser.newPage()
  page.setDefaultTimeout(LIMIT_MS)
  await page.goto(`${url}/live`)
  await page.evaluate(() => {
    window.heard = { source: [], socket: [] }
    window.source = new EventSource('/events?service=ev&event=created')
    window.source.addEventListener('ev created', ({ data }) => window.heard.source.push(JSON.parse(data).text))
    window.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`)
    window.socket.onmessage = ({ data }) => {
      const [name, event] = JSON.parse(data)
      if (name === 'ev created') window.heard.socket.push(event.text)
    }
  })
  await page.waitForFunction(() => window.source.readyState === EventSource.OPEN && window.socket.readyState === WebSocket.OPEN)
  return page
}

for (const [name, start] of Object.entries(BROKERS)) describe(`two nodes over ${name}`, () => {
  let nodes, pages
  before(async () => {
    const { uri } = await start()
    nodes = await Promise.all(['A', 'B'].map(async (name) => startFixture({ SYNC_URI: uri, NODE_NAME: name }, await lastingPort())))
    const know = async () => (await Promise.all(nodes.map(syncOf))).every(({ peers }) => peers.length === 1)
    await until('the nodes know each other', know, { ms: LIMIT_MS })
    pages = await Promise.all(nodes.map(listeningPage))
  })
  after(async () => { await Promise.all((pages ?? []).map((page) => page.close())); await stopStarted() })

  it('their pages hear what is done at either, once and in order', async () => {
    const expected = []
    for (const [index, node] of nodes.entries()) {
      const doors = {
        REST: (text) => restClient(node.url).service('ev').create({ text }),
        'Socket.IO': async (text) => (await socketClient(node.url)).service('ev').create({ text }),
        WebSocket: (text) => pages[index].evaluate((text) => window.socket.send(JSON.stringify([1, 'create', 'ev', { text }])), text)
      }
      for (const [door, create] of Object.entries(doors)) {
        expected.push(`${door} at ${node.name}`)
        await create(expected.at(-1))
        const n = expected.length
        await Promise.all(pages.map((page) => page.waitForFunction((n) => Object.values(window.heard).every(({ length }) => length >= n), n)))
      }
    }

    for (const page of pages) assert.deepEqual(await page.evaluate(() => window.heard), { source: expected, socket: expected })
  })
})
