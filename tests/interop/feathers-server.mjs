// A Feathers application on Express with the services of the fixture that show how calls are answered.
//
//   PORT=0  node feathers-server.mjs
//
// It prints `listening on http://…` as the fixture does. `create` of the service `harness` puts the records into their
// initial state. All events go to all Socket.IO clients.
import { once } from 'node:events'

import client from '@feathersjs/client'
import express from '@feathersjs/express'
import { feathers } from '@feathersjs/feathers'
import { MemoryService } from '@feathersjs/memory'
import socketio from '@feathersjs/socketio'

const { errors } = client
const CRUD = ['find', 'get', 'create', 'update', 'patch', 'remove']

const app = express.default(feathers())
app.use(express.json()).use(express.urlencoded({ extended: true })).configure(express.rest()).configure(socketio())

// ---------------------------------------------------------------- records

// Feathers calls methods on objects that inherit from the service: what changes is kept outside of it.
const states = []
const keep = (service, initial, nextId) => {
  const state = { reset: () => Object.assign(state, { store: structuredClone(initial), nextId }) }
  states.push(state.reset())
  return Object.defineProperties(service, {
    store: { get: () => state.store, set: (store) => { state.store = store } },
    _uId: { get: () => state.nextId, set: (id) => { state.nextId = id } }
  })
}

class Todos extends MemoryService {
  async get (id, { query }) {
    if (query.error) throw new Error('Something went wrong')
    if (query.feathersError) throw new errors.NotAcceptable('This is a Feathers error', { data: true })
    return { query, ...await super.get(id) }
  }

  async remove (id, params) {
    if (id === null) return { id, text: 'deleted many' }
    return params.query.noContent ? null : super.remove(id, params)
  }

  async customMethod (data, { provider }) { return { data, provider, type: 'customMethod' } }
}

class Messages extends MemoryService {
  async ping (data, { provider }) { return { pong: data, provider } }
  async boom () { throw new errors.Conflict('boom', { why: 'because' }) }
}

const todo = { 0: { text: 'some todo', complete: false, id: 0 } }
app.use('todos', keep(new Todos(), todo, 1), { methods: [...CRUD, 'customMethod'] })
app.use('/', keep(new Todos(), todo, 1), { methods: CRUD })
app.use('messages', keep(new Messages({ multi: true }), {}, 1), { methods: [...CRUD, 'ping', 'boom'] })
app.use('paged', keep(new MemoryService({ multi: true, paginate: { default: 2, max: 3 } }), {}, 0))
app.use('harness', { async create () { states.forEach((state) => state.reset()); return { ok: true } } })
app.service('harness').hooks({ after: { create: [(context) => { context.event = null }] } })

// ---------------------------------------------------------------- what shows its inputs, or answers as it is told

class Echo {
  async find (params) { return this.dump('find', {}, params) }
  async get (id, params) { return this.dump('get', { id }, params) }
  async create (data, params) { return this.dump('create', { data }, params) }
  async update (id, data, params) { return this.dump('update', { id, data }, params) }
  async patch (id, data, params) { return this.dump('patch', { id, data }, params) }
  async remove (id, params) { return this.dump('remove', { id }, params) }
  async custom (data, params) { return this.dump('custom', { data }, params) }
  async hidden () { return { never: true } }
  dump (method, inputs, { query, route, provider }) {
    const typeOf = (value) => value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
    const types = Object.fromEntries(Object.entries(inputs).map(([name, value]) => [name, typeOf(value)]))
    return { method, ...inputs, types, query, route, provider }
  }
}
app.use('echo', new Echo(), { methods: [...CRUD, 'custom'] })
app.use('org/:orgId/items', new Echo(), { methods: CRUD })
app.use('a/:x/b/:y', new Echo(), { methods: CRUD, routeParams: { preset: 'yes' } })
app.use('getonly', { async get (id) { return { id } } })
app.use('verify', {
  async find (params) { return { params } },
  async create (data, params) { return { data, params } },
  async update (id, data, params) { return { id, data, params } }
})

const VALUES = { null: null, zero: 0, one: 1, false: false, true: true, empty: '', string: 'hello', array: [], object: {}, list: [{ a: 1 }, { a: 2 }] }
class Returns {
  async find ({ query }) { return this.value(query.v) }
  async get (id) { return this.value(id) }
  async create (data) { return this.value(data?.v) }
  async update (_id, data) { return this.value(data?.v) }
  async patch (_id, data) { return this.value(data?.v) }
  async remove (id) { return this.value(id) }
  async custom (data) { return this.value(data?.v) }
  value (v = null) { return typeof v === 'string' && Object.hasOwn(VALUES, v) ? VALUES[v] : { v } }
}
app.use('returns', new Returns(), { methods: [...CRUD, 'custom'] })

