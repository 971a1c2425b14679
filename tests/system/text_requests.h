#pragma once

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http_probe.h"
#include "server_process.h"
#include "testing/gguf_models.h"

// What tests of generated text ask, and of which server.
namespace hearth::system_test {

// A server of every tiny model, four answers at a time.
inline StartOptions text_options(std::vector<std::string> environment = {}) {
    using testing::GgufKind;
    for (const auto kind : {GgufKind::Text, GgufKind::Fim, GgufKind::Thinking, GgufKind::Vision,
                            GgufKind::Embedder}) {
        testing::make_gguf(kind);
    }
    environment.push_back("HEARTH_MODELS__DIRECTORIES=" + testing::gguf_cache().string());
    environment.emplace_back("HEARTH_LLAMA__PARALLEL=4");
    return {.arguments = {}, .environment = std::move(environment)};
}

inline boost::json::object chat(std::string_view model, std::string_view text) {
    return {{"model", model},
            {"messages", {{{"role", "user"}, {"content", text}}}},
            {"temperature", 0},
            {"max_tokens", 8}};
}

// One server for all tests of a suite.
class TextServer : public ::testing::Test {
  protected:
    static void SetUpTestSuite() { server_ = std::make_unique<ServerProcess>(text_options()); }
    static void TearDownTestSuite() { server_.reset(); }
    static const std::string& address() { return server_->address(); }
    static Reply ask(std::string_view path, const boost::json::value& body) {
        return post(address(), path, boost::json::serialize(body));
    }

  private:
    static inline std::unique_ptr<ServerProcess> server_;
};

// `body` asks tiny-text for a long answer. Asks whole and as a stream, and leaves: the caller is
// counted as left, and `next` finds a slot.
inline void expect_leaving_frees_the_slot(const std::string& address, std::string_view path,
                                          boost::json::object body,
                                          const boost::json::object& next) {
    const std::string left =
        R"(hearth_requests_total{model="tiny-text:q8_0",operation="generate",outcome="left"})";
    for (const bool stream : {true, false}) {
        const double before = metric(address, left);
        body["stream"] = stream;
        const std::string text = boost::json::serialize(body);
        auto probe = std::make_unique<HttpProbe>(address);
        probe->write("POST " + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\n" +
                     "Content-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
        std::this_thread::sleep_for(std::chrono::milliseconds(300));
        probe.reset();
        EXPECT_TRUE(eventually(std::chrono::seconds(2), [&] {
            return metric(address, left) > before;
        })) << stream;
        EXPECT_EQ(post(address, path, boost::json::serialize(next)).status, 200);
    }
}

}  // namespace hearth::system_test
