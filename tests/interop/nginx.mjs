// nginx as in docs/guide/load-balancers.md, in front of nodes of the fixture.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'

import { blocks, replaced } from './guide.mjs'
import { freePort, lastingPort, Program, startFixture, startRedis, syncOf, until } from './support.mjs'

const page = 'load-balancers.md'

/**
 * The first block of the page, or, without sticky sessions, that one with the upstream of the second. Told not to buffer, it has
 * the lines of the third.
 */
const configuration = async ({ isSticky, isTold }) => {
  const [whole, upstream, told] = await blocks(page, 'nginx')
  const site = isSticky ? whole : whole.replace(/^upstream .*?^}\n/ms, () => upstream)
  return isTold ? replaced(site, { 'location / {\n': `location / {\n${told}` }) : site
}

/** Starts nginx before two nodes; all that it writes is in a directory of its own, which goes with it. */
const startNginx = async (nodes, options) => {
  const port = await freePort()
  const addresses = Object.fromEntries(nodes.map(({ url }, index) => [`10.0.0.${index + 1}:3030`, url.replace('http://', '')]))
  const site = replaced(await configuration(options), { 'listen 80;': `listen 127.0.0.1:${port};`, ...addresses })
  const directory = mkdtempSync(join(tmpdir(), 'wingbeat-nginx-'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${name};`).join(' ')
  writeFileSync(join(directory, 'nginx.conf'), `pid nginx.pid; error_log stderr; events {}\nhttp { access_log off; ${temporary}\n${site}}\n`)
  // Debian keeps it out of the PATH of those who are not root.
  const debian = '/usr/sbin/nginx'
  // One process, with no worker that could be left behind.
  const args = ['-e', 'stderr', '-p', directory, '-c', 'nginx.conf', '-g', 'daemon off; master_process off;']
  const nginx = new Program('nginx', existsSync(debian) ? debian : 'nginx', args, {})
  const url = `http://127.0.0.1:${port}`
  const failed = nginx.ended.then((how) => { throw new Error(`nginx ended (${how}):\n${nginx.lines.join('\n')}`) })
  await Promise.race([until('nginx answers', () => fetch(`${url}/live`).then(({ ok }) => ok, () => false)), failed])
  failed.catch(() => {})
  const stop = async () => { await nginx.kill(); rmSync(directory, { recursive: true, force: true }) }
  return Object.assign(nginx, { url, stop })
}

/** Clients of different addresses: nginx tells them apart by these. */
export const from = (number) => new Agent({ localAddress: `127.0.0.${number}`, keepAlive: false })

/** What a GET from an address gives; `fetch` takes no agent. */
export const getFrom = (number, url) => new Promise((resolve, reject) => {
  get(url, { agent: from(number) }, (response) => json(response).then(resolve, reject)).once('error', reject)
})

/** Two nodes that share a Redis, on ports to which they can come back, and nginx before them. */
export const startSite = async (options) => {
  const { uri } = await startRedis()
  const node = async (name, port) => Object.assign(await startFixture({ SYNC_URI: uri, NODE_NAME: name }, port), { restart: () => node(name, port) })
  const nodes = await Promise.all(['A', 'B'].map(async (name) => node(name, await lastingPort())))
  const nPeers = async () => (await Promise.all(nodes.map(syncOf))).map(({ peers }) => peers.length)
  await until('the nodes hear each other', async () => (await nPeers()).every((n) => n === 1), { ms: 20_000 })
  return { nodes, url: (await startNginx(nodes, options)).url }
}

/** A number of a node's metrics. */
export const metric = async ({ url }, name) => {
  const metrics = await (await fetch(`${url}/metrics`)).text()
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(metrics)[1])
}

/** Tells whether nginx leads an address to the node that has `other` as its peer. */
export const isLed = async (number, url, other) => {
  const { peers = [] } = await getFrom(number, `${url}/sync`)
  return peers.length > 0 && peers.every(({ name }) => name === other)
}

/** Finds an address that is led to the node that has `other` as its peer. */
export const addressOf = async (url, other) => {
  for (let number = 2; number < 100; number++) if (await isLed(number, url, other)) return number
  assert.fail(`a hundred addresses lead to ${other}`)
}
