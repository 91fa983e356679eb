// Plain websockets and server-sent events through nginx, set up as docs/guide/load-balancers.md says.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { chromium as playwright } from 'playwright-core'
import WebSocket from 'ws'

import { addressOf, from, metric, startSite } from './nginx.mjs'
import { chromium, FLAGS, Program, restClient, stopStarted, until, within } from './support.mjs'

const LIMIT_MS = 30_000
const QUERY = 'service=ev&event=created'

/** A plain websocket of an address; what it hears, and the code with which it ends, is in `heard`. */
const socketFrom = async (number, url, protocols = []) => {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws`, protocols, { agent: from(number) })
  const heard = []
  socket.on('message', (data, isBinary) => heard.push(isBinary ? data : JSON.parse(data)))
  socket.on('close', (code) => heard.push(code))
  await within(LIMIT_MS, 'open', new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject)))
  return { socket, heard, close: () => socket.terminate() }
}

/** A stream of an address, as lines. */
const streamFrom = async (number, url) => {
  const curl = new Program('curl', 'curl', ['-sN', '--interface', `127.0.0.${number}`, `${url}/events?${QUERY}`], {})
  await curl.line('the opening', (line) => line === 'retry: 2000', LIMIT_MS)
  return curl
}

/** Waits until a stream has an event, while the stream goes on. */
const hasEvent = async (curl, text) => {
  await curl.line(text, (line) => line.startsWith('data: {') && JSON.parse(line.slice(6)).text === text, LIMIT_MS)
  assert.equal(curl.child.exitCode, null, 'the stream is over')
}

for (const [how, extra] of [['as the page has it', false], ['that ignores X-Accel-Buffering', true]]) describe(`nginx ${how}`, () => {
  let site, addresses
  before(async () => {
    site = await startSite({ isSticky: true, isTold: extra })
    addresses = [await addressOf(site.url, 'B'), await addressOf(site.url, 'A')]
  })
  after(stopStarted)

  it('streams and websockets of both nodes hear each event at once', async () => {
    const sockets = await Promise.all(addresses.map((number) => socketFrom(number, site.url)))
    const streams = await Promise.all(addresses.map((number) => streamFrom(number, site.url)))

    for (const [n, { socket }] of sockets.entries()) {
      const text = `from ${n}`
      socket.send(JSON.stringify([n, 'create', 'ev', { text }]))
      await Promise.all(streams.map((stream) => hasEvent(stream, text)))
      const hears = ({ heard }) => heard.filter(([name, data]) => name === 'ev created' && data.text === text).length === 1
      await until(`both hear ${text}`, () => sockets.every(hears), { ms: LIMIT_MS })
      await until('the answer', () => sockets[n].heard.some(([id, error]) => id === n && error === null))
    }
    await Promise.all(streams.map((stream) => stream.stop()))
    sockets.forEach(({ close }) => close())
  })

  it('subprotocols pass, and so do their refusals', async () => {
    const packed = await socketFrom(addresses[0], site.url, ['wingbeat.msgpack'])
    assert.equal(packed.socket.protocol, 'wingbeat.msgpack')
    // [1, "find", "todos"], and an answer that begins as [1, null, …].
    packed.socket.send(Buffer.from([0x93, 1, 0xa4, ...Buffer.from('find'), 0xa5, ...Buffer.from('todos')]))
    await until('the answer', () => packed.heard.length === 1)
    assert.deepEqual([...packed.heard[0].subarray(0, 3)], [0x93, 1, 0xc0])
    packed.close()
    await assert.rejects(socketFrom(addresses[0], site.url, ['chat']), /400/)
  })
})

describe('a browser behind nginx', () => {
  let site, browser, page
  before(async () => {
    site = await startSite({ isSticky: true })
    browser = await playwright.launch({ executablePath: chromium(), args: FLAGS })
    page = await browser.newPage()
    page.setDefaultTimeout(LIMIT_MS)
    await page.goto(`${site.url}/live`)
    // A handshake with cookies is taken from a page of the same host alone: nginx passes the host on.
    await page.evaluate(() => { document.cookie = 'session=1' })
  })
  after(async () => { await browser?.close(); await stopStarted() })

  it('its EventSource goes on at the other node when its own is restarted, and its WebSocket is told', async () => {
    await page.evaluate(() => {
      window.heard = []
      window.said = []
      window.source = new EventSource('/events?service=ev&event=created')
      window.source.onopen = () => window.heard.push('open')
      window.source.addEventListener('ev created', ({ data }) => window.heard.push(JSON.parse(data).text))
      window.source.addEventListener('gap', () => window.heard.push('gap'))
      window.socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`)
      window.socket.onmessage = ({ data }) => window.said.push(JSON.parse(data))
      window.socket.onclose = ({ code }) => window.said.push(code)
    })
    const hears = (n) => page.waitForFunction((n) => window.heard.length >= n, n, { timeout: LIMIT_MS })
    await hears(1)
    await page.waitForFunction(() => window.socket.readyState === WebSocket.OPEN)
    await restClient(site.url).service('ev').create({ text: 'before' })
    await hears(2)
    await page.waitForFunction(() => window.said.length === 1)

    // All that it has goes to one node, as its address does.
    const counts = await Promise.all(site.nodes.map((node) => metric(node, 'wingbeat_connections')))
    assert.deepEqual(counts.toSorted(), [0, 2])
    assert.equal(await site.nodes[counts.indexOf(2)].stop(), 0)
    await hears(4)
    await restClient(site.url).service('ev').create({ text: 'after' })
    await hears(5)

    assert.deepEqual(await page.evaluate(() => window.heard), ['open', 'before', 'open', 'gap', 'after'])
    const said = await page.evaluate(() => window.said)
    assert.deepEqual([said[0][1].text, said[1]], ['before', 1012])
  })
})
