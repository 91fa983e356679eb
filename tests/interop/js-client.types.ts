import { connect, listen, WingbeatError, type Service } from '../../clients/js/wingbeat.js'

interface Message { id: number, text: string }

const app = connect('http://localhost:3030', { timeout: 1000, query: async () => ({ ticket: 'x' }) })
const messages: Service<Message, { text: string }> = app.service('messages')
const remove: () => void = messages.on('created', (message) => message.text.toUpperCase())
app.on('close', ({ code, retryIn }) => [code, retryIn])
app.on('rooms changed', (data) => data)

async function use (): Promise<number> {
  const made = await messages.create({ text: 'hi' })
  const many: Message[] = await messages.create([{ text: 'a' }, { text: 'b' }])
  const all: Message[] = await messages.patch(null, { text: 'c' }, { id: { $gt: 1 } })
  const found = await messages.find({ $limit: 2 })
  await messages.call('publish', { id: 1 })
  remove()
  return made.id + many.length + all.length + (Array.isArray(found) ? found.length : found.total)
}

use().catch((error: unknown) => error instanceof WingbeatError && error.code)
listen(new URL('http://localhost'), ['messages'], { events: ['created'], headers: { authorization: 'x' } }).close()
