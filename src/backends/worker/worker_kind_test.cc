#include "backends/worker/worker_kind.h"

#include <gtest/gtest.h>

#include "base/format.h"

namespace hearth::worker {
namespace {

std::string metrics(std::string_view processing, std::string_view deferred) {
    return format(
        "# HELP llamacpp:requests_processing Number of requests processing.\n"
        "# TYPE llamacpp:requests_processing gauge\n"
        "llamacpp:requests_processing {}\n"
        "# HELP llamacpp:requests_deferred Number of requests deferred.\n"
        "llamacpp:requests_deferred {}\n",
        processing, deferred);
}

TEST(WorkerKind, ReadsTheHeartbeatOfLlamaServerFromItsMetrics) {
    const auto idle = kLlamaServer.read_heartbeat(metrics("0", "0"));
    ASSERT_TRUE(idle);
    EXPECT_EQ(idle->calls, 0U);
    EXPECT_EQ(idle->running.count(), 0);
    const auto busy = kLlamaServer.read_heartbeat(metrics("2", "3"));
    ASSERT_TRUE(busy);
    EXPECT_EQ(busy->calls, 5U);
    EXPECT_GT(busy->running.count(), 0);
}

TEST(WorkerKind, TakesOnlyWholeSampleLines) {
    EXPECT_FALSE(
        kLlamaServer.read_heartbeat("xllamacpp:requests_processing 1\n"
                                    "llamacpp:requests_deferred 0\n"));
    EXPECT_FALSE(
        kLlamaServer.read_heartbeat("llamacpp:requests_processing_max 1\n"
                                    "llamacpp:requests_deferred 0\n"));
    EXPECT_TRUE(
        kLlamaServer.read_heartbeat("llamacpp:requests_processing 1\n"
                                    "llamacpp:requests_deferred 0"));
}

TEST(WorkerKind, RefusesMetricsThatAreNoCounts) {
    for (const char* value : {"", "-1", "nan", "inf", "1e300", "many"}) {
        EXPECT_FALSE(kLlamaServer.read_heartbeat(metrics(value, "0"))) << value;
        EXPECT_FALSE(kLlamaServer.read_heartbeat(metrics("0", value))) << value;
    }
    const auto none = kLlamaServer.read_heartbeat("");
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().code, Code::BadUpstream);
    EXPECT_FALSE(kLlamaServer.read_heartbeat("llamacpp:requests_processing"));
}

TEST(WorkerKind, TellsTheLineThatExplainsAnEnd) {
    EXPECT_TRUE(kLlamaServer.explains("llama_model_load: error loading model: tensor missing"));
    EXPECT_TRUE(kLlamaServer.explains("error: invalid argument: --nonsense"));
    EXPECT_TRUE(kLlamaServer.explains("ggml_cuda: out of memory"));
    EXPECT_FALSE(kLlamaServer.explains("srv llama_server: exiting due to model loading"));
    EXPECT_FALSE(kHearthWorker.explains("error: anything"));
}

TEST(WorkerKind, SaysWhereModelAndSocketAre) {
    EXPECT_EQ(kLlamaServer.arguments("/m.gguf", "/s.sock"),
              (std::vector<std::string>{"--model", "/m.gguf", "--host", "/s.sock"}));
    EXPECT_EQ(kHearthWorker.arguments("/m", "/s.sock"),
              (std::vector<std::string>{"--model", "/m", "--socket", "/s.sock"}));
}

}  // namespace
}  // namespace hearth::worker
