// The unmodified ollama package for JavaScript generating text with the running server. Usage: ollama_text.mjs BASE_URL
import assert from 'node:assert/strict'

import { Ollama } from 'ollama'

import { check, checkNotThrough, run } from './checks.mjs'

const client = new Ollama({ host: process.argv[2] })
const messages = [{ role: 'user', content: 'hello' }]
const options = { temperature: 0, num_predict: 8 }

check('a chat answers, whole and as a stream', async () => {
  const whole = await client.chat({ model: 'tiny-text', messages, options })
  assert.equal(whole.eval_count, 8)
  let text = ''
  for await (const part of await client.chat({ model: 'tiny-text', messages, options, stream: true })) text += part.message.content
  assert.equal(text, whole.message.content)
})

check('a tool is called', async () => {
  const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }]
  const reply = await client.chat({ model: 'tiny-text', messages, tools, options: { temperature: 0, num_predict: 64 } })
  assert.equal(reply.message.tool_calls[0].function.name, 'weather')
  assert.equal(typeof reply.message.tool_calls[0].function.arguments, 'object')
})

check('thinking stands apart', async () => {
  const reply = await client.chat({ model: 'tiny-thinking', messages, think: true, options: { temperature: 0 } })
  assert.equal(reply.message.thinking, 'Let me think.')
})

check('a prompt is generated from, and a suffix filled in', async () => {
  assert.ok((await client.generate({ model: 'tiny-text', prompt: 'hello', options })).response)
  assert.ok((await client.generate({ model: 'tiny-fim', prompt: 'int f(', suffix: '}', options })).response)
})

checkNotThrough(['openai', 'ollama', 'anthropic'], 'what is shown and what runs are models here', 'models are listed, shown and running', async () => {
  assert.ok((await client.list()).models.some(({ model }) => model.startsWith('tiny-text')))
  assert.ok((await client.show({ model: 'tiny-text' })).capabilities.includes('tools'))
  assert.ok((await client.ps()).models.some(({ model }) => model.startsWith('tiny-text')))
})

checkNotThrough(['openai', 'ollama', 'anthropic'], 'a model is made of one that is here', 'a model is made of another, copied and deleted', async () => {
  assert.equal((await client.create({ model: 'made', from: 'tiny-text', system: 'You are a pirate.' })).status, 'success')
  await client.copy({ source: 'made', destination: 'made-too' })
  await client.delete({ model: 'made' })
  assert.ok((await client.chat({ model: 'made-too', messages, options })).message.content)
  await client.delete({ model: 'made-too' })
  assert.ok(!(await client.list()).models.some(({ model }) => model.startsWith('made')))
})

check('what is not there cannot be copied or deleted', async () => {
  await assert.rejects(client.copy({ source: 'nobody', destination: 'x' }))
  await assert.rejects(client.delete({ model: 'nobody' }))
})

await run('ollama text (JS)')
