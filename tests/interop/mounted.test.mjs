// Stock clients of an app below a prefix and behind a reverse proxy, and of a CRUD server of axum whose answers are events.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { io } from 'socket.io-client'

import { nextEvent, socketClient, startFixture, startProxy, startTodos, stopStarted, until, within } from './support.mjs'

after(stopStarted)

const TRANSPORTS = [['polling'], ['websocket'], ['polling', 'websocket']]
const path = '/api/socket.io'
const inside = (url) => (url.startsWith('/api/') ? url : undefined)

const places = {
  'a prefix of its own': async () => (await startFixture({ PREFIX: '/api' })).url,
  'a prefix of its own, behind a proxy that keeps it': async () => startProxy((await startFixture({ PREFIX: '/api' })).url, inside),
  'a prefix that a proxy takes off': async () => startProxy((await startFixture()).url, (url) => inside(url)?.slice('/api'.length))
}

for (const [place, start] of Object.entries(places)) describe(`below ${place}`, () => {
  let url
  before(async () => { url = await start() })

  for (const transports of TRANSPORTS) it(`clients call and hear over ${transports.join(', then ')}`, async () => {
    const [client, other] = await Promise.all([1, 2].map(() => socketClient(url, { transports, path })))
    await until('the last transport is in use', () => client.socket.io.engine.transport.name === transports.at(-1))

    const heard = await nextEvent(other, 'todos', 'created', () => client.service('todos').create({ text: 'hi', complete: false }))

    assert.equal(heard.text, 'hi')
  })

  it('services and health answer there and nowhere else', async () => {
    const statuses = await Promise.all(['/api/todos', '/api/live', '/todos', '/socket.io/?EIO=4&transport=polling'].map(async (path) => (await fetch(url + path)).status))

    assert.deepEqual(statuses, [200, 200, 404, 404])
  })
})

describe('a CRUD server of axum with live events', () => {
  let url
  before(async () => { url = await startProxy((await startTodos()).url, (url) => url) })

  for (const transports of TRANSPORTS) it(`clients hear what its routes do, over ${transports.join(', then ')}`, async () => {
    const socket = io(url, { transports, forceNew: true })
    const heard = []
    for (const event of ['created', 'patched', 'removed']) socket.on(`todos ${event}`, (data) => heard.push([event, data]))
    await within(10_000, 'connection', new Promise((resolve) => socket.once('connect', resolve)))
    const send = (method, path, body) => fetch(url + path, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

    const { id } = await (await send('POST', '/todos', { text: 'tea' })).json()
    await send('PATCH', `/todos/${id}`, { done: true })
    await send('DELETE', `/todos/${id}`)
    await send('DELETE', `/todos/${id}`)

    await until('three events', () => heard.length === 3)
    assert.deepEqual(heard, [
      ['created', { id, text: 'tea', done: false }],
      ['patched', { id, text: 'tea', done: true }],
      ['removed', { id }]
    ])
    socket.close()
  })
})
