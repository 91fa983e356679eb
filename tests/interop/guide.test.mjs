// What the guide tells a newcomer to do, done: its blocks are what runs here.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { blocks, buildProject, replaced, runScript, shell } from './guide.mjs'
import { freePort, lastingPort, listen, Program, restClient, socketClient, startFixture, startRedis, stopStarted, until } from './support.mjs'

describe('getting-started.md', () => {
  const page = 'getting-started.md'
  let redis, nodes, words, isReady, create

  before(async () => {
    const program = await buildProject()
    redis = await startRedis(await lastingPort())
    const [, , , askReady, createOne] = await blocks(page, 'sh')
    const ports = [await freePort(), await freePort()]
    words = Object.fromEntries(ports.map((port, index) => [`127.0.0.1:${3030 + index}`, `127.0.0.1:${port}`]))
    ;[isReady, create] = [() => shell(replaced(askReady, words)), () => shell(createOne.replace('127.0.0.1:3030', words['127.0.0.1:3030']))]
    nodes = []
    for (const port of ports) {
      const node = nodes[nodes.length] = new Program(`node ${port}`, program, [], { PORT: `${port}`, SYNC_URI: redis.uri })
      await node.line('its address', (line) => line === `http://127.0.0.1:${port}`)
    }
    // A curl that comes too early is refused.
    const bothAnswer = async () => (await Promise.all(Object.values(words).map((host) => fetch(`http://${host}/live`).catch(() => ({}))))).every(({ ok }) => ok)
    await until('both nodes listen', bothAnswer)
  })
  after(stopStarted)

  it('shows what the page says, on the other node', async (t) => {
    const expected = '{"ready":true,"draining":false,"sync":"ready"}'
    await until('both nodes are ready', async () => (await isReady()) === expected.repeat(2))
    const [code] = await blocks(page, 'js')
    const listener = await runScript(t, 'listen.mjs', code.replace('127.0.0.1:3031', words['127.0.0.1:3031']))
    await listener.line('connected', (line) => line === 'connected')

    assert.equal(await create(), '{"text":"hi","id":0}')
    const [shown] = await blocks(page, 'text')
    await until('the listener heard of it', () => listener.lines.length >= 2)
    assert.equal(`${listener.lines.join('\n')}\n`, shown)
    for (const node of nodes) await node.line('the message', (line) => line === 'message 0: hi')

    await redis.kill()
    for (const id of [1, 2]) assert.equal(await create(), `{"text":"hi","id":${id}}`)
    await startRedis(redis.port)
    await until('the listener heard of the others', () => listener.lines.length >= 4, { ms: 30_000, describe: () => listener.lines.join('\n') })
    assert.deepEqual(listener.lines.slice(2), [1, 2].map((id) => `created { text: 'hi', id: ${id} }`))
  })
})

describe('from-feathers-sync.md', () => {
  after(stopStarted)

  it('its Node program and a wingbeat node share a broker', async (t) => {
    const { uri } = await startRedis()
    const [code] = await blocks('from-feathers-sync.md', 'js')
    const [port, fixture] = [await freePort(), await startFixture({ SYNC_URI: uri, SYNC_KEY: 'chat', SYNC_NODE_PATHS: 'messages' })]
    const program = await runScript(t, 'server.mjs', replaced(code, { 'redis://127.0.0.1:6379': uri, 'listen(3030)': `listen(${port}); console.log('listening')` }))
    await program.line('listening', (line) => line === 'listening')
    const node = { url: `http://127.0.0.1:${port}` }
    const [there, here] = [restClient(node.url).service('messages'), restClient(fixture.url).service('messages')]
    const heard = await Promise.all([node, fixture].map(async ({ url }) => listen(await socketClient(url), 'messages', 'created')))

    // It has subscribed once it hears; what comes before is lost to it.
    await until('the Node program hears', async () => { await here.create({ text: 'ping' }); return program.lines.includes('created ping') })
    await there.create({ text: 'hidden', hidden: true })
    await there.create({ text: 'draft', draft: true })
    await there.create({ text: 'over' })
    await here.create({ text: 'back' })

    const texts = () => heard.map((list) => list.map(({ text }) => text).filter((text) => text !== 'ping'))
    const expected = [['draft', 'over', 'back'], ['hidden', 'over', 'back']]
    await until('all have come', () => texts().every((list) => list.length >= 3), { describe: () => JSON.stringify(texts()) })
    assert.deepEqual(texts().map((list) => list.sort()), expected.map((list) => list.sort()))
    assert.ok(heard[1].filter(({ text }) => text === 'over').every(({ room }) => room === 'hall'))
  })
})

describe('clients.md', () => {
  after(stopStarted)

  it('its clients call, listen, and read anew when they are connected again', async (t) => {
    const port = await lastingPort()
    let node = await startFixture({}, port)
    const own = (code) => replaced(code, { '127.0.0.1:3030': `127.0.0.1:${port}` })
    const [listening, calling] = await blocks('clients.md', 'js')
    const listener = await runScript(t, 'listening.mjs', own(listening))
    await listener.line('the first reading', (line) => line === 'read []')

    const caller = await runScript(t, 'calling.mjs', own(calling))
    await caller.line('the answer', (line) => line === "{ text: 'hi', id: 1 }")
    await listener.line('the event', (line) => line === 'created hi')

    await node.stop()
    node = await startFixture({}, port)
    await until('the second reading', () => listener.lines.filter((line) => line === 'read []').length === 2, { ms: 30_000, describe: () => listener.lines.join('\n') })
  })
})
