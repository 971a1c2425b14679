// The unmodified ollama package for JavaScript against the running server. Usage: ollama_client.mjs BASE_URL
import assert from 'node:assert/strict'

import { Ollama } from 'ollama'

import { check, rejects, run, same, unitLength } from './checks.mjs'

const client = new Ollama({ host: process.argv[2] })
const model = 'all-minilm'
const text = 'int main() { return 0; }'

check('embed takes one text', async () => {
  const reply = await client.embed({ model, input: text })
  assert.equal(reply.embeddings.length, 1)
  assert.equal(reply.embeddings[0].length, 384)
  unitLength(reply.embeddings[0])
  assert.ok(reply.prompt_eval_count > 2)
  assert.ok(reply.total_duration > 0)
})

check('embed takes a list', async () => {
  const reply = await client.embed({ model, input: [text, 'second', 'third'] })
  assert.equal(reply.embeddings.length, 3)
  same((await client.embed({ model, input: 'third' })).embeddings[0], reply.embeddings[2], 2e-2)
})

check('a long text is cut by default and refused when it may not be', async () => {
  const reply = await client.embed({ model, input: 'word '.repeat(1000) })
  assert.equal(reply.prompt_eval_count, 256)
  await rejects(() => client.embed({ model, input: 'word '.repeat(1000), truncate: false }), { status_code: 400 })
})

check('the older route gives the same direction', async () => {
  const { embedding } = await client.embeddings({ model, prompt: text })
  same((await client.embed({ model, input: text })).embeddings[0], embedding)
})

check('an unknown model is not found', async () => {
  await rejects(() => client.embed({ model: 'no-such', input: 'x' }), { status_code: 404 })
})

check('models are listed, shown and running', async () => {
  const { models } = await client.list()
  assert.ok(models.some((item) => item.model.includes('all-minilm')))
  const shown = await client.show({ model })
  assert.ok(shown.capabilities.includes('embedding'))
  const running = await client.ps()
  assert.ok(running.models.some((item) => item.model.includes('all-minilm')))
})

check('the version is told', async () => {
  const { version } = await client.version()
  assert.match(version, /^\d+\.\d+\.\d+/)
})

await run('ollama (JS)')
