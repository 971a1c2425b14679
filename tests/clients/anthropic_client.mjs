// The unmodified @anthropic-ai/sdk package against the running server. Usage: anthropic_client.mjs BASE_URL
import assert from 'node:assert/strict'

import Anthropic from '@anthropic-ai/sdk'

import { check, checkNotThrough, rejects, run } from './checks.mjs'

const client = new Anthropic({ baseURL: process.argv[2], apiKey: 'any', maxRetries: 0, timeout: 120_000 })
const messages = [{ role: 'user', content: 'hello' }]
const call = (options) => ({ model: 'tiny-text', messages, temperature: 0, max_tokens: 8, ...options })
const ask = (options) => client.messages.create(call(options))
const weather = {
  name: 'weather',
  input_schema: { type: 'object', properties: { city: { type: 'string', enum: ['Rome'] } }, required: ['city'] },
}

check('a message is answered, whole and as a stream', async () => {
  const whole = await ask()
  assert.equal(whole.stop_reason, 'max_tokens')
  assert.equal(whole.usage.output_tokens, 8)
  const stream = client.messages.stream(call())
  let text = ''
  stream.on('text', (piece) => { text += piece })
  const message = await stream.finalMessage()
  assert.equal(text, whole.content[0].text)
  assert.deepEqual(message.content, whole.content)
  assert.equal(message.usage.output_tokens, 8)
})

check('a tool is called, in a stream as well, and its result read', async () => {
  const options = { max_tokens: 64, tools: [weather], tool_choice: { type: 'any' } }
  const message = await ask(options)
  assert.equal(message.stop_reason, 'tool_use')
  const use = message.content.at(-1)
  assert.deepEqual(use.input, { city: 'Rome' })
  const streamed = await client.messages.stream(call(options)).finalMessage()
  assert.deepEqual(streamed.content.at(-1).input, use.input)
  const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: use.id, content: 'sunny' }] }
  const answer = await ask({ tools: [weather], messages: [...messages, { role: 'assistant', content: message.content }, result] })
  assert.equal(answer.content[0].type, 'text')
})

check('thinking stands apart', async () => {
  const options = { model: 'tiny-thinking', max_tokens: 2048, thinking: { type: 'enabled', budget_tokens: 1024 } }
  const message = await client.messages.stream(call(options)).finalMessage()
  assert.deepEqual(message.content.map(({ type }) => type), ['thinking', 'text'])
  assert.equal(message.content[0].thinking, 'Let me think.')
  assert.deepEqual((await ask(options)).content, message.content)
})

checkNotThrough(['openai', 'ollama', 'anthropic'], 'only who has the model can count its tokens', 'tokens are counted', async () => {
  const counted = await client.messages.countTokens({ model: 'tiny-text', messages })
  const { usage } = await ask()
  assert.equal(counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)
})

check('a caller may leave', async () => {
  const stream = await ask({ stream: true, max_tokens: 4000 })
  for await (const event of stream) {
    assert.equal(event.type, 'message_start')
    stream.controller.abort()
    break
  }
  assert.ok((await ask()).content[0].text)
})

check('what is wrong is said', async () => {
  const error = await rejects(() => ask({ model: 'nobody' }), { status: 404 })
  assert.equal(error.error.error.type, 'not_found_error')
  assert.match(error.requestID, /^req_/)
  await rejects(() => ask({ max_tokens: -1 }), { status: 400 })
})

check('models are listed and retrieved', async () => {
  const names = []
  for await (const model of client.models.list({ limit: 2 })) names.push(model.id)
  assert.ok(names.some((name) => name.startsWith('tiny-text')), names.join())
  assert.equal((await client.models.retrieve(names[0])).id, names[0])
})

await run('anthropic (Node)')
