// Conformance of the wires: of each folder testdata/KIND/CASE the canonical request.json must yield
// the upstream's call in call.json, and the upstream's stream.txt the canonical events.json.
// HEARTH_UPDATE_GOLDEN=1 writes both instead; read the diff.
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "backends/remote/kserve_call.h"
#include "backends/remote/wire.h"
#include "backends/remote/wire_json.h"
#include "backends/remote/wire_test_util.h"

namespace hearth::remote {
namespace {

namespace fs = std::filesystem;
using inference::GenerateRequest;
using inference::Operation;

std::string read_file(const fs::path& file) {
    std::ifstream stream(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

std::vector<fs::path> golden_cases() {
    std::vector<fs::path> cases;
    for (const auto& entry : fs::recursive_directory_iterator(HEARTH_REMOTE_TESTDATA)) {
        if (entry.path().filename() == "request.json") cases.push_back(entry.path().parent_path());
    }
    std::ranges::sort(cases);
    return cases;
}

Operation operation_of(std::string_view name) {
    if (name == "completion") return Operation::Completion;
    if (name == "native") return Operation::Native;
    return name == "infill" ? Operation::Infill : Operation::Chat;
}

// One case, read.
struct Golden {
    explicit Golden(const fs::path& folder)
        : path(folder), wire(make_wire(folder.parent_path().filename().string())) {
        const json::object file = json::parse(read_file(folder / "request.json")).as_object();
        model = file.at("model").as_string();
        request.operation = operation_of(file.at("operation").as_string());
        request.body = file.at("body").as_object();
        if (const json::value* time = file.if_contains("keep_alive_ms")) {
            request.keep_alive = std::chrono::milliseconds(time->as_int64());
        }
        if (const json::value* room = file.if_contains("context_min")) {
            request.context_min = room->to_number<std::size_t>();
        }
        stream = read_file(folder / "stream.txt");
    }

    Result<http::Call> call() const {
        const std::string metadata = read_file(path / "metadata.json");
        if (metadata.empty()) return wire->generate(request, model);
        const auto parsed = kserve::parse_metadata(metadata);
        if (!parsed) return std::unexpected(parsed.error());
        return kserve::encode_generate(request, model, *parsed);
    }
    std::unique_ptr<WireStream> answer() const { return wire->stream(request, kStamp); }

    fs::path path;
    std::unique_ptr<Wire> wire;
    GenerateRequest request;
    std::string model;
    std::string stream;
};

json::object show_error(const Error& error) {
    json::object out{{"code", to_string(error.code)}, {"message", error.message}};
    if (!error.reason.empty()) out["reason"] = error.reason;
    if (!error.param.empty()) out["param"] = error.param;
    return out;
}

json::object show_call(const Result<http::Call>& call) {
    if (!call) return {{"error", show_error(call.error())}};
    json::object headers;
    for (const auto& [name, value] : call->headers.all()) headers[name] = value;
    return {{"method", http::to_string(call->method)},
            {"target", call->target},
            {"headers", std::move(headers)},
            {"body", json::parse(call->body)}};
}

json::value nanoseconds_or_null(const std::optional<std::chrono::nanoseconds>& time) {
    return time ? json::value(time->count()) : json::value();
}

json::object show_usage(const inference::Usage& usage) {
    return {{"prompt_tokens", json::value_from(usage.prompt_tokens)},
            {"cached_tokens", json::value_from(usage.cached_tokens)},
            {"completion_tokens", json::value_from(usage.completion_tokens)},
            {"prompt_ns", nanoseconds_or_null(usage.prompt_time)},
            {"completion_ns", nanoseconds_or_null(usage.completion_time)}};
}

// What a stream fed in these pieces says, and how it ends.
struct Heard {
    json::array events;
    json::object end;
    bool ended_well = false;
};

Heard hear(const Golden& golden, std::string_view bytes, std::size_t piece) {
    Heard heard;
    const auto answer = golden.answer();
    const auto take = [&] {
        for (json::object& event : answer->take_events()) heard.events.push_back(std::move(event));
    };
    Result<void> result;
    for (std::size_t at = 0; result && at < bytes.size(); at += piece) {
        result = answer->feed(bytes.substr(at, piece));
        take();
    }
    if (result) result = answer->finish();
    take();
    heard.ended_well = result.has_value();
    heard.end = {{"usage", show_usage(answer->usage())}};
    if (!result) heard.end["error"] = show_error(result.error());
    return heard;
}

// One event a line, so that a change can be read.
std::string show_heard(const Heard& heard) {
    std::string out = "{\"events\":[";
    for (const json::value& event : heard.events) {
        out += (&event == heard.events.data() ? "\n" : ",\n") + write_json(event);
    }
    return out + "\n],\"end\":" + write_json(heard.end) + "}\n";
}

void compare(const fs::path& file, const std::string& result) {
    if (std::getenv("HEARTH_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(file, std::ios::binary) << result;
    } else {
        EXPECT_EQ(result, read_file(file)) << file;
    }
}

TEST(WireGolden, EveryRequestYieldsTheCallThatIsRecorded) {
    for (const fs::path& folder : golden_cases()) {
        const Golden golden(folder);
        ASSERT_NE(golden.wire, nullptr) << folder;
        compare(folder / "call.json", write_json(show_call(golden.call())) + "\n");
    }
}

TEST(WireGolden, EveryStreamYieldsTheEventsThatAreRecorded) {
    std::map<std::string, int> seen;
    for (const fs::path& folder : golden_cases()) {
        const Golden golden(folder);
        if (golden.stream.empty()) continue;
        ++seen[std::string(golden.wire->kind())];
        const Heard whole = hear(golden, golden.stream, golden.stream.size());
        compare(folder / "events.json", show_heard(whole));
        EXPECT_EQ(show_heard(hear(golden, golden.stream, 1)), show_heard(whole)) << folder;
        EXPECT_EQ(show_heard(hear(golden, golden.stream, 7)), show_heard(whole)) << folder;
    }
    for (const char* kind : {"anthropic", "ollama", "openai", "triton"}) EXPECT_GT(seen[kind], 0);
}

// Wherever a stream is cut, what was said stands, and an end is told only where there was one.
TEST(WireGolden, AStreamThatIsCutNeverSeemsComplete) {
    for (const fs::path& folder : golden_cases()) {
        const Golden golden(folder);
        const Heard whole = hear(golden, golden.stream, 64);
        if (golden.wire->kind() == "triton" || !whole.ended_well) continue;
        for (std::size_t size = 0; size < golden.stream.size(); ++size) {
            const Heard cut = hear(golden, golden.stream.substr(0, size), 64);
            ASSERT_LE(cut.events.size(), whole.events.size());
            ASSERT_TRUE(std::equal(cut.events.begin(), cut.events.end(), whole.events.begin()))
                << folder << " cut at " << size;
            if (cut.ended_well) {
                ASSERT_EQ(cut.events, whole.events) << folder << " cut at " << size;
            } else {
                ASSERT_EQ(cut.end.at("error").at("reason").as_string(), "stream_cut")
                    << folder << " cut at " << size;
            }
        }
    }
}

// Triton's end is the body's: only a cut inside an event can be told.
TEST(WireGolden, AStreamWithoutAnEndOfItsOwnIsCompleteBetweenEvents) {
    for (const fs::path& folder : golden_cases()) {
        const Golden golden(folder);
        if (golden.wire->kind() != "triton" || golden.stream.empty()) continue;
        for (std::size_t size = 0; size < golden.stream.size(); ++size) {
            const std::string bytes = golden.stream.substr(0, size);
            EXPECT_EQ(hear(golden, bytes, 64).ended_well, bytes.ends_with("\n\n")) << size;
        }
    }
}

}  // namespace
}  // namespace hearth::remote
