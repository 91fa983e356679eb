// The published tests for database adapters of Feathers, which the memory store passes through real clients.
//
// They look at a service object of their own process. Here that object calls the fixture: what it has as options goes there as
// `$adapter` in the query.
import * as runner from 'node:test'

import adapterTests from '@feathersjs/adapter-tests'

import { clientOf, restClient, startFixture, stopStarted } from './support.mjs'

const { after, before, beforeEach, describe } = runner

// These look at the object itself and say nothing about a server.
const LOCAL = [
  '.options', '.events', '._get', '._find', '._create', '._update', '._patch', '._remove',
  'internal .find', 'internal .get', 'internal .create', 'internal .update', 'internal .patch', 'internal .remove'
]
// All others, also those that a newer version brings.
const remote = Object.assign([], { includes: (name) => !LOCAL.includes(name) })

// The tests are written for a runner that has these as globals.
Object.assign(globalThis, { after, afterEach: runner.afterEach, before, beforeEach, describe, it: runner.it })

let url
before(async () => { ({ url } = await startFixture()) })
after(stopStarted)

for (const kind of ['rest', 'socketio']) {
  for (const [name, id] of [['people', 'id'], ['people-customid', 'customid']]) {
    describe(`over ${kind}`, () => {
      let client
      const service = remoteService(() => client.service(name), id)
      before(async () => { client = await clientOf(kind, url) })
      // Also when an earlier test left something behind.
      beforeEach(async () => {
        Object.assign(service.options, { multi: false, paginate: false })
        await restClient(url).service('harness').create({})
      })
      adapterTests(remote)({ service: () => service }, {}, name, id)
    })
  }
}

function remoteService (service, id) {
  const options = { multi: false, paginate: false }
  const call = (method, inputs, { query = {}, paginate = options.paginate, adapter } = {}) => {
    const $adapter = JSON.stringify({ multi: options.multi, paginate, ...adapter })
    return service()[method](...inputs, { query: { ...query, $adapter } })
  }
  return {
    id,
    options,
    events: ['testing'],
    find: (params) => call('find', [], params),
    get: (id, params) => call('get', [id], params),
    create: (data, params) => call('create', [data], params),
    update: (id, data, params) => call('update', [id, data], params),
    patch: (id, data, params) => call('patch', [id, data], params),
    remove: (id, params) => call('remove', [id], params)
  }
}
