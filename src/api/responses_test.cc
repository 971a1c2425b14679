#include "api/responses.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "base/format.h"

namespace hearth::api::responses {
namespace {

namespace json = boost::json;

Result<Call> given(std::string_view more) {
    return parse(format(R"({{"model":"m","input":"x"{}}})", more));
}
Result<Call> given_input(std::string_view input) {
    return parse(format(R"({{"model":"m","input":{}}})", input));
}
json::object body_of(std::string_view more) {
    const auto call = given(more);
    EXPECT_TRUE(call) << more << ": " << call.error().message;
    return call ? call->chat.request.body : json::object();
}
json::value messages_of_input(std::string_view input) {
    const auto call = given_input(input);
    EXPECT_TRUE(call) << input << ": " << call.error().message;
    return call ? call->chat.request.body.at("messages") : json::value();
}
// "invalid_argument input[0]: what it says"
std::string refusal_of(const Result<Call>& call) {
    if (call) return "accepted";
    return format("{} {}: {}", to_string(call.error().code), call.error().param,
                  call.error().message);
}

constexpr std::string_view kTools =
    R"(,"tools":[{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},{"type":"function","name":"g"}])";

TEST(Responses, ATextIsWhatAUserSays) {
    EXPECT_EQ(messages_of_input(R"("hello")"),
              json::parse(R"([{"role":"user","content":"hello"}])"));
    EXPECT_EQ(body_of("").at("messages"), json::parse(R"([{"role":"user","content":"x"}])"));
    EXPECT_EQ(given("")->chat.request.model, "m");
    EXPECT_FALSE(given("")->chat.stream);
    EXPECT_TRUE(given(R"(,"stream":true)")->chat.stream);
}

TEST(Responses, WhatStandsBeforeTheConversationIsOneMessageOfTheSystem) {
    const auto call = parse(
        R"({"model":"m","instructions":"a","input":[{"role":"developer","content":"b"},
            {"role":"system","content":[{"type":"input_text","text":"c"},{"type":"input_text","text":"d"}]},
            {"role":"user","content":"x"},{"role":"developer","content":"e"}]})");
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->chat.request.body.at("messages"),
              json::parse(R"([{"role":"system","content":"a\n\nb\n\nc\nd"},
                              {"role":"user","content":"x"},{"role":"system","content":"e"}])"));
}

TEST(Responses, AnImageStaysApartFromTheInstructions) {
    const auto call = parse(
        R"({"instructions":"a","input":[{"role":"system","content":[{"type":"input_image","image_url":"data:,"}]}]})");
    ASSERT_TRUE(call) << call.error().message;
    EXPECT_EQ(call->chat.request.body.at("messages").as_array().size(), 2U);
}

TEST(Responses, OneTurnOfTheModelIsOneMessage) {
    EXPECT_EQ(messages_of_input(
                  R"([{"role":"user","content":"x"},
                {"type":"reasoning","id":"rs_1","summary":[],"content":[{"type":"reasoning_text","text":"h"},{"type":"reasoning_text","text":"m"}]},
                {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"t","annotations":[]}]},
                {"type":"function_call","id":"fc_1","call_id":"1","name":"f","arguments":"{}"},
                {"type":"function_call","id":"fc_2","call_id":"2","name":"g","arguments":"{\"a\":1}"},
                {"type":"function_call_output","call_id":"1","output":"one"},
                {"type":"function_call_output","call_id":"2","output":[{"type":"input_text","text":"two"}]}])"),
              json::parse(
                  R"([{"role":"user","content":"x"},
                {"role":"assistant","content":"t","reasoning_content":"h\nm","tool_calls":[
                    {"id":"1","type":"function","function":{"name":"f","arguments":"{}"}},
                    {"id":"2","type":"function","function":{"name":"g","arguments":"{\"a\":1}"}}]},
                {"role":"tool","tool_call_id":"1","content":"one"},
                {"role":"tool","tool_call_id":"2","content":"two"}])"));
}

TEST(Responses, WhatFollowsACallIsAnotherTurn) {
    EXPECT_EQ(
        messages_of_input(
            R"([{"type":"function_call","call_id":"1","name":"f","arguments":"{}"},
                {"role":"assistant","content":"a"},{"role":"assistant","content":"b"},
                {"type":"reasoning","summary":[{"type":"summary_text","text":"r"}]},
                {"type":"function_call","call_id":"2","name":"f","arguments":"{}"}])"),
        json::parse(
            R"([{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}]},
                {"role":"assistant","content":"a"},{"role":"assistant","content":"b"},
                {"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[{"id":"2","type":"function","function":{"name":"f","arguments":"{}"}}]}])"));
}

