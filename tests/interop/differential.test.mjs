// The same requests to a real Feathers server and to the fixture: both answer alike, or a rule says why not.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request as httpRequest } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'

import { randomOf, requests } from './differential-requests.mjs'
import { defaults, known, rules } from './differential-rules.mjs'
import { socketClient, startFeathers, startFixture, stopStarted, tableOfDifferences, until, within } from './support.mjs'

const REQUESTS = Number(process.env.WINGBEAT_DIFFERENTIAL_REQUESTS ?? 2000)
const SEED = Number(process.env.WINGBEAT_DIFFERENTIAL_SEED ?? 1)

describe('a server of Feathers and wingbeat', () => {
  let servers
  before(async () => {
    const programs = await Promise.all([startFeathers(), startFixture()])
    servers = await Promise.all(programs.map(({ url }) => new Server(url).connected()))
  })
  after(stopStarted)

  it(`answer alike, ${REQUESTS} requests of seed ${SEED}, but for what the rules name`, { timeout: 120_000 }, async () => {
    const all = [...rules.flatMap(({ examples }) => examples), ...known, ...requests(randomOf(SEED), REQUESTS)]
    const applied = new Set()
    const differences = []
    for (const [at, request] of all.entries()) {
      if (at % 100 === 0) await reset(servers)
      const [feathers, wingbeat] = await bothAnswer(servers, request)
      if (same(feathers, wingbeat)) continue
      const rule = rules.find(({ explains }) => explains(request, feathers, wingbeat))
      if (rule) applied.add(rule.name)
      else differences.push({ at, request, feathers, wingbeat })
      // What was explained may have changed the records of one of them.
      await reset(servers)
    }
    assert.equal(differences.length, 0, `WINGBEAT_DIFFERENTIAL_SEED=${SEED}, ${differences.length} differences, the first: ${JSON.stringify(differences[0], null, 1)}`)
    assert.deepEqual(rules.map(({ name }) => name).filter((name) => !applied.has(name)), [], 'rules that never applied')
  })

  it('answer differently without feathers_compat where the rules say so', async () => {
    const byDefault = await new Server((await startFixture({ FEATHERS_COMPAT: 'false' })).url).connected()
    for (const { name, examples, explains } of defaults) {
      for (const request of examples) {
        const [feathers, wingbeat] = await bothAnswer([servers[0], byDefault], request)
        assert.ok(explains(request, feathers, wingbeat), `${name}: ${JSON.stringify({ feathers, wingbeat })}`)
      }
    }
  })

  it('differ in what the table of compatibility says', async () => {
    assert.deepEqual(await tableOfDifferences('Calls and events'), [...rules, ...defaults].map(({ name }) => name).sort())
  })
})

const bothAnswer = async (servers, request) => {
  const answers = await Promise.all(servers.map((server) => server.answer(request)))
  const firesEvents = [request.args?.[0], request.headers?.['x-service-method']].includes('fire')
  // Other than in Node, a call may be answered behind one that came after it, and what a service emits by hand comes before
  // or behind the answer to the call in which it did.
  const count = ({ log }) => firesEvents || request.hasAck === false ? log.length : log.filter(([what]) => what === 'answer').length
  await until('as many messages from both', () => count(answers[0]) === count(answers[1]), { ms: 1000 }).catch(() => {})
  if (firesEvents) answers.forEach(({ log }) => log.sort())
  return structuredClone(answers)
}

const reset = (servers) => Promise.all(servers.map((server) => server.answer({ kind: 'socket', args: ['create', 'harness', {}], hasAck: true })))

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other)

const HEADERS = ['content-type', 'content-length', 'allow', 'location', 'x-foo', 'x-multi']

/** One of the two, with a Socket.IO client that writes down what comes: events and the answer, in their order. */
class Server {
  constructor (url) {
    this.url = new URL(url)
    this.agent = new Agent({ keepAlive: true })
  }

  async connected () {
    this.socket = (await socketClient(this.url.href)).socket
    this.log = []
    this.socket.onAny((...event) => this.log.push(['event', ...event]))
    return this
  }

  async answer (request) {
    this.log = []
    const answer = await (request.kind === 'rest' ? this.#respond(request) : this.#emit(request))
    // Behind it nothing of the call is under way any more.
    if (!this.log.some(([what]) => what === 'answer')) await this.#barrier()
    await this.#barrier()
    return { ...answer, log: this.log }
  }

  async #respond ({ verb, path, headers, body }) {
    const { hostname, port } = this.url
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const sent = httpRequest({ hostname, port, agent: this.agent, method: verb, path, headers: { host: 'both.test', ...headers, ...length } })
    sent.end(body)
    const [response] = await within(5000, `${verb} ${path}`, once(sent, 'response'))
    const shown = HEADERS.filter((name) => name in response.headers).map((name) => [name, response.headers[name]])
    return { status: response.statusCode, headers: Object.fromEntries(shown), body: await text(response) }
  }

  async #emit ({ args, hasAck }) {
    const log = this.log
    this.socket.emit(...args, ...(hasAck ? [(...answer) => log.push(['answer', ...answer])] : []))
  }

  #barrier () {
    return within(5000, 'the answer to a call', new Promise((resolve) => this.socket.emit('get', 'getonly', 'barrier', resolve)))
  }
}
