// Where Engine.IO and Socket.IO are otherwise than in Node; docs/compatibility.md has a row with the reason for each.
import {
  PATH, POLLING, WEBSOCKET, binary, connected, fetched, frame, hear, open, poll, polled, post, probing, request, text, upgrading, websocket
} from './differential-visits.mjs'

const isAlike = (one, other) => JSON.stringify(one) === JSON.stringify(other)
/** What a client sent, packet by packet. */
const sent = (steps) => steps.flatMap(({ message, body }) => message ?? body?.split('\u001e') ?? [])
const sends = (steps, pattern) => sent(steps).some((packet) => pattern.test(packet))
const isUpgrade = ({ headers }) => headers?.upgrade !== undefined
const isOurs = ({ path }) => path.startsWith(PATH)
const code = ({ body } = {}) => { try { return JSON.parse(body).code } catch { return undefined } }
/** The first answers that differ, with their request. */
const differing = (steps, feathers, wingbeat) => {
  const at = feathers.answers.findIndex((answer, at) => !isAlike(answer, wingbeat.answers[at]))
  const asked = steps.filter(({ step }) => step === 'request')[at]
  return { asked, theirs: feathers.answers[at] ?? {}, ours: wingbeat.answers[at] ?? {} }
}
/** True when only the websockets differ: both ended, or one did. */
const ends = (steps, feathers, wingbeat, theirs, ours) => isAlike(feathers.answers, wingbeat.answers) &&
  feathers.sockets.at(-1)?.end === theirs && wingbeat.sockets.at(-1)?.end === ours
/** True when one heard all that the other did over the last websocket, in that order and before anything else. */
const beginsWith = ({ sockets }, other) => other.sockets.at(-1).frames.every((frame, at) => frame === sockets.at(-1).frames[at])
/** Polling has ended. */
const isOver = ({ end = 'open' }) => end !== 'open'
const withoutEnd = ({ packets }) => packets.filter((packet) => packet !== '1')
const hasJoined = ({ packets, sockets }) => [...packets, ...sockets.flatMap(({ frames }) => frames)].some((packet) => packet.startsWith('40{'))
const isProbing = (steps) => steps.some(({ step, path }) => step === 'websocket' && path.includes('sid='))
/** What is sent over a websocket that begins beside polling. */
const probe = (steps) => steps.slice(steps.findIndex(({ step, path }) => step === 'websocket' && path.includes('sid='))).flatMap(({ message }) => message ?? [])
const large = JSON.stringify(['find', 'echo', { text: 'x'.repeat(1_000_000) }])
const deep = `421["custom","echo",${'['.repeat(200)}${']'.repeat(200)},{}]`

