#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <map>
#include <set>

#include "http_probe.h"
#include "server/routes.h"
#include "server_process.h"

namespace hearth::system_test {
namespace {

// "POST /v1/embeddings"; a parameter at the end of a path is written "/*".
using RouteNames = std::set<std::string>;

RouteNames documented_routes() {
    const YAML::Node document = YAML::LoadFile(HEARTH_SOURCE_DIR "/docs/openapi.yaml");
    RouteNames names;
    for (const auto& path : document["paths"]) {
        for (const auto& operation : path.second) {
            auto method = operation.first.as<std::string>();
            if (method == "parameters" || method == "summary" || method == "description") continue;
            for (char& c : method) c = static_cast<char>(std::toupper(c));
            // Served wherever GET is.
            if (method == "HEAD" && path.second["get"]) continue;
            auto target = path.first.as<std::string>();
            if (const std::size_t brace = target.find('{'); brace != std::string::npos)
                target = target.substr(0, brace) + "*";
            names.insert(method + " " + target);
        }
    }
    return names;
}

RouteNames served_routes() {
    RouteNames names;
    for (const server::Route& route : server::routes())
        names.insert(std::string(http::to_string(route.method)) + " " + std::string(route.path) +
                     (route.prefix ? "*" : ""));
    return names;
}

TEST(OpenApi, NamesExactlyTheRoutesOfTheServer) { EXPECT_EQ(documented_routes(), served_routes()); }

// What the model of these tests cannot do, and what would change what is on disk.
struct Refusal {
    std::string_view body;
    int status = 0;
};
const std::map<std::string_view, Refusal> kRefusals = {
    {"POST /api/cache/clear", {"{}", 200}},
    {"POST /v1/chat/completions",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /chat/completions",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /v1/chat/completions/input_tokens",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /chat/completions/input_tokens",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /v1/responses", {R"({"model":"all-minilm","input":"x"})", 400}},
    {"POST /responses", {R"({"model":"all-minilm","input":"x"})", 400}},
    {"POST /v1/responses/input_tokens", {R"({"model":"all-minilm","input":"x"})", 400}},
    {"POST /responses/input_tokens", {R"({"model":"all-minilm","input":"x"})", 400}},
    {"POST /v1/fim/completions", {R"({"model":"all-minilm","prompt":"x"})", 400}},
    {"POST /completions", {R"({"model":"all-minilm","prompt":"x"})", 400}},
    {"POST /v1/completions", {R"({"model":"all-minilm","prompt":"x"})", 400}},
    {"POST /v1/messages",
     {R"({"model":"all-minilm","max_tokens":1,"messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /v1/messages/count_tokens",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"POST /api/generate", {R"({"model":"all-minilm","prompt":"x"})", 400}},
    {"POST /completion", {R"({"model":"all-minilm","prompt":"x"})", 400}},
    {"POST /infill", {R"({"model":"all-minilm","input_prefix":"x","input_suffix":"y"})", 400}},
    {"POST /tokenize", {R"({"model":"all-minilm","content":"x"})", 400}},
    {"POST /detokenize", {R"({"model":"all-minilm","tokens":[1]})", 400}},
    {"POST /apply-template",
     {R"({"model":"all-minilm","messages":[{"role":"user","content":"x"}]})", 400}},
    {"GET /props", {"", 400}},
    {"POST /v1/rerank", {R"({"model":"all-minilm","query":"x","documents":["y"]})", 400}},
    {"POST /v1/reranking", {R"({"model":"all-minilm","query":"x","documents":["y"]})", 400}},
    {"POST /v2/rerank", {R"({"model":"all-minilm","query":"x","documents":["y"]})", 400}},
    {"POST /rerank", {R"({"model":"all-minilm","query":"x","texts":["y"]})", 422}},
    {"POST /reranking", {R"({"model":"all-minilm","query":"x","documents":["y"]})", 400}},
    {"POST /api/pull", {"{}", 400}},
    {"POST /api/copy", {"{}", 400}},
    {"POST /api/create", {"{}", 400}},
    {"POST /api/blobs/*", {"", 400}},
    {"HEAD /api/blobs/*", {"", 400}},
    {"DELETE /api/delete", {"{}", 400}},
    {"DELETE /v1/models/*", {"", 404}},
};

TEST(OpenApi, EveryPathAnswersItsMethod) {
    const ServerProcess server;
    constexpr std::string_view kBody =
        R"({"model":"all-minilm","input":"x","prompt":"x","inputs":"x"})";
    for (const std::string& name : documented_routes()) {
        const std::size_t space = name.find(' ');
        const std::string method = name.substr(0, space);
        std::string target = name.substr(space + 1);
        if (target.ends_with('*')) {
            target.replace(target.size() - 1, 1, method == "GET" ? "all-minilm" : "no-such-model");
        }
        const auto refusal = kRefusals.find(name);
        const bool refused = refusal != kRefusals.end();
        const Reply reply = HttpProbe(server.address())
                                .exchange(method, target, refused ? refusal->second.body : kBody);
        EXPECT_EQ(reply.status, refused ? refusal->second.status : 200)
            << name << ": " << reply.body.substr(0, 300);
        const Reply wrong = HttpProbe(server.address()).exchange("PUT", target, {});
        EXPECT_EQ(wrong.status, 405) << name;
    }
}

}  // namespace
}  // namespace hearth::system_test
