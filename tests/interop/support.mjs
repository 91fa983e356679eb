// What the tests share: programs that are started and ended, clients, and waiting with an upper bound.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { createServer as createHttpServer, request } from 'node:http'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import feathersClient from '@feathersjs/client'
import { io } from 'socket.io-client'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

// ---------------------------------------------------------------- waiting

/** Fails with the name of what did not happen in time. */
export const within = async (ms, what, promise) => {
  const late = new AbortController()
  const tooLate = pause(ms, undefined, { signal: late.signal }).then(() => {
    throw new Error(`${what}: not within ${ms} ms`)
  })
  try {
    return await Promise.race([promise, tooLate])
  } finally {
    late.abort()
    tooLate.catch(() => {})
  }
}

/** Asks again and again until the answer is truthy; `describe` says in the error how far it came. */
export const until = async (what, condition, { ms = 10_000, describe = () => '' } = {}) => {
  const deadline = performance.now() + ms
  for (;;) {
    const answer = await condition()
    if (answer) return answer
    if (performance.now() > deadline) throw new Error(`${what}: not within ${ms} ms ${describe()}`)
    await pause(10)
  }
}

// ---------------------------------------------------------------- ports and programs

const isFree = (port) => new Promise((resolve) => {
  const server = createServer().once('error', () => resolve(false))
  server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
})

/** The first of `count` neighbouring free ports. */
export const freePort = async (count = 1) => {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address()
    await new Promise((resolve) => server.close(resolve))
    const neighbours = Array.from({ length: count - 1 }, (_, index) => isFree(port + 1 + index))
    if ((await Promise.all(neighbours)).every(Boolean)) return port
  }
}

/** A free port below those of outgoing connections, one of which could sit on it while its server is down. */
export const lastingPort = async () => {
  for (;;) {
    const port = 10_000 + Math.floor(Math.random() * 10_000)
    if (await isFree(port)) return port
  }
}

/** A child process whose output lines can be waited for. */
export class Program {
  constructor (name, command, args, env, cwd) {
    this.name = name
    this.lines = []
    this.listeners = new Set()
    this.child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['pipe', 'pipe', 'pipe'] })
    this.ended = new Promise((resolve) => {
      this.child.once('error', (error) => resolve(error.message))
      this.child.once('exit', (code, signal) => resolve(signal ?? code))
    })
    started.push(this)
    process.on('exit', () => this.child.kill('SIGKILL'))
    for (const output of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: output }).on('line', (line) => this.#hear(line))
    }
  }

  #hear (line) {
    this.lines.push(line)
    if (this.lines.length > 1000) this.lines.shift()
    this.listeners.forEach((listen) => listen(line))
  }

  /** Resolves with the first line, already printed or not, of which `match` makes something. */
  line (what, match, ms = 20_000) {
    const printed = this.lines.map(match).find(Boolean)
    if (printed) return Promise.resolve(printed)
    const found = new Promise((resolve, reject) => {
      this.listeners.add((line) => { const made = match(line); if (made) resolve(made) })
      this.ended.then((how) => reject(new Error(`${this.name} ended (${how}) before ${what}:\n${this.lines.join('\n')}`)))
    })
    return within(ms, `${this.name}: ${what}`, found)
  }

  write (line) {
    this.child.stdin.write(`${line}\n`)
  }

  /** Stops the program; its threads go on until one of them has seen the signal, which is waited for. */
  async freeze () {
    this.child.kill('SIGSTOP')
    const tasks = `/proc/${this.child.pid}/task`
    const isStopped = async (task) => /\) [TtZX] /.test(await readFile(`${tasks}/${task}/stat`, 'utf8').catch(() => ') X '))
    await until(`${this.name} has stopped`, async () => (await Promise.all((await readdir(tasks)).map(isStopped))).every(Boolean))
  }

  /** Ends the program as a crash would. */
  async kill () {
    this.child.kill('SIGKILL')
    await this.ended
  }

  /** Asks the program to end and insists after 10 s; resolves with its exit code or the signal that ended it. */
  async stop () {
    this.child.kill('SIGTERM')
    return within(10_000, `${this.name}: end after SIGTERM`, this.ended).catch(async (error) => {
      this.child.kill('SIGKILL')
      await this.ended
      throw error
    })
  }
}

