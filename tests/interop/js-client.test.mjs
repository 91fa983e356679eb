// The client of clients/js against real nodes, in Node and in a browser.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { chromium as playwright } from 'playwright-core'
import WebSocket from 'ws'

import { connect, listen, WingbeatError } from '../../clients/js/wingbeat.js'
import { chromium, FLAGS, freePort, lastingPort, startFixture, stopStarted, until, within } from './support.mjs'

const LIMIT_MS = 30_000
const here = (path) => fileURLToPath(new URL(path, import.meta.url))

let node
const opened = []
before(async () => { node = await startFixture() })
after(async () => {
  opened.forEach((client) => client.close())
  await stopStarted()
})

/** A client that ends with the tests; what it tells of its connection is collected. */
const started = (client) => {
  opened.push(client)
  const told = []
  client.on('open', () => told.push('open'))
  client.on('gap', () => told.push('gap'))
  client.on('close', (closing) => told.push(closing))
  client.on('error', (error) => told.push(error))
  return Object.assign(client, { told })
}
const connected = (url = node.url, options = {}) => started(connect(url, { WebSocket, firstDelay: 50, longestDelay: 200, ...options }))
const listening = (services, options = {}, url = node.url) => started(listen(url, services, { firstDelay: 50, longestDelay: 200, ...options }))
const isOpen = (client, times = 1) => until('it is open', () => client.told.filter((what) => what === 'open').length >= times, { ms: LIMIT_MS })
const failure = async (call) => {
  const error = await within(LIMIT_MS, 'a refusal', call.then(() => assert.fail('it succeeded'), (error) => error))
  assert.ok(error instanceof WingbeatError, String(error))
  return error
}

describe('a websocket in Node', () => {
  it('makes all kinds of calls, also such that were made before it is open', async () => {
    const todos = connected().service('/todos/')
    const made = await todos.create({ text: 'hi', complete: false })
    assert.equal(made.text, 'hi')
    assert.equal((await todos.get(made.id)).text, 'hi')
    assert.equal((await todos.patch(made.id, { complete: true })).complete, true)
    assert.equal((await todos.update(made.id, { text: 'new' })).complete, undefined)
    assert.deepEqual((await todos.find({ text: 'new' })).map(({ id }) => id), [made.id])
    assert.equal((await todos.call('customMethod', { a: 1 })).type, 'customMethod')
    assert.equal((await todos.remove(made.id)).text, 'new')
  })

  it('comes back after it sent too fast', async () => {
    const strict = await startFixture({ MAX_MESSAGES_PER_SECOND: '5' })
    const client = connected(strict.url)
    await isOpen(client)
    const calls = Array.from({ length: 200 }, () => client.service('todos').find())
    const answers = await within(LIMIT_MS, 'answers and failures', Promise.allSettled(calls))
    assert.ok(answers.some(({ reason }) => reason?.name === 'ConnectionLost'))
    assert.equal(client.told.find((what) => what.code)?.code, 4429)
    await isOpen(client, 2)
    assert.ok(Array.isArray(await client.service('todos').find()))
  })

  it('fails as the service does', async () => {
    const error = await failure(connected().service('todos').get(-1))
    assert.deepEqual([error.name, error.code, error.className], ['NotFound', 404, 'not-found'])
    assert.match(error.message, /No record found for id '-1'/)
  })

  it('hears events until it does not want to, and one bad listener takes nothing from others', async () => {
    const client = connected()
    const events = client.service('ev')
    const [heard, kept, problems] = [[], [], []]
    const before = console.error
    console.error = (error) => problems.push(error.message)
    events.on('created', () => { throw new Error('a bad listener') })
    const remove = events.on('created', ({ text }) => heard.push(text))
    events.on('created', ({ text }) => kept.push(text))
    await events.create({ text: 'first' })
    await until('both have heard it', () => heard.length && kept.length)
    remove()
    await events.create({ text: 'second' })
    await until('one has heard it', () => kept.length === 2)
    console.error = before
    assert.deepEqual([heard, kept], [['first'], ['first', 'second']])
    assert.deepEqual(problems, ['a bad listener', 'a bad listener'])
  })

  it('comes back to a node that was restarted, tells of the gap, and makes what waited', async () => {
    const port = await lastingPort()
    const first = await startFixture({}, port)
    const client = connected(first.url)
    await isOpen(client)
    assert.equal(await first.stop(), 0)
    await until('it is told', () => client.told.length > 1)
    assert.equal(client.told[1].code, 1012)
    assert.ok(client.told[1].retryIn >= 25, 'there is a next attempt')
    const waiting = client.service('todos').find()

    await startFixture({}, port)

    assert.equal((await within(LIMIT_MS, 'the call that waited', waiting)).length, 1)
    await until('it is told of the gap', () => client.told.at(-1) === 'gap')
    assert.equal(client.told.filter((what) => what === 'open').length, 2)
  })

  it('does not make a call again whose answer was lost', async () => {
    const own = await startFixture()
    const client = connected(own.url)
    await isOpen(client)
    await own.freeze()
    const error = failure(client.service('todos').find())
    await own.kill()
    assert.equal((await error).name, 'ConnectionLost')
  })

  it('leaves a node that is silent', async () => {
    const own = await startFixture()
    const client = connected(own.url, { silence: 200, timeout: 500 })
    await isOpen(client)
    await until('it was asked and is there', async () => (await client.service('todos').find()).length > 0)
    await own.freeze()
    await until('it is left', () => client.told.some(({ reason }) => reason === 'the node does not answer'), { ms: LIMIT_MS })
    await own.kill()
  })

  it('keeps a connection on which nothing happens but its own questions', async () => {
    const client = connected(node.url, { silence: 20 })
    await isOpen(client)
    const events = client.service('ev')
    for (let n = 0; n < 20; n++) await events.find()
    await new Promise((resolve) => setTimeout(resolve, 500))
    await events.find()
    assert.deepEqual(client.told, ['open'])
  })

  it('gives calls up after a while, and all of them when it is closed', async () => {
    const client = connected(`http://127.0.0.1:${await freePort()}`, { timeout: 100 })
    assert.deepEqual([(await failure(client.service('todos').find())).name, client.isClosed], ['Timeout', false])
    const open = failure(client.service('todos').find())
    client.close()
    assert.equal((await open).name, 'Closed')
    assert.equal((await failure(client.service('todos').find())).name, 'Closed')
    assert.throws(() => connect('no address', { WebSocket }), TypeError)
  })

  it('makes its query anew for each connection', async () => {
    const port = await lastingPort()
    let n = 0
    const first = await startFixture({}, port)
    const client = connected(first.url, { query: async () => ({ ticket: `${++n}` }) })
    await isOpen(client)
    await first.stop()
    await startFixture({}, port)
    await isOpen(client, 2)
    assert.ok(n >= 2)
  })
})