TEST(Responses, EncryptedReasoningSaysNothing) {
    EXPECT_EQ(
        messages_of_input(
            R"([{"type":"reasoning","summary":[],"encrypted_content":"AA"},{"role":"user","content":"x"}])"),
        json::parse(R"([{"role":"user","content":"x"}])"));
    EXPECT_EQ(refusal_of(given_input(R"([{"type":"reasoning","summary":[]}])")),
              "invalid_argument input: input must be a list in which somebody says something");
}

TEST(Responses, PartsAreThoseOfAChat) {
    EXPECT_EQ(messages_of_input(
                  R"([{"role":"user","content":[{"type":"input_text","text":"a"},
                        {"type":"input_image","image_url":"data:image/png;base64,AA","detail":"auto"}]},
                      {"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]},
                      {"type":"function_call_output","call_id":"1","output":[{"type":"input_image","image_url":"data:,"}]},
                      {"role":"user","content":[]}])"),
              json::parse(
                  R"([{"role":"user","content":[{"type":"text","text":"a"},
                        {"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},
                      {"role":"assistant","content":"no"},
                      {"role":"tool","tool_call_id":"1","content":[{"type":"image_url","image_url":{"url":"data:,"}}]},
                      {"role":"user","content":""}])"));
}

TEST(Responses, RefusesItemsThatAreNotWhole) {
    const std::string kInvalid = "invalid_argument ";
    EXPECT_EQ(refusal_of(parse("{}")),
              kInvalid + "input: input must be a string or a list of 1 to 10000 items");
    for (const char* input : {"[]", "7", "null", "{}"}) {
        EXPECT_TRUE(refusal_of(given_input(input)).contains("a list of 1 to 10000 items")) << input;
    }
    const auto refused = [&](std::string_view item) {
        return refusal_of(given_input(format("[{}]", item)));
    };
    EXPECT_EQ(refused("1"), kInvalid + "input[0]: input[0] must be an object");
    EXPECT_EQ(
        refused(R"({"role":"tool","content":"x"})"),
        kInvalid +
            R"(input[0].role: input[0].role must be "user", "assistant", "system" or "developer")");
    EXPECT_EQ(refused(R"({"role":"user"})"),
              kInvalid +
                  "input[0].content: input[0].content must be a string or a list of at most "
                  "10000 parts");
    EXPECT_TRUE(
        refused(R"({"role":"user","content":[1]})").contains("input[0].content[0] must be"));
    EXPECT_EQ(
        refused(R"({"role":"user","content":[{"type":"input_text"}]})"),
        kInvalid + "input[0].content[0]: input[0].content[0] must have a text that is a string");
    EXPECT_TRUE(refused(R"({"role":"user","content":[{"type":"input_audio"}]})")
                    .contains("has the type \"input_audio\"; input_text, input_image"));
    EXPECT_TRUE(refused(R"({"role":"user","content":[{"type":"input_image"}]})")
                    .contains("must have an image_url that is a string"));
    EXPECT_TRUE(
        refused(R"({"role":"user","content":[{"type":"input_image","image_url":"http://a/b"}]})")
            .starts_with("invalid_argument input[0].content[0]: input[0].content[0] names an image "
                         "by its address; nothing is fetched"));
    EXPECT_TRUE(refused(R"({"type":"function_call","name":"f","arguments":""})")
                    .contains("input[0].call_id must be a string"));
    EXPECT_TRUE(refused(R"({"type":"function_call","call_id":"1","arguments":""})")
                    .contains("input[0].name must be a string"));
    EXPECT_TRUE(refused(R"({"type":"function_call","call_id":"1","name":"f","arguments":{}})")
                    .contains("input[0].arguments must be a string that holds JSON"));
    EXPECT_TRUE(refused(R"({"type":"function_call_output","output":"x"})")
                    .contains("input[0].call_id must be a string"));
    EXPECT_TRUE(refused(R"({"type":"function_call_output","call_id":"1"})")
                    .contains("input[0].output must be a string or a list"));
    EXPECT_TRUE(refused(R"({"type":"reasoning","content":7})")
                    .contains("input[0].content must be a list of reasoning_text parts"));
    EXPECT_TRUE(refused(R"({"type":"reasoning","summary":[{"type":"summary_text"}]})")
                    .contains("input[0].summary must be a list of summary_text parts, each with"));
}

TEST(Responses, TakesTenThousandItemsAndNoMore) {
    const auto items = [](std::size_t count) {
        json::array list(count, json::object{{"role", "user"}, {"content", "x"}});
        return refusal_of(given_input(json::serialize(list)));
    };
    EXPECT_EQ(items(10'000), "accepted");
    EXPECT_TRUE(items(10'001).contains("1 to 10000 items"));
}

TEST(Responses, SaysWhatIsNotServed) {
    const auto refused = [&](std::string_view item) {
        const auto call = given_input(format("[{}]", item));
        EXPECT_FALSE(call) << item;
        if (!call) EXPECT_EQ(call.error().code, Code::Unsupported) << item;
        return call ? "" : call.error().message;
    };
    EXPECT_TRUE(refused(R"({"type":"item_reference","id":"a"})").contains("keeps no state"));
    EXPECT_TRUE(refused(R"({"type":"web_search_call"})")
                    .contains("has the type \"web_search_call\"; message, function_call"));
    EXPECT_TRUE(refused(R"({"role":"user","content":[{"type":"input_file","file_id":"a"}]})")
                    .contains("input[0].content[0] is a file; this server reads none"));
    EXPECT_TRUE(refused(R"({"role":"user","content":[{"type":"input_image","file_id":"a"}]})")
                    .contains("this server keeps no files"));
}

TEST(Responses, KeepsNoStateAndSaysSo) {
    for (const char* more :
         {R"("previous_response_id":"resp_1")", R"("conversation":"conv_1")",
          R"("conversation":{"id":"conv_1"})", R"("prompt":{"id":"p"})", R"("background":true)"}) {
        const auto call = given(format(",{}", more));
        ASSERT_FALSE(call) << more;
        EXPECT_EQ(call.error().code, Code::Unsupported) << more;
        EXPECT_EQ(call.error().reason, "stateless");
        EXPECT_TRUE(std::string_view(more).contains(format("\"{}\"", call.error().param)));
        EXPECT_TRUE(call.error().message.contains("keeps no state")) << call.error().message;
    }
    const json::object body = body_of(
        R"(,"previous_response_id":null,"conversation":null,"prompt":null,"background":false,"store":true)");
    EXPECT_EQ(body.size(), 1U) << json::serialize(body);
    EXPECT_EQ(given(R"(,"store":true)")->asked.at("store"), json::value(false));
}

TEST(Responses, ToolsAreNestedOneLevelDeeper) {
    const json::object body = body_of(kTools);
    EXPECT_EQ(
        body.at("tools"),
        json::parse(
            R"([{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}},
                {"type":"function","function":{"name":"g"}}])"));
    EXPECT_EQ(
        given(kTools)->asked.at("tools"),
        json::parse(
            R"([{"type":"function","name":"f","description":"d","parameters":{"type":"object"},"strict":true},
                {"type":"function","name":"g","description":null,"parameters":null,"strict":null}])"));
    EXPECT_FALSE(body_of(R"(,"tools":[])").contains("tools"));
}

TEST(Responses, RefusesToolsThatRunInsideAServer) {
    for (const char* type :
         {"web_search", "web_search_preview", "file_search", "code_interpreter", "mcp",
          "computer_use_preview", "image_generation", "local_shell", "custom"}) {
        const auto call = given(format(R"(,"tools":[{{"type":"{}"}}])", type));
        ASSERT_FALSE(call) << type;
        EXPECT_EQ(call.error().code, Code::Unsupported);
        EXPECT_EQ(call.error().param, "tools[0]");
        EXPECT_TRUE(call.error().message.contains(type)) << call.error().message;
        EXPECT_TRUE(call.error().message.contains("runs no tools itself"));
    }
    EXPECT_EQ(refusal_of(given(R"(,"tools":7)")),
              "invalid_argument tools: tools must be a list of tools");
    EXPECT_TRUE(refusal_of(given(R"(,"tools":[7])")).contains("tools[0] must be an object"));
    EXPECT_TRUE(refusal_of(given(R"(,"tools":[{"name":"f"}])")).contains("tools[0].type must be"));
    EXPECT_TRUE(
        refusal_of(given(R"(,"tools":[{"type":"function"}])")).contains("tools[0].name must be"));
    EXPECT_TRUE(refusal_of(given(R"(,"tools":[{"type":"function","name":"f","parameters":"x"}])"))
                    .contains("tools[0].parameters must be a JSON schema"));
}

TEST(Responses, AToolCanBeChosen) {
    const auto chosen = [](std::string_view choice) {
        return body_of(format(R"({},"tool_choice":{})", kTools, choice));
    };
    for (const char* word : {"none", "auto", "required"}) {
        EXPECT_EQ(chosen(format("\"{}\"", word)).at("tool_choice"), json::value(word));
    }
    const json::object one = chosen(R"({"type":"function","name":"g"})");
    EXPECT_EQ(one.at("tool_choice"), json::value("required"));
    EXPECT_EQ(one.at("tools"), json::parse(R"([{"type":"function","function":{"name":"g"}}])"));
    const json::object allowed = chosen(
        R"({"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":"g"}]})");
    EXPECT_EQ(allowed.at("tool_choice"), json::value("auto"));
    EXPECT_EQ(allowed.at("tools"), one.at("tools"));
    const auto call = given(format(R"({},"tool_choice":"required")", kTools));
    EXPECT_EQ(call->asked.at("tool_choice"), json::value("required"));
    EXPECT_EQ(given(kTools)->asked.at("tool_choice"), json::value("auto"));
}

TEST(Responses, RefusesAChoiceThatIsNone) {
    const auto refused = [](std::string_view choice) {
        return refusal_of(given(format(R"({},"tool_choice":{})", kTools, choice)));
    };
    EXPECT_TRUE(refused(R"("some")").starts_with("invalid_argument tool_choice: "));
    EXPECT_TRUE(refused("7").starts_with("invalid_argument tool_choice: "));
    EXPECT_TRUE(refused(R"({"type":"function","name":"h"})").contains("one of the tools"));
    EXPECT_TRUE(refused(R"({"type":"function"})").starts_with("invalid_argument tool_choice.name"));
    EXPECT_TRUE(refused(R"({"type":"web_search"})").starts_with("unsupported tool_choice: "));
    EXPECT_TRUE(refused(R"({"type":"allowed_tools","mode":"some","tools":[]})")
                    .starts_with("invalid_argument tool_choice.mode"));
    EXPECT_TRUE(refused(R"({"type":"allowed_tools","mode":"auto","tools":[]})")
                    .starts_with("invalid_argument tool_choice.tools: "));
    EXPECT_TRUE(
        refused(R"({"type":"allowed_tools","mode":"auto","tools":[{"name":"f"},{"name":"h"}]})")
            .starts_with("invalid_argument tool_choice.tools[1]: "));
    EXPECT_TRUE(refusal_of(given(R"(,"tool_choice":"required")")).contains("tool_choice"));
}

TEST(Responses, TheFormOfTheTextIsTheResponseFormatOfAChat) {
    EXPECT_FALSE(body_of(R"(,"text":{"format":{"type":"text"}})").contains("response_format"));
    EXPECT_EQ(body_of(R"(,"text":{"format":{"type":"json_object"}})").at("response_format"),
              json::parse(R"({"type":"json_object"})"));
    const auto call = given(
        R"(,"text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"},"strict":true,"description":"d"},"verbosity":"low"})");
    EXPECT_EQ(
        call->chat.request.body.at("response_format"),
        json::parse(
            R"({"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"},"strict":true,"description":"d"}})"));
    EXPECT_EQ(call->chat.request.body.at("verbosity"), json::value("low"));
    EXPECT_EQ(call->asked.at("text").at("verbosity"), json::value("low"));
    EXPECT_EQ(call->asked.at("text").at("format").at("name"), json::value("n"));
    EXPECT_EQ(given("")->asked.at("text"),
              json::parse(R"({"format":{"type":"text"},"verbosity":"medium"})"));
    const auto refused = [](std::string_view text) {
        return refusal_of(given(format(R"(,"text":{})", text)));
    };
    EXPECT_TRUE(refused(R"({"format":7})").starts_with("invalid_argument text.format: "));
    EXPECT_TRUE(refused(R"({"format":{"type":"grammar"}})")
                    .starts_with("invalid_argument text.format.type: "));
    EXPECT_TRUE(refused(R"({"format":{"type":"json_schema","name":"n"}})")
                    .starts_with("invalid_argument text.format.schema: "));
    EXPECT_TRUE(refused(R"({"format":{"type":"json_schema","schema":{}}})")
                    .starts_with("invalid_argument text.format.name: "));
    EXPECT_EQ(refused(R"({"verbosity":"loud"})"),
              "invalid_argument text.verbosity: text.verbosity must be one of: low, medium, high");
    EXPECT_TRUE(refused("7").starts_with("invalid_argument text: "));
}

TEST(Responses, ReasoningHasItsEffort) {
    EXPECT_EQ(body_of(R"(,"reasoning":{"effort":"high","summary":"auto"})").at("reasoning_effort"),
              json::value("high"));
    const json::object none = body_of(R"(,"reasoning":{"effort":"none"})");
    EXPECT_EQ(none.at("chat_template_kwargs"), json::parse(R"({"enable_thinking":false})"));
    EXPECT_EQ(body_of(R"(,"reasoning":{"effort":"none"},"chat_template_kwargs":{"a":1})")
                  .at("chat_template_kwargs"),
              json::parse(R"({"a":1})"));
    EXPECT_EQ(given(R"(,"reasoning":{"effort":"high","summary":"auto"})")->asked.at("reasoning"),
              json::parse(R"({"effort":"high","summary":null})"));
    EXPECT_EQ(body_of(R"(,"reasoning":{})").size(), 1U);
    EXPECT_TRUE(refusal_of(given(R"(,"reasoning":{"effort":"some"})"))
                    .starts_with("invalid_argument reasoning.effort: "));
    EXPECT_TRUE(refusal_of(given(R"(,"reasoning":{"summary":7})"))
                    .starts_with("invalid_argument reasoning.summary: "));
}

TEST(Responses, OptionsHaveTheirBounds) {
    EXPECT_EQ(body_of(R"(,"max_output_tokens":1)").at("max_tokens"), json::value(1));
    EXPECT_TRUE(refusal_of(given(R"(,"max_output_tokens":0)"))
                    .starts_with("invalid_argument max_output_tokens: "));
    EXPECT_EQ(body_of(R"(,"top_logprobs":20)").at("top_logprobs"), json::value(20));
    EXPECT_TRUE(body_of(R"(,"top_logprobs":20)").at("logprobs").as_bool());
    EXPECT_TRUE(
        refusal_of(given(R"(,"top_logprobs":21)")).starts_with("invalid_argument top_logprobs: "));
    EXPECT_EQ(body_of(R"(,"top_logprobs":0)").size(), 1U);
    EXPECT_TRUE(body_of(R"(,"include":["message.output_text.logprobs"])").at("logprobs").as_bool());
    EXPECT_EQ(body_of(R"(,"include":["reasoning.encrypted_content"])").size(), 1U);
    EXPECT_TRUE(refusal_of(given(R"(,"include":[7])")).starts_with("invalid_argument include: "));
    EXPECT_TRUE(given(R"(,"truncation":"auto")")->truncate);
    EXPECT_FALSE(given(R"(,"truncation":"disabled")")->truncate);
    EXPECT_EQ(refusal_of(given(R"(,"truncation":"some")")),
              "invalid_argument truncation: truncation must be one of: auto, disabled");
    EXPECT_EQ(given(R"(,"metadata":{"a":"b"})")->asked.at("metadata"), json::parse(R"({"a":"b"})"));
    EXPECT_TRUE(
        refusal_of(given(R"(,"metadata":{"a":1})")).starts_with("invalid_argument metadata: "));
    json::object pairs;
    for (int i = 0; i < 17; ++i) pairs[format("{}", i)] = "x";
    EXPECT_TRUE(refusal_of(given(format(R"(,"metadata":{})", json::serialize(pairs))))
                    .starts_with("invalid_argument metadata: "));
    pairs.erase("0");
    EXPECT_TRUE(given(format(R"(,"metadata":{})", json::serialize(pairs))));
    EXPECT_TRUE(refusal_of(given(R"(,"temperature":"hot")")).contains("temperature must be"));
    EXPECT_TRUE(refusal_of(given(R"(,"instructions":["a"])")).contains("instructions must be"));
}

TEST(Responses, WhatMeansNothingToAnEngineStaysHere) {
    const json::object body = body_of(
        R"(,"user":"u","prompt_cache_key":"k","safety_identifier":"s","service_tier":"auto",
            "prompt_cache_retention":"24h","metadata":{},"include":[],"stream_options":{"include_obfuscation":false},
            "max_tool_calls":3,"n":4,"max_tokens":7,"functions":[],"function_call":"none","background":null)");
    EXPECT_EQ(body.size(), 1U) << json::serialize(body);
    EXPECT_EQ(body_of(R"(,"top_k":3,"seed":1,"return_progress":true)").size(), 4U)
        << "an engine's own members travel on";
    EXPECT_EQ(given(R"(,"user":"u")")->asked.at("user"), json::value("u"));
}

}  // namespace
}  // namespace hearth::api::responses
