#include "api/model_defaults.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/format.h"

namespace hearth::api {
namespace {

namespace json = boost::json;
using inference::GenerateRequest;
using inference::Operation;

GenerateRequest with(std::string_view body) {
    GenerateRequest request;
    request.body = json::parse(body).as_object();
    return request;
}

json::value body_after(std::string_view options, std::string_view body = "{}") {
    GenerateRequest request = with(body);
    const auto applied = apply_options(json::parse(options).as_object(), request);
    EXPECT_TRUE(applied) << (applied ? "" : applied.error().message);
    return request.body;
}

// "param: message".
std::string options_refusal(std::string_view options) {
    GenerateRequest request;
    const auto applied = apply_options(json::parse(options).as_object(), request);
    if (applied) return "accepted";
    EXPECT_EQ(applied.error().code, Code::InvalidArgument);
    return applied.error().param + ": " + applied.error().message;
}

TEST(ModelDefaults, TranslatesTheNamesOfOptions) {
    EXPECT_EQ(body_after(R"({"temperature":0.5,"top_k":3,"num_predict":7,"num_keep":4,"stop":["a"],
                             "repeat_last_n":-1,"seed":-1,"mirostat":2,"mirostat_tau":5.5})"),
              json::parse(R"({"temperature":0.5,"top_k":3,"n_predict":7,"n_keep":4,"stop":["a"],
                              "repeat_last_n":-1,"seed":-1,"mirostat":2,"mirostat_tau":5.5})"));
    EXPECT_EQ(body_after(R"({"num_gpu":99,"num_thread":"x","unheard_of":{}})"), json::object());
    EXPECT_EQ(body_after(R"({"temperature":null,"stop":null,"num_ctx":null})"), json::object());
}

TEST(ModelDefaults, LeaveWhatTheCallerSaid) {
    EXPECT_EQ(body_after(R"({"temperature":0.5,"stop":["a"],"seed":1})",
                         R"({"temperature":0,"stop":"b","seed":null})"),
              json::parse(R"({"temperature":0,"stop":"b","seed":1})"));
    for (const char* name : {"n_predict", "max_tokens", "max_completion_tokens"}) {
        const std::string body = format(R"({{"{}":1}})", name);
        EXPECT_EQ(body_after(R"({"num_predict":9})", body), json::parse(body));
    }
}

TEST(ModelDefaults, ALengthBelowZeroIsNoLimit) {
    EXPECT_EQ(body_after(R"({"num_predict":-1})"), json::object());
    EXPECT_EQ(body_after(R"({"num_predict":-2})"), json::object());
    EXPECT_EQ(body_after(R"({"num_predict":0})"), json::parse(R"({"n_predict":0})"));
}

TEST(ModelDefaults, TakeTheContextAsWhatTheModelMustHaveRoomFor) {
    GenerateRequest request;
    ASSERT_TRUE(apply_options({{"num_ctx", 8192}}, request));
    EXPECT_EQ(request.context_min, 8192U);
    EXPECT_TRUE(request.body.empty());
    ASSERT_TRUE(apply_options({{"num_ctx", 4096}}, request));
    EXPECT_EQ(request.context_min, 8192U);
}

struct Range {
    std::string_view name;
    std::string_view least;
    std::string_view below;
    std::string_view most;
    std::string_view above;
    std::string_view expected;
};

TEST(ModelDefaults, KeepEveryOptionInItsRange) {
    constexpr Range kRanges[] = {
        {"temperature", "0", "-0.1", "100", "100.5", "a number from 0 to 100"},
        {"top_k", "-1", "-2", "2147483647", "2147483648", "a whole number from -1 to 2147483647"},
        {"top_p", "0", "-0.1", "1", "1.1", "a number from 0 to 1"},
        {"min_p", "0", "-0.1", "1", "1.1", "a number from 0 to 1"},
        {"typical_p", "0", "-0.1", "1", "1.1", "a number from 0 to 1"},
        {"repeat_last_n", "-1", "-2", "2147483647", "2147483648",
         "a whole number from -1 to 2147483647"},
        {"repeat_penalty", "0", "-0.1", "100", "101", "a number from 0 to 100"},
        {"presence_penalty", "-10", "-10.1", "10", "10.1", "a number from -10 to 10"},
        {"frequency_penalty", "-10", "-10.1", "10", "10.1", "a number from -10 to 10"},
        {"mirostat", "0", "-1", "2", "3", "a whole number from 0 to 2"},
        {"num_keep", "-1", "-2", "2147483647", "2147483648",
         "a whole number from -1 to 2147483647"},
        {"num_predict", "-2", "-3", "2147483647", "2147483648",
         "a whole number from -2 to 2147483647"},
        {"num_ctx", "0", "-1", "16777216", "16777217", "a whole number from 0 to 16777216"},
    };
    for (const Range& range : kRanges) {
        const auto given = [&](std::string_view value) {
            return options_refusal(format(R"({{"{}":{}}})", range.name, value));
        };
        EXPECT_EQ(given(range.least), "accepted") << range.name;
        EXPECT_EQ(given(range.most), "accepted") << range.name;
        const std::string wanted =
            format("options.{0}: options.{0} must be {1}", range.name, range.expected);
        for (const auto wrong :
             {range.below, range.above, std::string_view("\"1\""), std::string_view("{}")}) {
            EXPECT_EQ(given(wrong), wanted) << wrong;
        }
    }
    EXPECT_EQ(options_refusal(R"({"seed":"x"})"),
              "options.seed: options.seed must be a whole number");
    EXPECT_EQ(options_refusal(R"({"seed":18446744073709551615})"), "accepted");
    EXPECT_EQ(options_refusal(R"({"mirostat_tau":[]})"),
              "options.mirostat_tau: options.mirostat_tau must be a number");
}

TEST(ModelDefaults, TakeAStopOrAListOfThem) {
    constexpr std::string_view kWanted =
        "options.stop: options.stop must be a list of at most 64 strings";
    json::array words(64, json::value("a"));
    EXPECT_EQ(options_refusal(json::serialize(json::object{{"stop", words}})), "accepted");
    words.push_back("b");
    EXPECT_EQ(options_refusal(json::serialize(json::object{{"stop", words}})), kWanted);
    EXPECT_EQ(options_refusal(R"({"stop":"a"})"), "accepted");
    EXPECT_EQ(options_refusal(R"({"stop":[1]})"), kWanted);
    EXPECT_EQ(options_refusal(R"({"stop":7})"), kWanted);
}

std::string roles_after(const models::GgufModel& model, std::string_view messages) {
    GenerateRequest request = with(format(R"({{"messages":{}}})", messages));
    apply_model_defaults(model, request);
    std::string out;
    for (const json::value& message : request.body.at("messages").as_array()) {
        const json::value* content =
            message.is_object() ? message.get_object().if_contains("content") : nullptr;
        out += content != nullptr ? std::string(content->as_string()) : "?";
        out += ' ';
    }
    return out;
}

TEST(ModelDefaults, PutTheModelsMessagesBehindTheSystemAndBeforeTheCallers) {
    models::GgufModel model;
    model.system = "own-system";
    model.messages = R"([{"role":"user","content":"own1"},{"role":"assistant","content":"own2"}])";
    EXPECT_EQ(roles_after(model, R"([{"role":"user","content":"hi"}])"),
              "own-system own1 own2 hi ");
    EXPECT_EQ(
        roles_after(model, R"([{"role":"system","content":"sys"},{"role":"user","content":"hi"}])"),
        "sys own1 own2 hi ");
    EXPECT_EQ(roles_after(model, R"([{"role":"system","content":"sys"}])"), "sys own1 own2 ");
    EXPECT_EQ(roles_after(model, "[7]"), "own-system own1 own2 ? ");
    model.messages.clear();
    EXPECT_EQ(roles_after(model, R"([{"role":"user","content":"hi"}])"), "own-system hi ");
}

TEST(ModelDefaults, SetOptionsOnEveryOperationAndMessagesOnChatsOnly) {
    models::GgufModel model;
    model.system = "system";
    model.parameters = R"({"temperature":0.25,"stop":["<end>"],"num_ctx":1024})";
    GenerateRequest request = with(R"({"prompt":"p","messages":[]})");
    request.operation = Operation::Native;
    apply_model_defaults(model, request);
    EXPECT_EQ(json::value(request.body),
              json::parse(R"({"prompt":"p","messages":[],"temperature":0.25,"stop":["<end>"]})"));
    EXPECT_EQ(request.context_min, 1024U);
}

TEST(ModelDefaults, SurviveAManifestThatSaysNothingOfUse) {
    for (const char* text : {"", "{", "null", "7", "[1,2]", R"({"temperature":"hot"})"}) {
        models::GgufModel model;
        model.parameters = text;
        model.messages = text;
        GenerateRequest request = with(R"({"messages":[{"role":"user","content":"x"}]})");
        apply_model_defaults(model, request);
        EXPECT_FALSE(request.body.contains("temperature")) << text;
    }
    GenerateRequest request = with(R"({"messages":"none"})");
    models::GgufModel model;
    model.system = "s";
    apply_model_defaults(model, request);
    EXPECT_EQ(request.body.at("messages"), json::value("none"));
}

}  // namespace
}  // namespace hearth::api
