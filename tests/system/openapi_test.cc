#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

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
            if (method == "HEAD") continue;  // served wherever GET is
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

TEST(OpenApi, EveryPathAnswersItsMethod) {
    const ServerProcess server;
    for (const std::string& name : documented_routes()) {
        const std::size_t space = name.find(' ');
        const std::string method = name.substr(0, space);
        std::string target = name.substr(space + 1);
        if (target.ends_with('*')) target.replace(target.size() - 1, 1, "all-minilm");
        const std::string body = R"({"model":"all-minilm","input":"x","prompt":"x","inputs":"x"})";
        const Reply reply = HttpProbe(server.address()).exchange(method, target, body);
        EXPECT_EQ(reply.status, 200) << name << ": " << reply.body.substr(0, 300);
        const Reply wrong = HttpProbe(server.address()).exchange("DELETE", target, {});
        EXPECT_EQ(wrong.status, 405) << name;
    }
}

}  // namespace
}  // namespace hearth::system_test
