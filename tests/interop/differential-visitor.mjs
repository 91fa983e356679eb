// One client below Feathers: it takes the steps of a visit and writes down what the server does.
import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { text as bodyOf } from 'node:stream/consumers'

import { PATH, POLLING, WebSocket } from './differential-visits.mjs'
import { until, within } from './support.mjs'

const LATE = 30_000
const HEADERS = ['content-type', 'cache-control', 'access-control-allow-origin', 'content-encoding', 'sec-websocket-protocol', 'sec-websocket-accept', 'sec-websocket-extensions']

/** Plays a visit to both; resolves to the answers to requests, the packets that were polled, the frames of websockets, and the ends. */
export const visitBoth = async (urls, steps) => {
  const visitors = urls.map((url) => new Visitor(url))
  try {
    await Promise.all(visitors.map((visitor) => visitor.play(steps)))
    let seen
    const haveSettled = async () => {
      await Promise.all(visitors.map((visitor) => visitor.settle()))
      seen = visitors.map((visitor) => visitor.seen())
      return count(seen[0]) === count(seen[1])
    }
    // Calls that are answered late are the reason to look again.
    await until('as many messages from both', haveSettled, { ms: 1000 }).catch(() => {})
    return seen
  } finally {
    visitors.forEach((visitor) => visitor.leave())
  }
}

const count = ({ packets, sockets }) => packets.length + sockets.flatMap(({ frames }) => frames).length

/** A namespace that is refused whatever else is connected; what a client sent before it has been read by then. */
const barrier = (n) => `40/barrier${n},`
const isBarrier = (packet, n = '') => packet.startsWith(`44/barrier${n}`)

class Visitor {
  constructor (url) {
    this.url = new URL(url)
    this.log = { answers: [], packets: [], sockets: [] }
    /** Barriers so far; as many digits each. */
    this.n = 1000
  }

  async request ({ method, path, headers, body }) {
    this.log.answers.push(await this.#ask(method, path, headers, body))
  }

  /** Its request is on its way before the next step. */
  async poll () {
    await new Promise((resolve) => { this.polling = this.#ask('GET', `${PATH}${POLLING}&sid=$sid`, {}, undefined, resolve) })
  }

  async fetch () {
    const polled = await (this.polling ?? this.#ask('GET', `${PATH}${POLLING}&sid=$sid`))
    this.polling = undefined
    if (polled.status === 200) this.log.packets.push(...polled.body.split('\u001e'))
    return polled
  }

  async websocket ({ path, headers }) {
    const socket = new WebSocket(`ws://${this.url.host}${this.#filled(path)}`, { perMessageDeflate: false, headers })
    const heard = { frames: [], end: undefined }
    this.log.sockets.push(heard)
    socket.on('message', (data, isBinary) => heard.frames.push(isBinary ? `binary ${data.toString('base64')}` : data.toString()))
    const closed = new Promise((resolve) => {
      socket.on('close', (code) => resolve(heard.end ??= code))
      socket.on('error', () => {})
      socket.on('unexpected-response', (_request, response) => bodyOf(response).then((body) => resolve(heard.end ??= `${response.statusCode} ${body}`)))
    })
    this.current = { socket, heard, closed, n: 0 }
    await this.#orClosed(once(socket, 'open').catch(() => {}))
  }

  send ({ message, bytes }) {
    if (this.current.socket.readyState === WebSocket.OPEN) this.current.socket.send(message ?? Buffer.from(bytes))
  }

  raw ({ bytes }) {
    this.current.socket._socket?.write(Buffer.from(bytes))
  }

  close ({ code }) {
    this.current.socket.close(code)
  }

  async hear () {
    const { socket, heard } = this.current
    const wanted = ++this.current.n
    while (heard.frames.length < wanted && heard.end === undefined) await this.#orClosed(once(socket, 'message'))
  }

  async play (steps) {
    for (const step of steps) await this[step.step](step)
    await this.settle()
  }

  /** Waits until what was sent is read, or can not be any more. */
  async settle () {
    this.n++
    if (this.current) await this.#settleSocket()
    if (this.sid !== undefined && (this.log.end ?? 'open') === 'open') await this.#settlePolling()
  }

  seen () {
    const sockets = this.log.sockets.map(({ frames, end = 'open' }) => ({ frames: inOrder(frames, end), end }))
    return { ...this.log, packets: inOrder(this.log.packets, this.log.end), sockets }
  }

  leave () {
    this.current?.socket.terminate()
  }

  async #settleSocket () {
    const { socket, heard } = this.current
    this.send({ message: barrier(this.n) })
    while (heard.end === undefined && !heard.frames.some((frame) => isBarrier(frame, this.n))) await this.#orClosed(once(socket, 'message'))
  }

  async #settlePolling () {
    const { packets } = this.log
    if (!this.polling) await this.poll()
    const posted = await this.#ask('POST', `${PATH}${POLLING}&sid=$sid`, { 'content-type': 'text/plain' }, barrier(this.n))
    const isOpen = () => packets.some((packet) => isBarrier(packet, this.n))
    let polled
    do polled = await this.fetch(); while (polled.status === 200 && !isOpen() && !packets.includes('1'))
    this.log.end = isOpen() ? 'open' : packets.includes('1') ? 'closed' : { posted, polled }
  }

  #orClosed (event) {
    return within(LATE, 'a frame or the end of a websocket', Promise.race([event, this.current.closed]))
  }

  async #ask (method, path, headers = {}, body, onSent = () => {}) {
    const { hostname, port } = this.url
    const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }
    const sent = httpRequest({ hostname, port, agent: false, method, path: this.#filled(path), headers: { host: 'both.test', ...headers, ...length } })
    const shown = (response, body) => this.#shown(response, body)
    const answered = new Promise((resolve) => {
      sent.on('finish', onSent).on('error', () => resolve({ status: 'reset' }))
      sent.on('upgrade', (response, socket) => { socket.destroy(); resolve(shown(response, '')) })
      sent.on('response', (response) => bodyOf(response).then((body) => resolve(shown(response, body)), () => resolve({ status: 'reset' })))
    })
    sent.end(body)
    return within(LATE, `${method} ${path}`, answered)
  }

  #shown ({ statusCode, headers }, body) {
    this.sid = /^0\{"sid":"([^"]+)"/.exec(body)?.[1] ?? this.sid
    const named = HEADERS.filter((name) => name in headers).map((name) => [name, headers[name]])
    return { status: statusCode, headers: Object.fromEntries(named), body: withoutSid(body) }
  }

  #filled (path) {
    return path.replace('$sid', this.sid)
  }
}

const withoutSid = (packet) => packet.replace(/"sid":"[^"]+"/, '"sid":"S"')

/** Answers may overtake each other, some may not be ready before an end, and a poll may be ended by a packet that says nothing. */
const inOrder = (packets, end) => {
  const whole = []
  for (const packet of packets.map(withoutSid)) {
    if (/^(binary |b)/.test(packet)) whole.push(`${whole.pop()} ${packet.replace(/^(binary |b)/, '')}`)
    else if (!isBarrier(packet) && packet !== '6') whole.push(packet)
  }
  const isAnswer = (packet) => /^4[36]/.test(packet)
  return [...whole.filter((packet) => !isAnswer(packet)), ...(end === 'open' ? whole.filter(isAnswer).sort() : [])]
}
