/** An error of a service, in the shape of Feathers', or one of this client: `ConnectionLost`, `Timeout`, `Closed`. */
export class WingbeatError extends Error {
  code?: number
  className?: string
  data?: unknown
  errors?: unknown
}

type Query = Record<string, unknown>
type Id = number | string
type Remove = () => void

export interface Options {
  /** Where the node listens for this; `/ws` or `/events`. */
  path?: string
  /** What stands in the URL, made anew for each connection: tickets are good for one. */
  query?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>)
  /** Milliseconds before the first attempt to connect again; each takes about twice as long as the one before. 300. */
  firstDelay?: number
  /** Milliseconds; 10,000. */
  longestDelay?: number
  /**
   * Milliseconds without a word after which a connection is not trusted any more: 30,000 until a websocket is tried, 60,000 until
   * server-sent events are asked for anew.
   */
  silence?: number
}

export interface ConnectOptions extends Options {
  /** Milliseconds that a call may take, with the wait for a connection; 10,000. */
  timeout?: number
  /** For Node before 22: that of `ws`. */
  WebSocket?: unknown
}

export interface ListenOptions extends Options {
  /** Which events of all these services; all when there is none. */
  events?: string[]
  headers?: Record<string, string>
  credentials?: 'omit' | 'same-origin' | 'include'
}

export interface Closing {
  code?: number
  reason?: string
  /** Milliseconds until the next attempt; missing when there is none. */
  retryIn?: number
}

export interface ConnectionEvents {
  open: () => void
  close: (closing: Closing) => void
  /** It is open again and events may have been missed: read anew. */
  gap: (data?: unknown) => void
  error: (error: Error) => void
}

interface Connection {
  readonly isClosed: boolean
  on<E extends keyof ConnectionEvents>(name: E, listener: ConnectionEvents[E]): Remove
  on(name: `${string} ${string}`, listener: (data: any) => void): Remove
  off(name: string, listener: (...args: any[]) => void): void
  /** Ends the connection for good; open calls fail with `Closed`. */
  close(): void
}

/** A service whose events are heard. */
export interface Heard<Item = any> {
  readonly path: string
  on(event: string, listener: (data: Item) => void): Remove
  off(event: string, listener: (data: Item) => void): void
}

/** A service with the methods of Feathers; they reject with a `WingbeatError`. */
export interface Service<Item = any, New = Partial<Item>> extends Heard<Item> {
  find(query?: Query): Promise<Item[] | { total: number, limit: number, skip: number, data: Item[] }>
  get(id: Id, query?: Query): Promise<Item>
  create(data: New, query?: Query): Promise<Item>
  create(data: New[], query?: Query): Promise<Item[]>
  update(id: Id, data: New, query?: Query): Promise<Item>
  patch(id: Id, data: Partial<New>, query?: Query): Promise<Item>
  patch(id: null, data: Partial<New>, query?: Query): Promise<Item[]>
  remove(id: Id, query?: Query): Promise<Item>
  remove(id: null, query?: Query): Promise<Item[]>
  /** Calls any method, as a custom one: `call('publish', data, query)`. */
  call(method: string, ...args: unknown[]): Promise<any>
}

export interface Client extends Connection {
  readonly isOpen: boolean
  service<Item = any, New = Partial<Item>>(path: string): Service<Item, New>
  call(method: string, path: string, ...args: unknown[]): Promise<any>
}

export interface Listener extends Connection {
  service<Item = any>(path: string): Heard<Item>
}

/** Calls services and hears events over a websocket; connects at once, and again whenever the connection is lost. */
export function connect(url: string | URL, options?: ConnectOptions): Client

/** Hears the events of services over server-sent events: `listen(url, ['messages', 'rooms'], { events: ['created'] })`. */
export function listen(url: string | URL, services: string[], options?: ListenOptions): Listener
