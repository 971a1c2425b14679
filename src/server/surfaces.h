#pragma once

#include "http/server.h"
#include "runtime/awaitable.h"
#include "server/gateway.h"

// The functions behind the routes, one file per dialect. Each reads the request, asks the pipeline
// and answers in its dialect; none throws, none leaves an exchange unanswered.
namespace hearth::server {

Awaitable<void> openai_embeddings(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_chat(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_completions(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_models(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_delete_model(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_model(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> anthropic_messages(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> anthropic_count_tokens(const Gateway& gateway, http::Exchange& exchange);
// What /v1/models answers to callers who speak the Anthropic dialect, in which they have its paths.
Awaitable<void> anthropic_models(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> anthropic_model(const Gateway& gateway, http::Exchange& exchange);
// Its paths, and whatever bears its version.
bool speaks_anthropic(const http::Request& request);

Awaitable<void> openai_responses(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_responses_tokens(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> openai_chat_tokens(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> mistral_fim(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> ollama_alive(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_embed(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_embeddings(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_generate(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_chat(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_tags(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_show(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_ps(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_pull(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_delete(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_create(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_copy(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_has_blob(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> ollama_put_blob(const Gateway& gateway, http::Exchange& exchange);
// Requests of which a surface reads the body as it comes.
bool streams_body(const http::Request& head);
Awaitable<void> ollama_version(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> llama_completion(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> llama_infill(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> llama_tokenize(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> llama_detokenize(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> llama_apply_template(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> llama_props(const Gateway& gateway, http::Exchange& exchange);

// In the shape of Jina and Cohere, or of TEI, as the body says.
Awaitable<void> rerank(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> cohere_rerank(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> cache_stats(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> cache_clear(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> cache_prune(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> tei_embed(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> tei_info(const Gateway& gateway, http::Exchange& exchange);

Awaitable<void> health(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> health_live(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> health_ready(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> memory(const Gateway& gateway, http::Exchange& exchange);
Awaitable<void> metrics_text(const Gateway& gateway, http::Exchange& exchange);

}  // namespace hearth::server
