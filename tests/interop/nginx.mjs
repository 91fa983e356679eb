// nginx as in docs/guide/load-balancers.md, in front of nodes of the fixture.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'

import { blocks, replaced } from './guide.mjs'
import { freePort, Program, until } from './support.mjs'

const page = 'load-balancers.md'

/** The first block of the page, or, without sticky sessions, that one with the upstream of the second. */
const configuration = async (isSticky) => {
  const [whole, upstream] = await blocks(page, 'nginx')
  return isSticky ? whole : whole.replace(/^upstream .*?^}\n/ms, () => upstream)
}

/** Starts nginx before two nodes; all that it writes is in a directory of its own, which goes with it. */
export const startNginx = async (nodes, { isSticky }) => {
  const port = await freePort()
  const addresses = Object.fromEntries(nodes.map(({ url }, index) => [`10.0.0.${index + 1}:3030`, url.replace('http://', '')]))
  const site = replaced(await configuration(isSticky), { 'listen 80;': `listen 127.0.0.1:${port};`, ...addresses })
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
