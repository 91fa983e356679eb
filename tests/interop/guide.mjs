// The pages of docs/guide, as their readers use them. As a program, it builds the project of getting-started.md.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { Program } from './support.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The code blocks of a page that are in a language, in their order. */
export const blocks = async (page, language) => {
  const text = await readFile(join(root, 'docs/guide', page), 'utf8')
  const all = [...text.matchAll(/^```([a-z]+)[^\n]*\n(.*?)^```$/gms)]
  return all.filter(([, its]) => its === language).map(([, , code]) => code)
}

/** Replaces every key of `words`, each of which has to be there. */
export const replaced = (text, words) => Object.entries(words).reduce((text, [from, to]) => {
  if (!text.includes(from)) throw new Error(`no ${from} in:\n${text}`)
  return text.replaceAll(from, to)
}, text)

/** Runs a shell block; resolves with what it printed. */
export const shell = async (script, env = {}) => {
  const child = spawn('sh', ['-euc', script], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const output = ['', '']
  child.stdout.on('data', (data) => { output[0] += data })
  child.stderr.on('data', (data) => { output[1] += data })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${script}: ended with ${code}\n${output.join('\n')}`)
  return output[0]
}

/** Runs what a block of JavaScript is, a program of its own, where the packages of these tests are installed; ends with the test. */
export const runScript = async (t, name, code) => {
  const directory = await mkdtemp(join(tmpdir(), 'wingbeat-guide-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  await symlink(join(root, 'tests/interop/node_modules'), join(directory, 'node_modules'))
  await writeFile(join(directory, name), code)
  const program = new Program(name, process.execPath, [name], {}, directory)
  t.after(() => program.kill())
  return program
}

/**
 * Makes the project of getting-started.md and builds it, in the build directory of this workspace, which has most of its
 * dependencies already; resolves with the path of its program.
 */
export const buildProject = async () => {
  const target = resolve(root, process.env.CARGO_TARGET_DIR ?? 'target')
  const directory = join(target, 'guide')
  await mkdir(join(directory, 'src'), { recursive: true })
  const [[manifest], [program]] = await Promise.all([blocks('getting-started.md', 'toml'), blocks('getting-started.md', 'rust')])
  // It lies inside of another workspace, and is none of its members.
  await change(join(directory, 'Cargo.toml'), `${replaced(manifest, { '"../wingbeat"': JSON.stringify(root) })}\n[workspace]\n`)
  await change(join(directory, 'src/main.rs'), program)
  await copyFile(join(root, 'Cargo.lock'), join(directory, 'Cargo.lock'))
  // As in the workspace, or nothing of what it has built would serve.
  await shell(`cd '${directory}' && cargo build`, { CARGO_TARGET_DIR: target, CARGO_PROFILE_DEV_DEBUG: 'line-tables-only' })
  return join(target, 'debug/chat')
}

/** Writes a file unless it is the same, for cargo looks at the time. */
const change = async (path, text) => {
  const known = await readFile(path, 'utf8').catch(() => undefined)
  if (known !== text) await writeFile(path, text)
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await buildProject())
