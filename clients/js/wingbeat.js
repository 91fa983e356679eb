// The client of wingbeat for browsers and Node: calls and events over its plain websocket, or events alone over server-sent
// events. It has no dependencies. The protocols are those of docs/websocket.md and docs/sse.md.

/** An error of a service, in the shape of Feathers', or one of this client: `ConnectionLost`, `Timeout`, `Closed`. */
export class WingbeatError extends Error {
  constructor ({ name, message, code, className, data, errors }) {
    super(message)
    Object.assign(this, { name, code, className, data, errors })
  }
}

/** Calls services and hears events over a websocket; connects at once, and again whenever the connection is lost. */
export function connect (url, options = {}) {
  return new Client(url, options)
}

/** Hears the events of services over server-sent events: `listen(url, ['messages', 'rooms'], { events: ['created'] })`. */
export function listen (url, services, options = {}) {
  return new Listener(url, services, options)
}

/** What both ways have: listeners, and a connection that comes back. */
class Connection {
  #listeners = new Map()
  #attempts = 0
  #timer
  #isClosed = false

  constructor (url, options) {
    // A bad address is found here and not again and again.
    this.url = new URL(url, globalThis.location?.href)
    this.options = { path: options.path, query: options.query, firstDelay: 300, longestDelay: 10_000, ...options }
    // Whoever makes it adds listeners before anything can come.
    queueMicrotask(() => this.reconnect())
  }

  /** Adds a listener of the connection (`open`, `close`, `gap`, `error`) or of an event (`messages created`); returns what removes it. */
  on (name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set()
    this.#listeners.set(name, listeners.add(listener))
    return () => this.off(name, listener)
  }

  off (name, listener) {
    this.#listeners.get(name)?.delete(listener)
  }

  /** Ends the connection for good. */
  close () {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.disconnect()
  }

  get isClosed () {
    return this.#isClosed
  }