describe('server-sent events in Node', () => {
  it('are heard, and only those that are asked for', async () => {
    const client = listening(['ev', 'todos'], { events: ['created'] })
    const heard = []
    client.service('ev').on('created', ({ text }) => heard.push(text))
    client.service('ev').on('patched', () => heard.push('not asked for'))
    await isOpen(client)
    const events = connected().service('ev')
    await events.create({ text: 'é\u2028 \u{1F426}\n' })
    await events.patch(0, {})
    await events.create({ text: 'last' })
    await until('the last is heard', () => heard.includes('last'))
    assert.deepEqual(heard, ['é\u2028 \u{1F426}\n', 'last'])
  })

  it('come back after a restart, with the gap', async () => {
    const port = await lastingPort()
    const first = await startFixture({}, port)
    const client = listening(['ev'], {}, first.url)
    await isOpen(client)
    assert.equal(await first.stop(), 0)
    const second = await startFixture({}, port)
    await until('it is told of the gap', () => client.told.includes('gap'), { ms: LIMIT_MS })
    const heard = []
    client.on('ev created', ({ text }) => heard.push(text))
    await connected(second.url).service('ev').create({ text: 'hi' })
    await until('it hears again', () => heard.length === 1)
  })

  it('are given up when the node refuses', async () => {
    const client = listening(['nothing-here'])
    await until('it is refused', () => client.isClosed)
    const [error, closing] = client.told
    assert.equal(error.code, 404)
    assert.equal(closing.retryIn, undefined)
  })
})

describe('in a browser', () => {
  let browser, page
  before(async () => {
    browser = await playwright.launch({ executablePath: chromium(), args: FLAGS })
    page = await browser.newPage()
    page.setDefaultTimeout(LIMIT_MS)
    const body = await readFile(here('../../clients/js/wingbeat.js'), 'utf8')
    await page.route('**/wingbeat.js', (route) => route.fulfill({ body, contentType: 'text/javascript' }))
    await page.goto(`${node.url}/live`)
  })
  after(() => browser?.close())

  it('it calls, hears over both, and fails as the service does', async () => {
    await page.evaluate(async () => {
      const { connect, listen } = await import('/wingbeat.js')
      window.heard = []
      const stream = listen('/', ['ev'])
      stream.service('ev').on('created', ({ text }) => window.heard.push(`sse ${text}`))
      await new Promise((resolve) => stream.on('open', resolve))
      const app = connect('/')
      app.service('ev').on('created', ({ text }) => window.heard.push(`ws ${text}`))
      await app.service('ev').create({ text: 'hi' })
      window.error = await app.service('todos').get(-1).catch(({ name, code }) => [name, code])
    })
    await page.waitForFunction(() => window.heard.length === 2)
    assert.deepEqual((await page.evaluate(() => window.heard)).sort(), ['sse hi', 'ws hi'])
    assert.deepEqual(await page.evaluate(() => window.error), ['NotFound', 404])
  })
})

describe('the types', () => {
  it('fit a program that uses all of it, and refuse one that does not', async () => {
    const tsc = here('node_modules/typescript/bin/tsc')
    const flags = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--lib', 'es2022,dom']
    const check = (file) => promisify(execFile)(process.execPath, [tsc, ...flags, here(file)])
    await check('js-client.types.ts')
    const refused = await check('js-client.wrong.ts').then(() => assert.fail('it was taken'), ({ stdout }) => stdout)
    assert.equal(refused.match(/error TS/g).length, 3, refused)
  })
})
