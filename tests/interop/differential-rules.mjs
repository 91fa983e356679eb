// Where wingbeat answers otherwise than Feathers; docs/compatibility.md has a row with the reason for each.
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'

import { compressed, rest, socket } from './differential-requests.mjs'

const parsed = (text) => { try { return JSON.parse(text) } catch { return undefined } }
const error = ({ body, log }) => body === undefined ? log.find(([what]) => what === 'answer')?.[1] : parsed(body)
const message = (answer) => error(answer)?.message ?? ''
const result = ({ log }) => log.find(([what]) => what === 'answer')?.[2]
const refuses = (answer, words) => words.test(message(answer)) && error(answer).code === 400
const failsOver = (answer, words) => answer.status === 500 && words.test(message(answer))
/** True when it was taken, or refused with one of these codes. */
const takes = (answer, ...codes) => answer.status < 300 || result(answer) !== undefined || codes.includes(error(answer)?.code)
const pathOf = ({ path, args }) => path === undefined ? args[1] : path.split('?')[0]
const methodOf = ({ verb, args }) => args?.[0] ?? { GET: 'find', PUT: 'update' }[verb]
const isHtml = ({ headers }) => headers?.['content-type']?.startsWith('text/html') ?? false
const asked = ({ headers }) => `${headers?.accept} ${headers?.['content-type']}`
const hasEvent = ({ log }, name) => log.some(([what, event]) => what === 'event' && event.endsWith(` ${name}`))
const sameMeaning = (one, other) => {
  const meaning = ({ status, headers, body, log }) => JSON.stringify([status, headers?.['content-type'], body && parsed(body), log])
  return meaning(one) === meaning(other)
}
const deep = '[[{"a":'.repeat(50) + '1' + '}]]'.repeat(50)