const started = []

/** Ends all that was started, the last first: clients before their nodes, nodes before their broker. */
export const stopStarted = async () => {
  let failure
  for (const thing of started.splice(0).reverse()) await thing.stop().catch((error) => { failure ??= error })
  if (failure) throw failure
}

// ---------------------------------------------------------------- Redis

const answersPing = (port) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => socket.write('PING\r\n'))
  socket.once('data', (data) => { socket.destroy(); resolve(data.toString().startsWith('+PONG')) })
  socket.once('error', () => resolve(false))
})

export const startRedis = async (wanted) => {
  const port = wanted ?? await freePort()
  const args = ['--port', `${port}`, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
  const redis = new Program('redis-server', 'redis-server', args, {})
  await until('redis-server answers PING', () => answersPing(port))
  return Object.assign(redis, { port, uri: `redis://127.0.0.1:${port}` })
}

// ---------------------------------------------------------------- RabbitMQ and NATS

const isTaken = (port) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => { socket.destroy(); resolve(true) })
  socket.once('error', () => resolve(false))
})

const speaksFirst = (port, greeting) => new Promise((resolve) => {
  const socket = connect(port, '127.0.0.1', () => socket.write(greeting))
  socket.once('data', () => { socket.destroy(); resolve(true) })
  socket.once('error', () => resolve(false)).once('end', () => resolve(false))
})

export const startNats = async () => {
  const port = await freePort()
  const debian = '/usr/sbin/nats-server'
  const nats = new Program('nats-server', existsSync(debian) ? debian : 'nats-server', ['-a', '127.0.0.1', '-p', `${port}`], {})
  await until('nats-server greets', () => speaksFirst(port, ''))
  return Object.assign(nats, { port, uri: `nats://127.0.0.1:${port}` })
}

/** As in tests/it/support/rabbitmq.rs: a server with a node name, a port mapper and a directory of its own. */
export const startRabbitMq = async () => {
  // It starts slowly, and meanwhile an outgoing connection could sit on one.
  const [port, mapper, distribution] = await Promise.all([lastingPort(), lastingPort(), lastingPort()])
  const directory = mkdtempSync(join(tmpdir(), 'wingbeat-rabbitmq-'))
  started.push({ stop: async () => rmSync(directory, { recursive: true, force: true }) })
  const file = (name, text) => { writeFileSync(join(directory, name), text); return join(directory, name) }
  const settings = [`listeners.tcp.default = 127.0.0.1:${port}`, 'disk_free_limit.absolute = 1MB', 'log.console = true', 'log.console.level = error', 'log.file = false']
  const epmd = new Program('epmd', 'epmd', ['-port', `${mapper}`, '-address', '127.0.0.1'], {})
  epmd.stop = () => epmd.kill()
  // A server that finds no port mapper starts one of its own, which stays.
  await until('epmd listens', () => isTaken(mapper))
  const debian = '/usr/lib/rabbitmq/bin/rabbitmq-server'
  const server = new Program('rabbitmq-server', existsSync(debian) ? debian : 'rabbitmq-server', [], {
    HOME: directory,
    // Its start script becomes the server: what is killed is the one that serves.
    RABBITMQ_ALLOW_INPUT: '1',
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_EPMD_PORT: `${mapper}`,
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf', settings.join('\n')),
    RABBITMQ_CONF_ENV_FILE: file('rabbitmq-env.conf', ''),
    RABBITMQ_DIST_PORT: `${distribution}`,
    RABBITMQ_ENABLED_PLUGINS_FILE: file('enabled_plugins', '[].'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_NODENAME: 'wingbeat@localhost',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}'
  }, directory)
  await until('RabbitMQ answers', () => speaksFirst(port, 'AMQP\0\0\x09\x01'), { ms: 90_000 })
  // It keeps nothing that is worth a slow end.
  return Object.assign(server, { stop: () => server.kill(), uri: `amqp://guest:guest@127.0.0.1:${port}` })
}

// ---------------------------------------------------------------- the programs under test

/** The path of an example program of this project. */
export const example = (variable, name) => process.env[variable] || here(`../../target/debug/examples/${name}`)