  emit (name, ...args) {
    for (const listener of [...this.#listeners.get(name) ?? []]) {
      try {
        listener(...args)
      } catch (error) {
        // One bad listener takes nothing from the others.
        reportError(error)
      }
    }
  }

  /** The address with a fresh query, which may be a promise: a ticket is good for one connection. */
  async address (path) {
    const url = new URL(this.url)
    url.pathname = url.pathname.replace(/\/$/, '') + path
    const { query } = this.options
    const more = typeof query === 'function' ? await query() : query
    for (const [name, value] of Object.entries(more ?? {})) url.searchParams.append(name, value)
    return url
  }

  async reconnect () {
    if (this.#isClosed) return
    try {
      await this.dial()
    } catch (error) {
      if (this.#isClosed) return
      this.emit('error', error)
      this.lost({ reason: error.message })
    }
  }

  opened () {
    const isAgain = this.wasOpen
    this.#attempts = 0
    this.wasOpen = true
    this.emit('open')
    return isAgain
  }

  /** Connects again after a while of random length, so that the clients of a node that ended do not come all at once. */
  lost (why, atLeast = 0) {
    if (this.#isClosed) return
    const longest = Math.min(this.options.firstDelay * 2 ** this.#attempts++, this.options.longestDelay)
    const delay = Math.max(atLeast, longest * (0.5 + Math.random() / 2))
    this.emit('close', { ...why, retryIn: delay })
    this.#timer = setTimeout(() => this.reconnect(), delay)
  }

  /** Ends for good what would fail again. */
  gaveUp (error) {
    this.#isClosed = true
    this.emit('error', error)
    this.emit('close', { reason: error.message })
  }
}

class Client extends Connection {
  #socket
  #calls = new Map()
  #waiting = new Set()
  #lastId = 0
  #heart
  #WebSocket

  constructor (url, options) {
    super(url, { path: '/ws', timeout: 10_000, silence: 30_000, ...options })
    this.#WebSocket = options.WebSocket ?? globalThis.WebSocket
    if (!this.#WebSocket) throw new TypeError('there is no WebSocket here: pass one as `options.WebSocket`')
  }

  /** Returns a service by its path. */
  service (path) {
    return new Service(this, path)
  }

  get isOpen () {
    return this.#socket?.readyState === 1
  }

  /** Makes a call; one that is made while there is no connection waits for it, within the same timeout. */
  call (method, path, ...args) {
    if (this.isClosed) return Promise.reject(failure('Closed', 'the client is closed'))
    return new Promise((resolve, reject) => {
      const call = { id: ++this.#lastId, message: [method, path, ...args], resolve, reject }
      call.timer = setTimeout(() => this.#settle(call, failure('Timeout', `no answer within ${this.options.timeout} ms`, 408)), this.options.timeout)
      if (this.isOpen) this.#send(call)
      else this.#waiting.add(call)
    })
  }

  async dial () {
    const url = await this.address(this.options.path)
    if (this.isClosed) return
    url.protocol = url.protocol.replace('http', 'ws')
    const socket = new this.#WebSocket(url.href, ['wingbeat.json'])
    this.#socket = socket
    socket.onopen = () => this.#opened()
    socket.onmessage = ({ data }) => {
      this.#listen()
      this.#receive(data)
    }
    // A socket that fails is closed, too.
    socket.onerror = () => {}
    socket.onclose = ({ code, reason }) => this.#closed(code, reason)
  }

  disconnect () {
    clearTimeout(this.#heart)
    this.#socket?.close(1000)
    this.#fail(failure('Closed', 'the client is closed'), [...this.#calls.values(), ...this.#waiting])
  }

  #opened () {
    const isAgain = this.opened()
    this.#listen()
    for (const call of this.#waiting) this.#send(call)
    this.#waiting.clear()
    if (isAgain) this.emit('gap')
  }

  /** Finds out whether a node that is silent is still there: it answers every call, also one that it can not make. */
  #listen () {
    clearTimeout(this.#heart)
    this.#heart = setTimeout(() => {
      this.#socket.send(JSON.stringify([PROBE, 'find', '']))
      this.#heart = setTimeout(() => this.#cut(), this.options.timeout)
    }, this.options.silence)
  }

  /** Leaves a connection whose end would not be heard for minutes. */
  #cut () {
    const socket = this.#socket
    socket.onmessage = socket.onclose = null
    socket.close()
    this.#closed(undefined, 'the node does not answer')
  }

  #closed (code, reason) {
    clearTimeout(this.#heart)
    this.#fail(failure('ConnectionLost', 'the connection was lost before the answer came; the call may have run'), [...this.#calls.values()])
    if (FINAL_CODES.has(code)) this.gaveUp(failure('Refused', `the node closed with ${code} ${reason}`.trimEnd(), code))
    else this.lost({ code, reason })
  }

  #send (call) {
    this.#calls.set(call.id, call)
    this.#socket.send(JSON.stringify([call.id, ...call.message]))
  }

  #receive (text) {
    const [first, second, third] = JSON.parse(text)
    if (typeof first === 'string') return this.emit(first, second)
    const call = this.#calls.get(first)
    if (call) this.#settle(call, second && new WingbeatError(second), third)
  }

  #settle (call, error, result) {
    clearTimeout(call.timer)
    this.#calls.delete(call.id)
    this.#waiting.delete(call)
    if (error) call.reject(error)
    else call.resolve(result)
  }

  #fail (error, calls) {
    for (const call of calls) this.#settle(call, error)
  }
}

/** One service of a client, with the methods of Feathers. */
class Service {
  #connection

  constructor (connection, path) {
    this.#connection = connection
    this.path = path.replace(/^\/+|\/+$/g, '')
  }

  find (query = {}) { return this.call('find', query) }
  get (id, query = {}) { return this.call('get', id, query) }
  create (data, query = {}) { return this.call('create', data, query) }
  update (id, data, query = {}) { return this.call('update', id, data, query) }
  patch (id, data, query = {}) { return this.call('patch', id, data, query) }
  remove (id, query = {}) { return this.call('remove', id, query) }

  /** Calls any method, as a custom one: `call('publish', data, query)`. */
  call (method, ...args) {
    return this.#connection.call(method, this.path, ...args)
  }

  /** Adds a listener for an event, as `created`; returns what removes it. */
  on (event, listener) {
    return this.#connection.on(`${this.path} ${event}`, listener)
  }

  off (event, listener) {
    this.#connection.off(`${this.path} ${event}`, listener)
  }
}

class Listener extends Connection {
  #services
  #abort
  #lastEventId
  #retry = 0

  constructor (url, services, options) {
    super(url, { path: '/events', headers: {}, events: [], silence: 60_000, ...options })
    this.#services = services
  }

  /** Returns a service whose events are heard; it makes no calls. */
  service (path) {
    return {
      path,
      on: (event, listener) => this.on(`${path} ${event}`, listener),
      off: (event, listener) => this.off(`${path} ${event}`, listener)
    }
  }

  async dial () {
    const url = await this.address(this.options.path)
    this.#services.forEach((service) => url.searchParams.append('service', service))
    this.options.events.forEach((event) => url.searchParams.append('event', event))
    this.#abort = new AbortController()
    const headers = { accept: 'text/event-stream', ...this.options.headers }
    if (this.#lastEventId) headers['last-event-id'] = this.#lastEventId
    const { credentials } = this.options
    const response = await fetch(url, { headers, credentials, cache: 'no-store', signal: this.#abort.signal })
    if (this.isClosed) return
    if (response.status >= 400 && response.status < 500) return this.gaveUp(await refusal(response))
    if (response.status !== 200) throw await refusal(response)
    this.opened()
    await this.#read(response.body)
    this.lost({ reason: 'the stream ended' }, this.#retry)
  }

  disconnect () {
    this.#abort?.abort()
  }

  async #read (body) {
    const [reader, decoder] = [body.getReader(), new TextDecoder()]
    let text = ''
    for (;;) {
      const { done, value } = await this.#heard(reader)
      if (done) return
      text += decoder.decode(value, { stream: true })
      const blocks = text.split('\n\n')
      text = blocks.pop()
      blocks.forEach((block) => this.#take(block))
    }
  }

  /** A node is never silent for long: it sends comments. */
  async #heard (reader) {
    const silence = setTimeout(() => this.disconnect(), this.options.silence)
    try {
      return await reader.read()
    } finally {
      clearTimeout(silence)
    }
  }

  #take (block) {
    const lines = block.split('\n').map((line) => /^([^:]*):? ?(.*)$/s.exec(line).slice(1))
    const of = (field) => lines.filter(([name]) => name === field).map(([, value]) => value)
    if (of('id').length) this.#lastEventId = of('id').at(-1)
    if (of('retry').length) this.#retry = Number(of('retry').at(-1))
    if (of('data').length) this.emit(of('event').at(-1) ?? 'message', JSON.parse(of('data').join('\n')))
  }
}

async function refusal (response) {
  const error = await response.json().catch(() => ({}))
  return new WingbeatError({ name: 'Refused', message: `the server answered ${response.status}`, code: response.status, ...error })
}

function failure (name, message, code) {
  return new WingbeatError({ name, message, code })
}

/** Shows what a listener threw, without ending anything. */
function reportError (error) {
  if (typeof globalThis.reportError === 'function') globalThis.reportError(error)
  else console.error(error)
}

/** The id of a call that nobody waits for. */
const PROBE = 0
/** Codes after which the same would happen again: what this client says is not understood, or the app ended the session. */
const FINAL_CODES = new Set([1002, 1003, 1007, 4401])
