// The unmodified openai package for Node against the running server. Usage: openai_client.mjs BASE_URL
import assert from 'node:assert/strict'

import OpenAI from 'openai'

import { check, rejects, run, same, unitLength } from './checks.mjs'

const client = new OpenAI({ baseURL: `${process.argv[2]}/v1`, apiKey: 'any', maxRetries: 0, timeout: 60_000 })
const model = 'all-minilm'
const text = 'int main() { return 0; }'
const embed = (options) => client.embeddings.create({ model, ...options })

check('one text gives one unit vector', async () => {
  const reply = await embed({ input: text })
  assert.equal(reply.object, 'list')
  assert.equal(reply.data.length, 1)
  assert.equal(reply.data[0].embedding.length, 384)
  unitLength(reply.data[0].embedding)
  assert.ok(reply.usage.prompt_tokens > 2)
  assert.equal(reply.usage.total_tokens, reply.usage.prompt_tokens)
})

check('a list keeps its order', async () => {
  const reply = await embed({ input: [text, 'second', 'third'] })
  assert.deepEqual(reply.data.map((item) => item.index), [0, 1, 2])
  same((await embed({ input: 'second' })).data[0].embedding, reply.data[1].embedding, 2e-2)
})

check('base64 and float carry the same vector', async () => {
  const decoded = (await embed({ input: text })).data[0].embedding
  same(decoded, (await embed({ input: text, encoding_format: 'float' })).data[0].embedding)
  const raw = (await embed({ input: text, encoding_format: 'base64' })).data[0].embedding
  assert.equal(typeof raw, 'string')
  same(decoded, Array.from(new Float32Array(new Uint8Array(Buffer.from(raw, 'base64')).buffer)))
})

check('token ids give the vector of their text', async () => {
  same((await embed({ input: 'hello world' })).data[0].embedding, (await embed({ input: [7592, 2088] })).data[0].embedding)
  assert.equal((await embed({ input: [[7592, 2088], [7592]] })).data.length, 2)
})

check('dimensions cut and normalise again', async () => {
  const vector = (await embed({ input: text, dimensions: 64 })).data[0].embedding
  assert.equal(vector.length, 64)
  unitLength(vector)
})

check('an unknown model is not found', async () => {
  await rejects(() => client.embeddings.create({ model: 'no-such', input: 'x' }), { status: 404, code: 'model_not_found' })
})

check('a text over the window is refused', async () => {
  const error = await rejects(() => embed({ input: 'word '.repeat(300) }), { status: 400, code: 'context_length_exceeded' })
  assert.match(error.message, /256/)
})

check('more than 2048 texts are refused', async () => {
  await rejects(() => embed({ input: Array(2049).fill('x') }), { status: 400 })
})

check('an empty list is refused', async () => {
  await rejects(() => embed({ input: [] }), { status: 400 })
})

check('models are listed and retrieved', async () => {
  const names = []
  for await (const item of client.models.list()) names.push(item.id)
  assert.ok(names.some((name) => name.includes('all-minilm')), names.join())
  assert.equal((await client.models.retrieve(names[0])).id, names[0])
  // This client percent-encodes the slash.
  assert.equal((await client.models.retrieve('sentence-transformers/all-MiniLM-L6-v2')).object, 'model')
  await rejects(() => client.models.retrieve('no-such'), { status: 404 })
})

await run('openai (Node)')