/** One node of the fixture example, on any port or the wanted one; resolves when it listens and, with a broker, when its sync is ready. */
export const startFixture = async (env = {}, wanted) => {
  const port = wanted ?? await freePort()
  const name = env.NODE_NAME ?? 'fixture'
  const clean = { SYNC_URI: '', SYNC_KEY: '', SYNC_CODEC: '', SYNC_DELIVERY: '', SYNC_NODE_PATHS: '' }
  const node = new Program(name, example('WINGBEAT_FIXTURE', 'fixture'), [], { ...withoutEmpty(clean, env), PORT: `${port}` })
  await node.line('listening', (line) => /^listening on http:\/\//.test(line))
  Object.assign(node, { url: `http://127.0.0.1:${port}` })
  if (env.SYNC_URI) await syncReady(node)
  return node
}

// A variable of the caller's own shell must not reach the fixture: `undefined` removes it.
const withoutEmpty = (clean, env) => ({ ...Object.fromEntries(Object.keys(clean).map((key) => [key, undefined])), ...env })

/** A reverse proxy as a balancer is one; `rewrite` makes the path that the server sees, or nothing for a 404. */
export const startProxy = async (target, rewrite) => {
  const { hostname, port } = new URL(target)
  const open = ({ method, url, headers }) => request({ hostname, port, method, path: rewrite(url), headers: { ...headers, 'x-forwarded-proto': 'https' } })
  const proxy = createHttpServer((incoming, outgoing) => {
    if (!rewrite(incoming.url)) return outgoing.writeHead(404).end()
    const inner = open(incoming).once('error', () => outgoing.destroy())
    inner.once('response', (answer) => answer.pipe(outgoing.writeHead(answer.statusCode, answer.headers)))
    incoming.pipe(inner)
  })
  proxy.on('upgrade', (incoming, near, head) => {
    const inner = open(incoming).once('error', () => near.destroy())
    inner.once('response', () => near.destroy())
    inner.once('upgrade', (answer, far, rest) => {
      const headers = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}\r\n`)
      near.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('')}\r\n`)
      near.write(rest)
      far.write(head)
      near.pipe(far).pipe(near)
      near.once('error', () => far.destroy())
      far.once('error', () => near.destroy())
    }).end()
  })
  proxy.listen(0, '127.0.0.1')
  await once(proxy, 'listening')
  started.push({ stop: async () => { proxy.close(); proxy.closeAllConnections() } })
  return `http://127.0.0.1:${proxy.address().port}`
}

/** A Feathers server on Express with the services of the fixture; see feathers-server.mjs. */
export const startFeathers = async () => {
  const program = new Program('feathers', process.execPath, [here('feathers-server.mjs')], { PORT: '0', NODE_ENV: 'production' })
  return Object.assign(program, { url: await program.line('listening', (line) => /^listening on (http:\S+)$/.exec(line)?.[1]) })
}

