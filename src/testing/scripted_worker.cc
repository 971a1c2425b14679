// scripted-worker --model FOLDER --socket PATH: a worker with the real server and a scripted
// engine, which does what the words of a text tell it:
//   crash   the process aborts          hang   the batch never ends
//   fail    the engine gives an error   slow   the batch takes 50 ms
//   gate    the batch waits until the folder has a file "open"
// Files in the folder script the start: "refuse" (its line is the reason), "crash-at-start",
// "never-ready", "garbage" (answers to /embed are nonsense). Each start adds its pid to "starts".
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <sstream>
#include <thread>

#include "backends/worker/protocol.h"
#include "backends/worker/worker_process.h"
#include "http/server.h"
#include "runtime/shard.h"
#include "telemetry/log.h"

namespace hearth::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::int32_t kCls = 1;
constexpr std::int32_t kSep = 2;
const std::map<std::string, std::int32_t, std::less<>> kCommands = {
    {"crash", 10}, {"hang", 11}, {"fail", 12}, {"slow", 13}, {"gate", 14}};

// One token per word.
class ScriptedTokenizer : public tokens::Tokenizer {
  public:
    void encode(std::string_view text, std::vector<std::int32_t>& ids) const override {
        ids.assign(1, kCls);
        std::istringstream words{std::string(text)};
        for (std::string word; words >> word;) {
            const auto command = kCommands.find(word);
            ids.push_back(
                command != kCommands.end()
                    ? command->second
                    : 100 + static_cast<std::int32_t>(std::hash<std::string>{}(word) % 900));
        }
        ids.push_back(kSep);
    }
    tokens::Encoding encode_with_offsets(std::string_view) const override { return {}; }
    std::size_t vocabulary() const override { return 1000; }
    std::int32_t cls_id() const override { return kCls; }
    std::int32_t sep_id() const override { return kSep; }
};

class ScriptedEngine : public encoder::Engine {
  public:
    explicit ScriptedEngine(fs::path folder) : folder_(std::move(folder)) {
        config_.family = "scripted";
        config_.hidden = 8;
        config_.tokens_max = 64;
        config_.vocabulary = 1000;
    }
    const models::EncoderConfig& config() const override { return config_; }
    encoder::Precision precision() const override { return encoder::Precision::Fp32; }
    std::size_t sessions() const override { return 2; }
    std::size_t threads() const override { return 1; }

    // The row of a text depends on its ids only.
    Result<void> run(std::size_t, std::span<const std::int32_t> ids,
                     std::span<const std::uint32_t> lengths, std::span<float> out) override {
        std::size_t at = 0;
        for (std::size_t i = 0; i < lengths.size(); ++i) {
            for (std::size_t d = 0; d < config_.hidden; ++d) out[i * config_.hidden + d] = 0;
            for (std::size_t k = 0; k < lengths[i]; ++k) {
                const std::int32_t id = ids[at + k];
                if (!obey(id)) return fail(Code::Internal, "told to fail");
                out[i * config_.hidden + k % config_.hidden] += static_cast<float>(id);
            }
            at += lengths[i];
        }
        return {};
    }

  private:
    bool obey(std::int32_t id) const {
        if (id == kCommands.at("crash")) std::abort();
        while (id == kCommands.at("hang")) ::pause();
        if (id == kCommands.at("slow")) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        while (id == kCommands.at("gate") && !fs::exists(folder_ / "open")) {
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
        return id != kCommands.at("fail");
    }

    const fs::path folder_;
    models::EncoderConfig config_;
};

Awaitable<void> answer_garbage(http::Exchange& exchange) {
    http::Response response{.body = worker::encode_heartbeat({})};
    if (exchange.request().path == "/embed") {
        response = {.content_type = std::string(worker::kBinary), .body = "\x01garbage"};
    }
    const Result<void> sent = co_await exchange.send(std::move(response));
    (void)sent;
}

int serve_garbage(const std::string& socket) {
    runtime::Shards shards(1);
    shards.start();
    http::Server server(shards, {}, answer_garbage);
    if (!server.listen("unix:" + socket)) return 1;
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    int number = 0;
    ::sigwait(&signals, &number);
    server.stop(std::chrono::milliseconds(0));
    return 0;
}

int run(const fs::path& folder, const std::string& socket) {
    std::ofstream(folder / "starts", std::ios::app) << ::getpid() << std::endl;
    if (std::ifstream reason(folder / "refuse"); reason) {
        Error error{.code = Code::InvalidArgument, .message = {}};
        std::getline(reason, error.message);
        return worker::refuse_model(error);
    }
    if (fs::exists(folder / "crash-at-start")) std::abort();
    while (fs::exists(folder / "never-ready")) ::pause();
    if (fs::exists(folder / "garbage")) return serve_garbage(socket);
    ScriptedEngine engine(folder);
    const ScriptedTokenizer tokenizer;
    return worker::serve_until_told(engine, tokenizer, {.socket = socket});
}

}  // namespace
}  // namespace hearth::testing

int main(int count, char** words) {
    hearth::worker::hold_life_line();
    hearth::log::configure("scripted-worker", hearth::log::Level::Warn);
    std::string model;
    std::string socket;
    for (int i = 1; i + 1 < count; i += 2) {
        if (std::string_view(words[i]) == "--model") model = words[i + 1];
        if (std::string_view(words[i]) == "--socket") socket = words[i + 1];
    }
    return hearth::testing::run(model, socket);
}
