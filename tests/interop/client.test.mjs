// An unmodified @feathersjs/client application against the fixture: alone, and against two nodes on one broker.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { clientOf, listen, nextEvent, restClient, socketClient, startFixture, startRedis, stopStarted, until } from './support.mjs'

const provider = (kind) => (kind === 'rest' ? 'rest' : 'socketio')

const notFound = (message) => ({ name: 'NotFound', code: 404, className: 'not-found', message })

describe('one node', () => {
  let node
  before(async () => { node = await startFixture() })
  after(stopStarted)

  for (const kind of ['rest', 'socketio']) describe(`over ${kind}`, () => callsAndAnswers(() => node.url, kind))

  describe('events', () => eventsOfOneNode(() => node.url))
})

describe('two nodes on one Redis', () => {
  let nodeA, nodeB, clientA, clientB
  before(async () => {
    const { uri } = await startRedis()
    const env = { SYNC_URI: uri, SYNC_KEY: 'wingbeat-client-test' }
    ;[nodeA, nodeB] = await Promise.all(['A', 'B'].map((name) => startFixture({ ...env, NODE_NAME: name })))
    ;[clientA, clientB] = await Promise.all([nodeA, nodeB].map(({ url }) => socketClient(url)))
  })
  after(stopStarted)

  it('a client of B hears what a client of A creates, updates, patches and removes', async () => {
    const todos = clientA.service('todos')
    const heard = (event, action) => nextEvent(clientB, 'todos', event, action)

    let todo
    const created = await heard('created', async () => { todo = await todos.create({ text: 'on A', complete: false }) })
    assert.deepEqual(created, todo)
    const updated = await heard('updated', () => todos.update(todo.id, { text: 'rewritten', complete: false }))
    assert.deepEqual(updated, { text: 'rewritten', complete: false, id: todo.id })
    const patched = await heard('patched', () => todos.patch(todo.id, { complete: true }))
    assert.deepEqual(patched, { text: 'rewritten', complete: true, id: todo.id })
    const removed = await heard('removed', () => todos.remove(todo.id))
    assert.deepEqual(removed, { text: 'rewritten', complete: true, id: todo.id })
  })

  it('a client of A hears what a REST client does on B', async () => {
    const rest = restClient(nodeB.url)

    const created = await nextEvent(clientA, 'todos', 'created', () => rest.service('todos').create({ text: 'on B' }))

    assert.equal(created.text, 'on B')
  })

  it('a custom event reaches the clients of both nodes', async () => {
    const heard = [clientA, clientB].map((client) => listen(client, 'ev', 'custom'))

    await clientA.service('ev').fire({ event: 'custom', payload: { from: 'A', list: [1, null, 'é'] } })

    await until('both clients heard it', () => heard.every((events) => events.length > 0))
    assert.deepEqual(heard, [[{ from: 'A', list: [1, null, 'é'] }], [{ from: 'A', list: [1, null, 'é'] }]])
  })

  it('the elements of one call arrive one by one, in their order', async () => {
    const heard = listen(clientB, 'messages', 'created')
    const texts = Array.from({ length: 25 }, (_, index) => `element ${index}`)

    const created = await clientA.service('messages').create(texts.map((text) => ({ text })))

    await until('all elements are there', () => heard.length >= texts.length)
    assert.deepEqual(heard, created)
  })

  it('each client hears each event once, in order, whoever made it', async () => {
    const heard = [clientA, clientB].map((client) => listen(client, 'ev', 'created'))
    const createAll = async (client, from) => {
      for (let n = 0; n < 100; n++) await client.service('ev').create({ from, n })
    }

    await Promise.all([createAll(clientA, 'A'), createAll(clientB, 'B')])
    await until('all events are there', () => heard.every((events) => events.length >= 200))
    for (const client of [clientA, clientB]) await client.service('ev').create({ from: 'last', n: 0 })
    await until('the last ones are there', () => heard.every((events) => events.filter(({ from }) => from === 'last').length >= 2))

    const inOrder = Array.from({ length: 100 }, (_, n) => n)
    for (const events of heard) {
      assert.deepEqual(events.filter(({ from }) => from === 'A').map(({ n }) => n), inOrder)
      assert.deepEqual(events.filter(({ from }) => from === 'B').map(({ n }) => n), inOrder)
    }
  })
})

