import { connect, listen } from '../../clients/js/wingbeat.js'

interface Message { id: number, text: string }

const messages = connect('http://localhost').service<Message, { text: string }>('messages')
messages.create({ tekst: 'hi' })
messages.on('created', (message) => message.tekst)
listen('http://localhost', 'messages')
