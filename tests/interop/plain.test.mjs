// Plain websockets and server-sent events with clients that know nothing of us: a browser's own, Node's and curl.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { chromium as playwright } from 'playwright-core'
import WebSocket from 'ws'

import { chromium, FLAGS, lastingPort, Program, restClient, startFixture, stopStarted, until, within } from './support.mjs'

const LIMIT_MS = 30_000

let node, events
before(async () => {
  node = await startFixture()
  events = restClient(node.url).service('ev')
})
after(stopStarted)

describe('in a browser', () => {
  let browser, page
  before(async () => {
    browser = await playwright.launch({ executablePath: chromium(), args: FLAGS })
    page = await browser.newPage()
    page.setDefaultTimeout(LIMIT_MS)
    await page.goto(`${node.url}/live`)
  })
  after(() => browser?.close())

  /** Waits until an expression of the page is true. */
  const shown = (expression) => page.waitForFunction(expression, undefined, { timeout: LIMIT_MS })

  it('its EventSource hears what it asks for', async () => {
    await page.evaluate(() => {
      window.heard = []
      window.source = new EventSource('/events?service=ev&service=todos&event=created')
      window.source.addEventListener('ev created', ({ data, lastEventId }) => window.heard.push([JSON.parse(data), lastEventId]))
      window.source.addEventListener('ev patched', () => window.heard.push('not asked for'))
      window.source.onmessage = () => window.heard.push('without a name')
      window.source.addEventListener('gap', () => window.heard.push('gap'))
    })
    await shown(() => window.source.readyState === EventSource.OPEN)

    await events.create({ text: 'é\u2028 \u{1F426}' })
    await events.patch(0, { text: 'x' })
    await events.create({ text: 'last' })

    await shown(() => window.heard.length === 2)
    const heard = await page.evaluate(() => window.heard)
    assert.deepEqual(heard.map(([{ text }]) => text), ['é\u2028 \u{1F426}', 'last'])
    assert.ok(heard.every(([, id]) => id.length === 12), 'the id is that of the stream')
    await page.evaluate(() => window.source.close())
    await until('it has left', async () => (await connectionsOf(node)) === 0)
  })

  it('its WebSocket calls, hears and is told when the node goes', async () => {
    const own = await startFixture()
    await page.evaluate((url) => {
      window.socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, ['wingbeat.json'])
      window.messages = []
      window.socket.onmessage = ({ data }) => window.messages.push(JSON.parse(data))
      window.socket.onclose = ({ code }) => window.messages.push(code)
    }, own.url)
    await shown(() => window.socket.readyState === WebSocket.OPEN)

    await page.evaluate(() => {
      window.socket.send(JSON.stringify([7, 'create', 'ev', { text: 'hi' }]))
      window.socket.send(JSON.stringify([8, 'get', 'todos', -1]))
    })

    await shown(() => window.messages.length === 3)
    const messages = await page.evaluate(() => window.messages)
    const answers = messages.filter(([first]) => typeof first === 'number').sort(([a], [b]) => a - b)
    assert.equal(answers[0][2].text, 'hi')
    assert.equal(answers[1][1].name, 'NotFound')
    assert.equal(messages.find(([first]) => first === 'ev created')[1].text, 'hi')
    assert.equal(await page.evaluate(() => window.socket.protocol), 'wingbeat.json')
    assert.equal(await own.stop(), 0)
    await shown(() => window.messages[3] === 1012)
  })

  it('its WebSocket is refused with subprotocols that are unknown', async () => {
    const code = await page.evaluate(() => new Promise((resolve) => {
      new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, ['chat']).onclose = ({ code }) => resolve(code)
    }))
    assert.equal(code, 1006)
  })

  it('its EventSource comes back to a node that was restarted, and hears of the gap', async () => {
    const port = await lastingPort()
    const first = await startFixture({}, port)
    const other = await browser.newPage()
    await other.goto(`${first.url}/live`)
    await other.evaluate(() => {
      window.heard = []
      const source = new EventSource('/events?service=ev')
      source.addEventListener('ev created', ({ data }) => window.heard.push(JSON.parse(data).text))
      source.addEventListener('gap', ({ data }) => window.heard.push(JSON.parse(data).lastEventId.length))
      source.onopen = () => window.heard.push('open')
    })
    const hears = (n) => other.waitForFunction((n) => window.heard.length >= n, n, { timeout: LIMIT_MS })
    await hears(1)
    assert.equal(await first.stop(), 0)

    const second = await startFixture({}, port)
    await hears(3)
    await restClient(second.url).service('ev').create({ text: 'hi' })
    await hears(4)

    assert.deepEqual(await other.evaluate(() => window.heard), ['open', 'open', 12, 'hi'])
    await other.close()
  })
})

describe('in Node', () => {
  it('a WebSocket calls and hears', async () => {
    const socket = new WebSocket(`${node.url.replace('http', 'ws')}/ws`)
    const messages = []
    socket.on('message', (data) => messages.push(JSON.parse(data)))
    await within(LIMIT_MS, 'open', new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)))

    socket.send(JSON.stringify([1, 'custom', 'echo', { a: 1 }, { q: 2 }]))
    await until('the answer', () => messages.length === 1, { ms: LIMIT_MS })
    await events.create({ text: 'hi' })
    await until('the event', () => messages.length === 2, { ms: LIMIT_MS })

    const [[id, error, result], [name, data]] = messages
    assert.deepEqual([id, error, result.data, result.query], [1, null, { a: 1 }, { q: 2 }])
    assert.deepEqual([name, data.text], ['ev created', 'hi'])
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.send('no call')
    assert.equal(await within(LIMIT_MS, 'close', closed), 1007)
  })
})

describe('curl', () => {
  it('prints events as they happen and ends with the node', async () => {
    const own = await startFixture()
    const curl = new Program('curl', 'curl', ['-sN', `${own.url}/events?service=ev&event=created`], {})
    await curl.line('the opening', (line) => line === 'retry: 2000')

    await restClient(own.url).service('ev').create({ text: 'hi' })

    await curl.line('the name', (line) => line === 'event: ev created')
    await curl.line('the data', (line) => line.startsWith('data: {') && line.includes('"text":"hi"'))
    assert.equal(await own.stop(), 0)
    assert.equal(await within(LIMIT_MS, 'curl ends', curl.ended), 0)
    assert.match(curl.lines.findLast((line) => line !== ''), /^retry: \d{4}$/)
  })
})

async function connectionsOf ({ url }) {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(/^wingbeat_connections (\d+)$/m.exec(metrics)[1])
}