/** The rules that a part of docs/compatibility.md names, in their order by name. */
export const tableOfDifferences = async (part) => {
  const page = await readFile(here('../../docs/compatibility.md'), 'utf8')
  const [, text] = page.split(/^## /m).find((text) => text.startsWith(part)).split(part)
  return [...text.matchAll(/^\|.*\| `([a-z0-9-]+)` \|$/gm)].map(([, name]) => name).sort()
}

/** What a fixture tells of its sync. */
export const syncOf = async (node) => (await fetch(`${node.url}/sync`)).json()

export const syncReady = async (node) => {
  let seen
  const isReady = async () => {
    seen = await syncOf(node)
    return /ready/i.test(JSON.stringify(seen.status))
  }
  await until(`${node.name}: sync is ready`, isReady, { ms: 15_000, describe: () => JSON.stringify(seen) })
}

/** The CRUD server of the guide, with live events. */
export const startTodos = async () => {
  const port = await freePort()
  const todos = new Program('todos', example('WINGBEAT_TODOS', 'todos_after'), [], { SYNC_URI: undefined, PORT: `${port}` })
  await todos.line('listening', (line) => /^http:\/\//.test(line))
  // It ends as from a terminal.
  const stop = async () => { todos.child.kill('SIGINT'); assert.equal(await within(10_000, 'end after SIGINT', todos.ended), 0) }
  return Object.assign(todos, { url: `http://127.0.0.1:${port}`, stop })
}

export const startChat = async () => {
  const port = await freePort(2)
  const chat = new Program('chat', example('WINGBEAT_CHAT', 'chat'), [], { SYNC_URI: undefined, PORT: `${port}` })
  const urls = [`http://127.0.0.1:${port}`, `http://127.0.0.1:${port + 1}`]
  const serves = (url) => fetch(url).then((response) => response.ok, () => false)
  const allServe = async () => (await Promise.all(urls.map(serves))).every(Boolean)
  const ended = chat.ended.then((how) => { throw new Error(`chat ended (${how}):\n${chat.lines.join('\n')}`) })
  await Promise.race([until('both chat pages answer', allServe, { ms: 20_000 }), ended])
  ended.catch(() => {})
  return Object.assign(chat, { urls })
}

/** A Node process with the real feathers-sync; see node-peer.mjs for what it understands. */
export const startNodePeer = async (env) => {
  const peer = new Program('node-peer', process.execPath, [here('node-peer.mjs')], env)
  const { port } = await peer.line('ready', (line) => document(line, 'ready'))
  let calls = 0
  const ask = async (command) => {
    const id = ++calls
    peer.write(JSON.stringify({ id, ...command }))
    const { error, result } = await peer.line(`answer ${id}`, (line) => document(line, 'result', id))
    if (error) throw new Error(error)
    return result
  }
  return Object.assign(peer, { url: `http://127.0.0.1:${port}`, ask })
}

const document = (line, type, id) => {
  if (!line.startsWith('{')) return undefined
  const parsed = JSON.parse(line)
  return parsed.type === type && parsed.id === id ? parsed : undefined
}

// ---------------------------------------------------------------- clients

const STANDARD = ['find', 'get', 'create', 'update', 'patch', 'remove']
const CUSTOM = { todos: ['customMethod'], messages: ['ping', 'boom'], ev: ['fire'], echo: ['custom'], tasks: ['emitLog'] }

const clientApp = (transport) => {
  const app = feathersClient().configure(transport)
  for (const [path, methods] of Object.entries(CUSTOM)) {
    app.use(path, transport.service(path), { methods: [...STANDARD, ...methods] })
  }
  return { service: (path) => app.service(path) }
}

export const restClient = (url) => clientApp(feathersClient.rest(url).fetch(globalThis.fetch))

export const socketClient = async (url, options = {}) => {
  const socket = io(url, { transports: ['websocket'], forceNew: true, reconnection: false, ...options })
  const connected = new Promise((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject))
  started.push({ stop: async () => socket.close() })
  const client = clientApp(feathersClient.socketio(socket))
  await within(5000, `Socket.IO connection to ${url}`, connected)
  return Object.assign(client, { socket })
}

export const clientOf = (kind, url) => (kind === 'rest' ? restClient(url) : socketClient(url))

/** Collects what a client hears of one event from now on. */
export const listen = (client, path, event) => {
  const heard = []
  client.service(path).on(event, (data) => heard.push(data))
  return heard
}

/** Resolves with the first event that `isWanted` after the call of `action`. */
export const nextEvent = async (client, path, event, action, isWanted = () => true) => {
  const service = client.service(path)
  let onEvent
  const heard = new Promise((resolve) => { onEvent = (data) => isWanted(data) && resolve(data) })
  service.on(event, onEvent)
  try {
    await action()
    return await within(5000, `event ${path} ${event}`, heard)
  } finally {
    service.off(event, onEvent)
  }
}

// ---------------------------------------------------------------- the browser

/** What a browser without a screen is started with. */
export const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'
]

export const chromium = () => {
  const places = ['/usr/bin/chromium', '/usr/bin/google-chrome', '/usr/bin/google-chrome-stable', '/snap/bin/chromium']
  const found = [process.env.WINGBEAT_CHROMIUM, ...places].find((path) => path && existsSync(path))
  if (!found) throw new Error('no Chromium found: install the package chromium or set WINGBEAT_CHROMIUM')
  return found
}