function callsAndAnswers (url, kind) {
  let client, todos
  before(async () => {
    client = await clientOf(kind, url())
    todos = client.service('todos')
    await restClient(url()).service('harness').create({})
  })

  it('finds the only entry', async () => {
    assert.deepEqual(await todos.find(), [{ text: 'some todo', complete: false, id: 0 }])
  })

  it('passes nested queries and lists', async () => {
    const query = { word: 'one two', list: ['a', 'b'], deep: { er: { est: { $in: ['0', '1'] } } }, sign: 'a&b=c+d é' }

    assert.deepEqual((await todos.get(0, { query })).query, query)
  })

  it('creates, updates, patches and removes', async () => {
    const todo = await todos.create({ text: 'first', complete: false })
    assert.deepEqual(todo, { text: 'first', complete: false, id: 1 })
    assert.deepEqual(await todos.update(todo.id, { text: 'second', complete: false }), { text: 'second', complete: false, id: 1 })
    assert.deepEqual(await todos.patch(todo.id, { complete: true }), { text: 'second', complete: true, id: 1 })
    assert.deepEqual(await todos.remove(todo.id), { text: 'second', complete: true, id: 1 })
    await assert.rejects(todos.get(todo.id), notFound("No record found for id '1'"))
  })

  it('a null id and an empty result stay null', async () => {
    assert.deepEqual(await todos.remove(null), { id: null, text: 'deleted many' })
    assert.equal(await todos.remove(0, { query: { noContent: true } }), null)
  })

  it('errors arrive with their message', async () => {
    await assert.rejects(todos.get(0, { query: { error: true } }), { message: 'Something went wrong' })
  })

  it('Feathers errors arrive as their class, with code and data', async () => {
    const expected = { name: 'NotAcceptable', code: 406, className: 'not-acceptable', message: 'This is a Feathers error', data: { data: true } }
    await assert.rejects(todos.get(0, { query: { feathersError: true } }), expected)
    await assert.rejects(client.service('messages').boom({}), { name: 'Conflict', code: 409, message: 'boom', data: { why: 'because' } })
  })

  it('unknown services are not found', async () => {
    const message = kind === 'rest' ? 'Page not found' : "Service 'not/me' not found"
    await assert.rejects(client.service('not/me').find(), notFound(message))
  })

  it('calls custom methods', async () => {
    assert.deepEqual(await todos.customMethod({ hello: 1 }), { data: { hello: 1 }, provider: provider(kind), type: 'customMethod' })
    assert.deepEqual(await client.service('messages').ping([1, 'two']), { pong: [1, 'two'], provider: provider(kind) })
  })

  it('ids are strings over REST and keep their type over sockets', async () => {
    const { id, types } = await client.service('echo').patch(77, { text: 'x' })

    assert.deepEqual([id, types], kind === 'rest' ? ['77', { id: 'string', data: 'object' }] : [77, { id: 'number', data: 'object' }])
  })

  it('routes with placeholders reach the service', async () => {
    const { id, route } = await client.service('org/acme/items').get('a-1')

    assert.deepEqual([id, route], ['a-1', { orgId: 'acme' }])
  })

  it('creates many at once', async () => {
    const messages = client.service('messages')

    const created = await messages.create([{ text: 'a' }, { text: 'b' }])

    assert.deepEqual(created.map(({ text }) => text), ['a', 'b'])
    const found = await messages.find({ query: { $sort: { id: -1 }, $limit: 1 } })
    assert.deepEqual(found, created.slice(1))
  })

  if (kind !== 'rest') return
  it('passes headers', async () => {
    const { authorization } = await todos.get(0, { headers: { Authorization: 'let-me-in' } })

    assert.equal(authorization, 'let-me-in')
  })
}

function eventsOfOneNode (url) {
  let caller, other, rest
  before(async () => {
    ;[caller, other] = await Promise.all([socketClient(url()), socketClient(url(), { query: { channel: 'kitchen' } })])
    rest = restClient(url())
  })

  it('every standard method sends its event, to the caller and to others', async () => {
    const names = ['created', 'updated', 'patched', 'removed']
    const heard = [caller, other].map((client) => names.map((name) => listen(client, 'todos', name)))
    const todos = caller.service('todos')

    const todo = await todos.create({ text: 'new', complete: false })
    await todos.update(todo.id, { text: 'newer', complete: false })
    await todos.patch(todo.id, { complete: true })
    await todos.remove(todo.id)

    await until('all events are there', () => heard.flat().every((events) => events.length > 0))
    const { id } = todo
    const expected = [[todo], [{ text: 'newer', complete: false, id }], [{ text: 'newer', complete: true, id }], [{ text: 'newer', complete: true, id }]]
    assert.deepEqual(heard, [expected, expected])
  })

  it('a REST call sends its event to sockets', async () => {
    const data = await nextEvent(other, 'messages', 'created', () => rest.service('messages').create({ text: 'by fetch' }))

    assert.equal(data.text, 'by fetch')
  })

  it('an event that a hook takes back is not sent', async () => {
    const heard = listen(other, 'ev', 'created')

    await caller.service('ev').create({ n: 1 }, { query: { noevent: 'true' } })
    await caller.service('ev').create({ n: 2 })

    await until('the second event is there', () => heard.length > 0)
    assert.deepEqual(heard, [{ id: 1, n: 2 }])
  })

  it('clients get the dispatch, not the result', async () => {
    const data = await nextEvent(other, 'ev', 'patched', () => caller.service('ev').patch(5, { n: 1 }, { query: { dispatch: 'true' } }))

    assert.deepEqual(data, { id: 5, n: 1, safe: true })
  })

  it('a publisher picks the channel', async () => {
    const heard = [caller, other].map((client) => listen(client, 'tasks', 'created'))

    await rest.service('tasks').create({ room: 'kitchen', n: 1 })
    await rest.service('tasks').create({ n: 2 })

    await until('both heard what is for all', () => heard.every((events) => events.some(({ n }) => n === 2)))
    assert.deepEqual(heard.map((events) => events.map(({ n }) => n)), [[2], [1, 2]])
  })

  it('a custom event carries its payload unchanged', async () => {
    const payload = { message: 'Custom log event', data: { level: 3 } }

    const data = await nextEvent(other, 'tasks', 'log', () => caller.service('tasks').emitLog({ level: 3 }))

    assert.deepEqual(data, payload)
  })
}
