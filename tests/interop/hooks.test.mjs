// The hooks of all levels run in the order of Feathers, whichever of them fails or sets a result.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'

import { startFeathers, startFixture, stopStarted } from './support.mjs'

const kinds = (level) => ['around', 'before', 'after', 'error'].map((kind) => `${level} ${kind}`)
const places = (all) => all.flatMap((kind) => ['all', 'get'].flatMap((methods) => [1, 2].map((number) => `${kind} ${methods} ${number}`)))
const steps = (place) => place.includes('error') ? [] : /around|wrap/.test(place) ? [`${place} in`, `${place} out`] : [place]

const ALL = places([...kinds('app'), 'service wrap', ...kinds('service')])
const FAILING = [...ALL.flatMap(steps), 'method']
const ERRORS = ALL.filter((place) => place.includes('error'))
const SETTING = [...ALL.flatMap(steps), ...ALL.filter((place) => /around|wrap/.test(place)).map((place) => `${place} failed`)]

describe('hooks of Feathers and wingbeat', () => {
  let urls
  before(async () => { urls = (await Promise.all([startFeathers(), startFixture()])).map(({ url }) => url) })
  after(stopStarted)

  const outcome = async (url, query) => {
    const response = await fetch(`${url}/hooked/1?${new URLSearchParams(query)}`)
    const answer = { status: response.status, body: await response.text() }
    return { ...answer, ran: await (await fetch(`${url}/hook-log`)).json() }
  }
  const alike = async (query) => {
    const [feathers, wingbeat] = await Promise.all(urls.map((url) => outcome(url, query)))
    assert.deepEqual(wingbeat, feathers, JSON.stringify(query))
    return feathers
  }

  it('run in the same order when nothing fails', async () => {
    const { status, ran } = await alike({})

    assert.equal(status, 200)
    assert.deepEqual([...ran].sort(), [...FAILING].sort(), 'each place runs once')
  })

  it('run in the same order whichever fails', async () => {
    for (const fail of FAILING) assert.equal((await alike({ fail })).status, 400)
  })

  it('run in the same order whichever fails, when an error hook fails as well or sets a result', async () => {
    for (const fail of FAILING) {
      for (const error of ERRORS) {
        await alike({ fail, worse: error })
        await alike({ fail, set: error })
      }
    }
  })

  it('run in the same order whichever sets a result', async () => {
    for (const set of SETTING) {
      await alike({ set })
      await alike({ set, fail: 'method' })
    }
  })
})