const FAILURES = {
  plain: () => new Error('Plain failure'),
  data: () => new errors.BadRequest('With data', { foo: 'bar', errors: { email: 'invalid' } }),
  dataonly: () => new errors.BadRequest('With data only', { foo: 'bar' }),
  array: () => new errors.BadRequest('With array', [1, 2]),
  errorsonly: () => new errors.BadRequest('With errors', { errors: [{ message: 'x' }] }),
  emptydata: () => new errors.BadRequest('Empty', {}),
  nomessage: () => new errors.BadRequest()
}
app.use('errs', {
  async get (id) {
    if (Object.hasOwn(FAILURES, id)) throw FAILURES[id]()
    if (Object.hasOwn(errors, id)) throw new errors[id](`This is ${id}`)
    return { id }
  }
})

// ---------------------------------------------------------------- hooks on all levels, two in each place

let ran = []
const note = (name, context) => {
  if (context.path !== 'hooked') return
  ran.push(name)
  const { fail, worse, set } = context.params.query
  if ([fail, worse].includes(name)) throw new errors.BadRequest(`${name} fails`)
  if (set === name) context.result = { by: name }
}
const noting = (name) => async (context) => note(name, context)
const notingAround = (name) => async (context, next) => {
  note(`${name} in`, context)
  try {
    await next()
  } catch (error) {
    note(`${name} failed`, context)
    throw error
  }
  note(`${name} out`, context)
}
const two = (make, kind) => Object.fromEntries(['all', 'get'].map((methods) => [methods, [1, 2].map((number) => make(`${kind} ${methods} ${number}`))]))
const ofAllKinds = (level) => ({
  around: two(notingAround, `${level} around`), ...Object.fromEntries(['before', 'after', 'error'].map((kind) => [kind, two(noting, `${level} ${kind}`)]))
})
app.use('hooked', {
  async get (id, { query }) {
    ran.push('method')
    if (query.fail === 'method') throw new errors.BadRequest('method fails')
    return { id }
  }
})
app.use('hook-log', { async find () { return ran.splice(0) } })
const { all, get } = two(notingAround, 'service wrap')
app.hooks(ofAllKinds('app'))
app.service('hooked').hooks(ofAllKinds('service'))
app.service('hooked').hooks(all)
app.service('hooked').hooks({ get })

app.use('http', {
  async find ({ query }) { return { query } },
  async get (id) { return { id } },
  async create (data) { return data },
  async remove (id) { return { id } }
})
const asTold = (context) => {
  const { status, header, location, dispatch } = context.params.query
  if (status) context.http = { ...context.http, status: Number(status) }
  if (header) context.http = { ...context.http, headers: { 'X-Foo': 'first', 'X-Multi': ['a', 'b'] } }
  if (typeof location === 'string') context.http = { ...context.http, location }
  if (dispatch) context.dispatch = { dispatched: true }
}
app.service('http').hooks({ after: { all: [asTold] } })

const merged = (...objects) => Object.assign({}, ...objects.filter((object) => Object.prototype.toString.call(object) === '[object Object]'))
class Ev {
  async find () { return [] }
  async get (id) { return { id } }
  async create (data) { return Array.isArray(data) ? data.map((entry, id) => merged({ id }, entry)) : merged({ id: 1 }, data) }
  async update (id, data) { return merged({ id }, data) }
  async patch (id, data) { return id === null ? [1, 2].map((id) => merged({ id }, data)) : merged({ id }, data) }
  async remove (id) { return id === null ? [{ id: 1 }, { id: 2 }] : { id } }
  async fire ({ event, payload }) { this.emit(event, payload); return { fired: event } }
}
app.use('ev', new Ev(), { methods: [...CRUD, 'fire'], events: ['custom'] })
const eventAsTold = (context) => {
  const { noevent, rename, dispatch } = context.params.query
  if (noevent) context.event = null
  if (typeof rename === 'string') context.event = rename
  if (dispatch) context.dispatch = Array.isArray(context.result) ? context.result : merged(context.result, { safe: true })
}
app.service('ev').hooks({ after: { all: [eventAsTold] } })

// ---------------------------------------------------------------- clients

app.on('connection', (connection) => app.channel('everybody').join(connection))
app.publish(() => app.channel('everybody'))
app.use(express.notFound()).use(express.errorHandler({ logger: false }))
process.on('unhandledRejection', (error) => console.error('unhandledRejection', error))

const server = await app.listen(Number(process.env.PORT ?? 0), '127.0.0.1')
if (!server.listening) await once(server, 'listening')
// Clients that pause keep their connections.
server.keepAliveTimeout = 60_000
console.log(`listening on http://127.0.0.1:${server.address().port}`)
