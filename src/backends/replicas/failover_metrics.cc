#include "backends/replicas/failover.h"

namespace hearth::replicas {

FailoverMetrics::FailoverMetrics(metrics::Registry& registry, const std::string& model)
    : retries(registry.counter("hearth_upstream_retries_total",
                               "Calls made once more to the server that failed",
                               {{"model", model}})),
      failovers(registry.counter("hearth_upstream_failovers_total",
                                 "Calls that went on to another server", {{"model", model}})),
      fallbacks(registry.counter("hearth_model_fallbacks_total",
                                 "Calls that went on to another model", {{"model", model}})),
      continuations(registry.counter("hearth_upstream_continuations_total",
                                     "Answers that broke off and that another server was asked to "
                                     "go on with",
                                     {{"model", model}})),
      hedges(registry.counter("hearth_upstream_hedges_total",
                              "Calls made to a second server while the first said nothing",
                              {{"model", model}})),
      hedges_won(registry.counter("hearth_upstream_hedges_won_total",
                                  "Calls that the second server of a hedge answered",
                                  {{"model", model}})) {}

}  // namespace hearth::replicas
