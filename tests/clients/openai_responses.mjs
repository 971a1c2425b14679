// The unmodified openai package for Node speaking /v1/responses with the running server. Usage: openai_responses.mjs
// BASE_URL
import assert from 'node:assert/strict'

import OpenAI from 'openai'

import { check, rejects, run } from './checks.mjs'

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'any', maxRetries: 0, timeout: 120_000 })
const withDefaults = (options) => ({
  model: 'tiny-text',
  input: 'hello',
  temperature: 0,
  max_output_tokens: 8,
  ...options,
})
const ask = (options) => client.responses.create(withDefaults(options))
const weather = {
  type: 'function',
  name: 'weather',
  strict: true,
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', enum: ['Rome'] } },
    required: ['city'],
    additionalProperties: false,
  },
}

check('a response says the same whole and as a stream', async () => {
  const whole = await ask()
  assert.ok(whole.output_text)
  assert.equal(whole.incomplete_details.reason, 'max_output_tokens')
  let text = ''
  let last
  for await (const event of await ask({ stream: true })) {
    if (event.type === 'response.output_text.delta') text += event.delta
    last = event
  }
  assert.equal(text, whole.output_text)
  assert.equal(last.type, 'response.incomplete')
})

check('the helper puts the final response together', async () => {
  const stream = client.responses.stream(withDefaults({ model: 'tiny-thinking', max_output_tokens: 64 }))
  let snapshot
  stream.on('response.output_text.delta', (event) => (snapshot = event.snapshot))
  const final = await stream.finalResponse()
  assert.equal(snapshot, 'Done!')
  assert.equal(final.output[1].content[0].text, 'Done!')
  assert.equal(final.output[0].content[0].text, 'Let me think.')
})

check('a tool is called and its result taken', async () => {
  const question = { role: 'user', content: 'what is the weather?' }
  const options = { input: [question], tools: [weather], tool_choice: 'required', max_output_tokens: 64 }
  const { output } = await ask(options)
  const call = output.at(-1)
  assert.equal(call.type, 'function_call')
  assert.equal(JSON.parse(call.arguments).city, 'Rome')
  const final = await client.responses.stream(withDefaults(options)).finalResponse()
  assert.equal(final.output.at(-1).arguments, call.arguments)
  const result = { type: 'function_call_output', call_id: call.call_id, output: 'sunny' }
  assert.ok((await ask({ input: [question, ...output, result], tools: [weather] })).output_text)
})

check('a schema is obeyed and parsed', async () => {
  const schema = {
    type: 'object',
    properties: { answer: { type: 'string', enum: ['yes', 'no'] } },
    required: ['answer'],
    additionalProperties: false,
  }
  const format = { type: 'json_schema', name: 'a', schema, strict: true }
  const reply = await client.responses.parse(withDefaults({ max_output_tokens: 64, text: { format } }))
  assert.ok(['yes', 'no'].includes(reply.output_parsed.answer))
})

check('a caller may leave', async () => {
  const stream = await ask({ stream: true, max_output_tokens: 4000 })
  for await (const event of stream) {
    assert.equal(event.type, 'response.created')
    stream.controller.abort()
    break
  }
  assert.ok((await ask()).output_text)
})

check('what is wrong is said', async () => {
  await rejects(() => ask({ model: 'nobody' }), { status: 404, code: 'model_not_found' })
  await rejects(() => ask({ input: [] }), { status: 400, param: 'input' })
  await rejects(() => ask({ conversation: 'conv_1' }), { status: 501, param: 'conversation' })
})

await run('openai responses (Node)')