/** Each with examples, so that it applies whatever the seed is. */
export const rules = [
  {
    name: 'prototype-names',
    examples: [rest('GET', '/echo/constructor'), socket('find', '__proto__'), socket('get', 'todos', '__proto__')],
    explains: (request, feathers) => request.args?.[2] === '__proto__'
      ? result(feathers) !== undefined
      : /(^|\/)(constructor|__proto__|toString)(\/|$)/.test(pathOf(request)) && (feathers.status ?? 500) === 500 &&
        (message(feathers) === 'child.lookup is not a function' || request.verb === 'HEAD' || isHtml(feathers))
  },
  {
    name: 'accept-is-ignored',
    examples: [rest('GET', '/echo', undefined, { accept: 'application/xml' }), rest('GET', '/no/such', undefined, { accept: 'text/html' })],
    explains: (request, feathers, wingbeat) => /html|xml/.test(asked(request)) && !isHtml(wingbeat) &&
      (isHtml(feathers) ? [500, wingbeat.status].includes(feathers.status) : failsOver(feathers, /^Not Acceptable$/) || (request.verb === 'HEAD' && feathers.status === 500))
  },
  {
    name: 'no-etags',
    examples: [rest('GET', '/returns/one', undefined, { 'if-none-match': '*' })],
    explains: (_request, feathers, wingbeat) => feathers.status === 304 && wingbeat.status === 200
  },
  {
    name: 'health-pages',
    examples: [rest('GET', '/live'), rest('GET', '/ready')],
    explains: ({ path }, feathers, wingbeat) => /^\/(live|ready)$/.test(path) && feathers.status === 404 && wingbeat.status === 200
  },
  {
    name: 'unknown-verbs',
    examples: [rest('FROB', '/echo')],
    explains: ({ verb }, feathers, wingbeat) => feathers.status === 400 && feathers.body === '' && message(wingbeat) === `Method ${verb} not allowed`
  },
  {
    name: 'words-of-zlib',
    examples: [compressed('{"a":1}', (text) => text, 'gzip'), compressed('{"a":1}', (text) => deflateSync(text).subarray(0, 8), 'deflate')],
    explains: ({ headers }, feathers, wingbeat) => /^(gzip|deflate)$/i.test(headers?.['content-encoding']) && failsOver(feathers, /^(incorrect|invalid|unexpected) /) &&
      failsOver(wingbeat, /^the compressed body is broken$/)
  },
  {
    name: 'empty-bodies-have-no-charset',
    examples: [rest('POST', '/echo', '', { 'content-type': 'application/json; charset=latin1' })],
    explains: ({ body }, feathers, wingbeat) => body === '' && failsOver(feathers, /^unsupported charset/) && wingbeat.status !== 500
  },
  {
    name: 'numbers-fit',
    examples: [rest('POST', '/echo', '{"a":1e999}')],
    explains: ({ body }, feathers, wingbeat) => /\de999/.test(body) && failsOver(wingbeat, /./) && feathers.status !== 500
  },
  {
    name: 'json-depth',
    examples: [rest('POST', '/echo', deep)],
    explains: (_request, feathers, wingbeat) => feathers.status === 201 && failsOver(wingbeat, /^JSON is nested too deep$/)
  },
  {
    name: 'half-surrogates',
    examples: [rest('POST', '/echo', '{"a":"\\ud83d"}')],
    explains: ({ body }, feathers, wingbeat) => /\\ud83d/.test(body) && feathers.status === 201 && failsOver(wingbeat, /JSON/)
  },
  {
    name: 'json-spelling',
    examples: [rest('POST', '/echo', '{"a":12345678901234567890}'), rest('POST', '/echo', '{"b":-0,"1":0}')],
    explains: (_request, feathers, wingbeat) => feathers.body !== wingbeat.body && sameMeaning(feathers, wingbeat)
  },
  {
    name: 'patch-is-an-object',
    examples: [rest('PATCH', '/messages/99', '[]'), socket('patch', 'messages', 99)],
    explains: (_request, feathers, wingbeat) => takes(feathers, 404, 405) && refuses(wingbeat, /^a patch is an object$/)
  },
  {
    name: 'record-is-an-object',
    examples: [rest('POST', '/messages', '[1]'), rest('POST', '/messages', '[null]')],
    explains: (_request, feathers, wingbeat) => (takes(feathers, 404, 405) || /^Cannot read properties of null/.test(message(feathers))) && refuses(wingbeat, /^a record is an object, not /)
  },
  {
    name: 'bad-queries-are-400',
    examples: [rest('GET', '/messages?text[$ne]=x&text=y'), socket('find', 'messages', { $or: [] })],
    explains: (_request, feathers, wingbeat) => message(feathers) !== '' && (error(feathers).code ?? 500) === 500 && error(wingbeat)?.code === 400 &&
      message(feathers) === message(wingbeat)
  },
  {
    name: 'lists-in-lists',
    examples: [socket('create', 'http', [[true]])],
    explains: (_request, feathers, wingbeat) => JSON.stringify(result(feathers)) === JSON.stringify(result(wingbeat)) && feathers.body === wingbeat.body &&
      feathers.log.length === wingbeat.log.length && wingbeat.log.some(([what, , data]) => what === 'event' && Array.isArray(data))
  },
  {
    name: 'update-is-answered',
    examples: [socket('update', 'todos', 0, { text: 'new' }, { text: 'some todo' })],
    explains: (request, feathers, wingbeat) => methodOf(request) === 'update' && error(feathers)?.code === 404 && hasEvent(wingbeat, 'updated')
  },
  {
    name: 'missing-ids-are-refused',
    examples: [socket('update', 'echo'), socket('remove', 'messages')],
    explains: ({ args }, feathers, wingbeat) => args?.length === 2 && takes(feathers, 404, 405) && refuses(wingbeat, /^id for '(get|update|patch|remove)' can not be undefined$/)
  },
  {
    name: 'missing-data-is-null',
    examples: [socket('update', 'echo', 1), socket('create', 'echo')],
    explains: ({ args }) => args !== undefined && args.length - 2 === { create: 0, update: 1, patch: 1, custom: 0, ping: 0, customMethod: 0, fire: 0 }[args[0]]
  },
  {
    name: 'get-needs-an-id',
    examples: [socket('get', 'getonly', null)],
    explains: ({ args }, feathers, wingbeat) => args?.[0] === 'get' && args[2] === null && takes(feathers, 404, 405) && refuses(wingbeat, /^(id for 'get' can not be undefined|no id)$/)
  },
  {
    name: 'ids-are-scalars',
    examples: [socket('get', 'getonly', [1])],
    explains: (_request, feathers, wingbeat) => takes(feathers, 400, 404, 405) && refuses(wingbeat, /^an id is a number or a string, not /)
  },
  {
    name: 'events-have-names',
    examples: [socket('fire', 'ev', {})],
    explains: (_request, feathers, wingbeat) => takes(feathers) && refuses(wingbeat, /^'' can not be the name of an event$/)
  }
]

