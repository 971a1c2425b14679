// The unmodified openai package for Node generating text with the running server. Usage: openai_text.mjs BASE_URL
import assert from 'node:assert/strict'

import OpenAI from 'openai'

import { check, rejects, run } from './checks.mjs'

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'any', maxRetries: 0, timeout: 120_000 })
const messages = [{ role: 'user', content: 'hello' }]
const chat = (options) =>
  client.chat.completions.create({ model: 'tiny-text', messages, temperature: 0, max_tokens: 8, ...options })
const weather = {
  type: 'function',
  function: { name: 'weather', parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] } },
}

check('a chat answers, whole and as a stream', async () => {
  const whole = (await chat()).choices[0].message.content
  let text = ''
  for await (const event of await chat({ stream: true })) text += event.choices[0]?.delta.content ?? ''
  assert.equal(text, whole)
})

check('a tool is called', async () => {
  const { choices } = await chat({ max_tokens: 64, tools: [weather], tool_choice: 'required' })
  assert.equal(choices[0].finish_reason, 'tool_calls')
  assert.equal(choices[0].message.tool_calls[0].function.name, 'weather')
  JSON.parse(choices[0].message.tool_calls[0].function.arguments)
})

check('a schema is obeyed', async () => {
  const schema = { type: 'object', properties: { answer: { enum: ['yes', 'no'] } }, required: ['answer'] }
  const reply = await chat({ max_tokens: 64, response_format: { type: 'json_schema', json_schema: { name: 'a', schema } } })
  assert.ok(['yes', 'no'].includes(JSON.parse(reply.choices[0].message.content).answer))
})

check('a caller may leave', async () => {
  const stream = await chat({ stream: true, max_tokens: 4000 })
  for await (const event of stream) {
    assert.ok(event.id)
    stream.controller.abort()
    break
  }
  assert.ok((await chat()).choices[0].message.content)
})

check('an unknown model is not found', async () => {
  await rejects(() => chat({ model: 'nobody' }), { status: 404, code: 'model_not_found' })
})

await run('openai text (Node)')