/** Each with examples, so that it applies whatever the seed is. */
export const visitRules = [
  {
    name: 'refused-upgrades-are-json',
    examples: [[upgrading('?EIO=4&transport=x')], [upgrading(WEBSOCKET, { 'sec-websocket-key': 'short==' })], [upgrading(WEBSOCKET, {}, 'POST')]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      const isPlain = theirs.status === 400 && theirs.headers['content-type'] === 'text/html'
      return asked !== undefined && isUpgrade(asked) && (isPlain || (asked.method === 'HEAD' && theirs.status === 'reset')) && ours.status === 400
    }
  },
  {
    name: 'refused-before-the-upgrade',
    examples: [[upgrading('?EIO=3&transport=websocket')]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked !== undefined && isUpgrade(asked) && theirs.status === 101 && code(ours) === 5
    }
  },
  {
    name: 'polling-takes-no-upgrade',
    examples: [[upgrading(POLLING)]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked !== undefined && isUpgrade(asked) && [101, 400].includes(theirs.status) && ours.status === 200 && ours.body.startsWith('0{')
    }
  },
  {
    name: 'upgrades-elsewhere',
    examples: [[upgrading(WEBSOCKET, {}, 'GET', '/nope/x/y')]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked !== undefined && isUpgrade(asked) && !isOurs(asked) && theirs.status === 'reset' && [404, 405].includes(ours.status)
    }
  },
  {
    name: 'websocket-version-8',
    examples: [[upgrading(WEBSOCKET, { 'sec-websocket-version': '8' })]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked?.headers['sec-websocket-version'] === '8' && theirs.status === 101 && code(ours) === 3
    }
  },
  {
    name: 'path-without-slash',
    examples: [[request('GET', `/socket.io${POLLING}`)]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked?.path.startsWith('/socket.io?') && theirs.status === 404 && ours.status === 200
    }
  },
  {
    name: 'no-client-bundle',
    examples: [[request('GET', '/socket.io/socket.io.js')]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked?.path === '/socket.io/socket.io.js' && theirs.status === 200 && code(ours) === 0
    }
  },
  {
    name: 'no-jsonp',
    examples: [[open(`${POLLING}&j=0`)]],
    explains: (steps, feathers, wingbeat) => {
      const { theirs, ours } = differing(steps, feathers, wingbeat)
      return theirs.status === 200 && theirs.body.startsWith('___eio[0]("') && ours.status === 200 && ours.body.startsWith('0{')
    }
  },
  {
    name: 'foreign-origins',
    examples: [[open(POLLING, { origin: 'http://other.test', cookie: 'a=b' })]],
    explains: (steps, feathers, wingbeat) => {
      const { asked, theirs, ours } = differing(steps, feathers, wingbeat)
      return asked?.headers.cookie !== undefined && [101, 200].includes(theirs.status) && ours.status === 403
    }
  },
  {
    name: 'wrong-node-is-explained',
    examples: [[request('GET', `${PATH}${POLLING}&sid=AAAAAAAAAAAAAAAAAAAA`)]],
    explains: (steps, feathers, wingbeat) => {
      const { theirs, ours } = differing(steps, feathers, wingbeat)
      return code(theirs) === 1 && code(ours) === 1 && JSON.parse(ours.body).hint !== undefined
    }
  },
  {
    name: 'engine-faults-are-told',
    examples: [[...polled, post('x')], [...polled, post('42["find","echo"]\u001e2'), post('43[]')]],
    explains: (steps, feathers, wingbeat) => {
      const { theirs = {}, ours = {} } = differing(steps, feathers, wingbeat)
      return code(feathers.end?.polled) === 1 && wingbeat.end === 'closed' && wingbeat.packets.at(-1) === '1' && (theirs.status === undefined || (code(theirs) === 1 && code(ours) === undefined))
    }
  },
  {
    name: 'ends-come-at-once',
    examples: [[...polled, poll(), post('40/foo,\u001e42['), post('43[]')]],
    explains: (_steps, feathers, wingbeat) => isOver(feathers) && isOver(wingbeat) && feathers.sockets.length === 0 && isAlike(withoutEnd(feathers), withoutEnd(wingbeat))
  },
  {
    name: 'large-posts-end-sessions',
    examples: [[...polled, post(`421${large}`)]],
    explains: (steps, feathers, wingbeat) => feathers.answers.some(({ status }) => status === 413) && isAlike(feathers.answers, wingbeat.answers) &&
      feathers.end === 'open' && wingbeat.end === 'closed'
  },
  {
    name: 'early-packets',
    examples: [[websocket(), hear(), text('40'), text('421["find","echo"]')], [open(), post('40\u001e421["find","echo"]')]],
    explains: (_steps, feathers, wingbeat) => !hasJoined(feathers) && hasJoined(wingbeat) && (feathers.end === 'closed' || feathers.sockets.at(-1)?.end !== 'open')
  },
  {
    name: 'changes-are-probed',
    examples: [[...polled, probing(), text('5')], [...polled, probing(), text('2probe'), hear(), text('2probe')], [...polled, probing(), text('2probe'), hear(), text('5x')]],
    explains: (steps, _feathers, wingbeat) => isProbing(steps) && !isAlike(probe(steps).slice(0, 2), ['2probe', '5']) && wingbeat.sockets.at(-1).end === 1005 &&
      (/^5/.test(probe(steps)[0]) || (probe(steps)[0] === '2probe' && /^(5.|2probe)/.test(probe(steps)[1])))
  },
  {
    name: 'changed-sessions-are-unknown',
    examples: [[...polled, probing(), text('2probe'), hear(), text('5'), text('421["find","echo"]')]],
    explains: (steps, feathers, wingbeat) => isProbing(steps) && isAlike(feathers.sockets, wingbeat.sockets) && isAlike(feathers.packets, wingbeat.packets) &&
      code(feathers.end?.polled) === 3 && code(wingbeat.end?.polled) === 1
  },
  {
    name: 'polls-behind-a-change',
    examples: [[...polled, poll(), probing(), text('2probe'), hear(), text('5'), text('421["find","echo"]')]],
    explains: (steps, feathers, wingbeat) => isProbing(steps) && isAlike(feathers.sockets, wingbeat.sockets) && feathers.end === 'closed' && code(wingbeat.end?.polled) === 1
  },
  {
    name: 'one-probe-at-a-time',
    examples: [[...polled, probing(), text('2probe'), hear(), probing()]],
    explains: (steps, feathers, wingbeat) => isProbing(steps) && feathers.sockets.at(-1).end === 1005 && wingbeat.sockets.at(-1).end === '400 {"code":3,"message":"Bad request"}'
  },
  {
    name: 'leaving-ends-the-transport',
    examples: [[...connected, text('41')], [...connected, text('1')], [...polled, post('41')]],
    explains: (steps, feathers, wingbeat) => sends(steps, /^(1|41)/) && ((wingbeat.sockets.at(-1)?.end === 1005 && beginsWith(feathers, wingbeat)) || (feathers.end === 'open' && wingbeat.end !== 'open'))
  },
  {
    name: 'broken-text-comes-first',
    examples: [[...connected, frame([255, 254], { fin: false }), frame('2', { opcode: 3 })]],
    explains: (steps, feathers, wingbeat) => ends(steps, feathers, wingbeat, 1002, 1007)
  },
  {
    name: 'numbers-of-packets-fit',
    examples: [[...connected, text('42[1e999]')]],
    explains: (steps, feathers, wingbeat) => sends(steps, /\de999/) && feathers.sockets.at(-1)?.end !== wingbeat.sockets.at(-1)?.end || (sends(steps, /\de999/) && feathers.end !== wingbeat.end)
  },
  {
    name: 'ack-ids-are-digits',
    examples: [[...connected, text('42 ["find","echo"]')], [...connected, text('427 ["find","echo"]')], [...connected, text('429007199254740993["find","echo"]')], [...connected, text('42100000000000000000000["find","echo"]')]],
    explains: (steps) => sends(steps, /^4[02356][^[{"]*(\s|\d{16,})/)
  },
  {
    name: 'attachments-are-exact',
    examples: [
      [...connected, text('451-1["custom","echo",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}],{}]'), binary(1, 2)],
      [...connected, text('451-1["custom","echo",{"_placeholder":true,"num":0},{}]'), text('bAQ')]
    ],
    explains: (steps, feathers, wingbeat) => sends(steps, /^45.*_placeholder/) && ends(steps, feathers, wingbeat, 'open', 1005)
  },
  {
    name: 'halves-are-replaced',
    examples: [[...connected, text('421["get","getonly","\\ud83d"]')]],
    explains: (steps, feathers, wingbeat) => sends(steps, /\\ud83d/) && isAlike(JSON.parse(JSON.stringify(feathers).replaceAll('\\\\ud83d', '\ufffd')), wingbeat)
  },
  {
    name: 'packets-are-not-deep',
    examples: [[...connected, text(deep)]],
    explains: (steps, feathers, wingbeat) => sends(steps, /\[{129}/) && ends(steps, feathers, wingbeat, 'open', 1005)
  }
]

/** Done alike; what needs more than the generator makes. */
export const knownVisits = [
  [...connected, text(`421${large}`)], [...polled, post(`421${large.slice(0, 900_000)}`)], [...connected, text(`421["find","echo",{"a":"${'é'.repeat(1000)}"}]`)],
  [...connected, text('451-1["custom","echo",{"_placeholder":true,"num":0},{}]'), binary(0, 255)], [...polled, post('451-1["custom","echo",{"_placeholder":true,"num":0},{}]\u001ebAP8=')],
  [...polled, poll(), poll(), fetched()], [...polled, poll(), post('41\u001e40')],
  [open(), probing(), text('2probe'), hear(), text('5'), text('40'), hear(), text('421["find","echo"]')]
]
