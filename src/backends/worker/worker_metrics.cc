#include "backends/worker/worker_metrics.h"

namespace hearth::worker {

WorkerMetrics::WorkerMetrics(metrics::Registry& registry, const std::string& model)
    : restarts(registry.counter("hearth_worker_restarts_total",
                                "Worker processes started again after an unexpected end",
                                {{"model", model}})),
      poison(registry.counter("hearth_worker_poison_total",
                              "Requests refused because workers died serving them",
                              {{"model", model}})),
      retries(registry.counter("hearth_worker_retries_total",
                               "Calls made again because their worker died", {{"model", model}})),
      requests(registry.counter("hearth_worker_requests_total", "Calls answered by a worker",
                                {{"model", model}})),
      texts(registry.counter("hearth_worker_texts_total", "Texts embedded by a worker",
                             {{"model", model}})),
      tokens(registry.counter("hearth_worker_tokens_total", "Tokens embedded by a worker",
                              {{"model", model}})),
      seconds(registry.histogram("hearth_worker_seconds",
                                 "Time of a call to a worker, waiting for it included",
                                 {{"model", model}})) {}

}  // namespace hearth::worker