/** What `feathers_compat` answers as Feathers does, and an app with the default settings does not. */
export const defaults = [
  {
    name: 'bad-bodies-are-400',
    examples: [rest('POST', '/echo', '{'), rest('PUT', '/echo/1', '42'), rest('PATCH', '/echo/1', '{}', { 'content-type': 'application/json; charset=latin1' })],
    explains: (_request, feathers, wingbeat) => failsOver(feathers, /./) && wingbeat.status === 400 && refuses(wingbeat, /./) && message(feathers) === message(wingbeat)
  },
  {
    name: 'large-bodies-are-413',
    examples: [rest('POST', '/echo', JSON.stringify({ a: 'x'.repeat(200_000) }))],
    explains: (_request, feathers, wingbeat) => failsOver(feathers, /^request entity too large$/) && wingbeat.status === 413 && message(feathers) === message(wingbeat)
  },
  {
    name: 'unknown-paths-come-first',
    examples: [rest('POST', '/no/such', '{')],
    explains: (_request, feathers, wingbeat) => failsOver(feathers, /JSON/) && wingbeat.status === 404
  },
  {
    name: 'foreign-errors-are-hidden',
    examples: [rest('GET', '/errs/plain'), socket('get', 'errs', 'plain')],
    explains: (_request, feathers, wingbeat) => message(feathers) === 'Plain failure' && /^Internal error, log id [0-9a-f]{8}$/.test(message(wingbeat)) && error(wingbeat).code === 500
  }
]

/** Answered alike; what needs more than the generator makes. */
export const known = [
  rest('POST', '/echo', JSON.stringify({ a: 'x'.repeat(200_000) })), rest('POST', '/echo', JSON.stringify({ a: 'x'.repeat(90_000) })),
  rest('POST', '/no/such', '{'), rest('GET', '/echo/1', '{'), rest('GET', '/verify?a[b]=1', undefined, { 'x-custom': 'x' }),
  rest('GET', '/verify', undefined, { 'x-custom': 'Ü' }), rest('POST', '/echo', '[1'), rest('POST', '/echo', '{"a"'), rest('POST', '/echo', '{"a":1,'),
  rest('POST', '/echo', '{"a":-}'), rest('POST', '/echo', '{"a":1.}'), rest('POST', '/echo', '{"a":1e}'), rest('POST', '/echo', '[1e+'),
  compressed('{"a":1}', gzipSync, 'gzip'), compressed('{"a":1}', deflateSync, 'DEFLATE'), compressed('{"a":1}', (text) => text, 'identity'),
  compressed('a[b]=1', gzipSync, 'gzip', 'application/x-www-form-urlencoded'), compressed('{"a":1}', brotliCompressSync, 'br'), compressed('x', gzipSync, 'gzip', 'text/plain'),
  compressed('{"a":1}', gzipSync, 'gzip, gzip'), compressed('{"a":1', gzipSync, 'gzip'), compressed('{"a":1}', (text) => Buffer.concat([gzipSync(text.slice(0, 3)), gzipSync(text.slice(3))]), 'gzip'),
  compressed(`{"a":"${'x'.repeat(102_392)}"}`, gzipSync, 'gzip'), compressed(`{"a":"${'x'.repeat(102_393)}"}`, gzipSync, 'gzip'), compressed(`[${' '.repeat(20_000_000)}]`, deflateSync, 'deflate')
]
