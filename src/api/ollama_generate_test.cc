#include "api/ollama_generate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>

#include "api/testing.h"
#include "base/format.h"

namespace hearth::api::ollama {
namespace {

namespace json = boost::json;
using inference::Operation;
using std::chrono::milliseconds;
using Parse = Result<TextCall> (*)(std::string_view);

TextCall accepted(Parse parse, std::string_view text) {
    auto call = parse(text);
    EXPECT_TRUE(call) << text << ": " << (call ? "" : call.error().message);
    return call ? *std::move(call) : TextCall();
}
TextCall generate(std::string_view more) {
    return accepted(parse_generate, format(R"({{"model":"m","prompt":"p"{}}})", more));
}
TextCall chat(std::string_view more) {
    return accepted(
        parse_chat,
        format(R"({{"model":"m","messages":[{{"role":"user","content":"p"}}]{}}})", more));
}

std::string refusal(Parse parse, std::string_view text) {
    const auto call = parse(text);
    if (call) return "accepted";
    EXPECT_EQ(call.error().code, Code::InvalidArgument) << text;
    return call.error().param + ": " + call.error().message;
}
std::string generate_refusal(std::string_view more) {
    return refusal(parse_generate, format(R"({{"model":"m","prompt":"p"{}}})", more));
}
std::string messages_refusal(std::string_view messages) {
    return refusal(parse_chat, format(R"({{"model":"m","messages":{}}})", messages));
}
json::value messages_of(std::string_view messages) {
    auto call = accepted(parse_chat, format(R"({{"model":"m","messages":{}}})", messages));
    return call.request.body["messages"];
}

TEST(OllamaGenerate, TurnsAPromptIntoAChat) {
    const auto call = generate(R"(,"system":"be brief")");
    EXPECT_EQ(call.request.model, "m");
    EXPECT_EQ(call.request.operation, Operation::Chat);
    EXPECT_TRUE(call.stream);
    EXPECT_TRUE(call.truncate);
    EXPECT_FALSE(call.chat);
    EXPECT_FALSE(call.load_only);
    EXPECT_EQ(
        json::value(call.request.body),
        json::parse(
            R"({"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"p"}]})"));
}

TEST(OllamaGenerate, SendsARawPromptAsItIs) {
    const auto call = generate(R"(,"raw":true,"system":"unused","stream":false,"truncate":false)");
    EXPECT_EQ(call.request.operation, Operation::Completion);
    EXPECT_EQ(json::value(call.request.body), json::parse(R"({"prompt":"p"})"));
    EXPECT_FALSE(call.stream);
    EXPECT_FALSE(call.truncate);
}

TEST(OllamaGenerate, TurnsASuffixIntoAnInfill) {
    auto call = generate(R"(,"suffix":"s")");
    EXPECT_EQ(call.request.operation, Operation::Infill);
    EXPECT_EQ(json::value(call.request.body),
              json::parse(R"({"input_prefix":"p","input_suffix":"s"})"));
    EXPECT_EQ(generate(R"(,"suffix":"")").request.operation, Operation::Chat);
    call = accepted(parse_generate, R"({"model":"m","suffix":"s"})");
    EXPECT_FALSE(call.load_only);
    EXPECT_EQ(call.request.body.at("input_prefix"), json::value(""));
}

TEST(OllamaGenerate, LoadsTheModelWhenThereIsNothingToSay) {
    for (const char* body : {R"({"model":"m"})", R"({"model":"m","prompt":""})",
                             R"({"model":"m","prompt":null,"system":"s","images":[]})"}) {
        EXPECT_TRUE(accepted(parse_generate, body).load_only) << body;
    }
    for (const char* body : {R"({"model":"m"})", R"({"model":"m","messages":[]})",
                             R"({"model":"m","messages":null})"}) {
        const auto call = accepted(parse_chat, body);
        EXPECT_TRUE(call.load_only) << body;
        EXPECT_TRUE(call.chat) << body;
    }
    EXPECT_FALSE(accepted(parse_generate, R"({"model":"m","images":["AA=="]})").load_only);
}

TEST(OllamaGenerate, NeedsAModelUnderEitherName) {
    EXPECT_EQ(accepted(parse_chat, R"({"name":"m"})").request.model, "m");
    EXPECT_EQ(refusal(parse_chat, "{}"), "model: model is required");
    EXPECT_EQ(refusal(parse_generate, R"({"model":""})"), "model: model is required");
    EXPECT_EQ(refusal(parse_generate, R"({"model":1})"), "model: model must be a string");
}

TEST(OllamaGenerate, ReadsEveryFormOfKeepAlive) {
    const auto ms = [](std::string_view value) -> std::optional<std::int64_t> {
        const auto call = generate(format(R"(,"keep_alive":{})", value));
        if (!call.request.keep_alive) return std::nullopt;
        return call.request.keep_alive->count();
    };
    EXPECT_EQ(ms("null"), std::nullopt);
    EXPECT_EQ(ms("0"), 0);
    EXPECT_EQ(ms("300"), 300'000);
    EXPECT_EQ(ms("0.5"), 500);
    EXPECT_EQ(ms("-1"), -1);
    EXPECT_EQ(ms("-0.001"), -1);
    EXPECT_EQ(ms("1e300"), -1);
    EXPECT_EQ(ms("18446744073709551615"), -1);
    EXPECT_EQ(ms("\"5m\""), 300'000);
    EXPECT_EQ(ms("\"1h30m\""), 5'400'000);
    EXPECT_EQ(ms("\"-1s\""), -1);
    EXPECT_EQ(ms("\"0\""), 0);
    for (const char* wrong : {"\"5\"", "\"\"", "true", "[]", "{}"}) {
        EXPECT_EQ(generate_refusal(format(R"(,"keep_alive":{})", wrong)),
                  "keep_alive: keep_alive must be a duration like \"5m\" or \"1h30m\", or a number "
                  "of seconds");
    }
}

TEST(OllamaGenerate, ReadsAFormatOrASchema) {
    EXPECT_FALSE(generate(R"(,"format":"")").request.body.contains("response_format"));
    EXPECT_FALSE(generate(R"(,"format":null)").request.body.contains("response_format"));
    EXPECT_EQ(generate(R"(,"format":"json")").request.body.at("response_format"),
              json::parse(R"({"type":"json_object"})"));
    EXPECT_EQ(
        chat(R"(,"format":{"type":"object"})").request.body.at("response_format"),
        json::parse(
            R"({"type":"json_schema","json_schema":{"name":"answer","schema":{"type":"object"}}})"));
    // Completions have no response_format.
    EXPECT_EQ(generate(R"(,"raw":true,"format":"json")").request.body.at("json_schema"),
              json::parse(R"({"type":"object"})"));
    EXPECT_EQ(generate(R"(,"suffix":"s","format":{"type":"array"})").request.body.at("json_schema"),
              json::parse(R"({"type":"array"})"));
    for (const char* wrong : {"\"xml\"", "1", "[]"}) {
        EXPECT_EQ(generate_refusal(format(R"(,"format":{})", wrong)),
                  "format: format must be \"json\" or a JSON schema");
    }
}

TEST(OllamaGenerate, ReadsHowMuchToThink) {
    auto call = chat(R"(,"think":true)");
    EXPECT_TRUE(call.wants_thinking);
    EXPECT_FALSE(call.hides_thinking);
    EXPECT_EQ(call.request.body.at("chat_template_kwargs"),
              json::parse(R"({"enable_thinking":true})"));
    EXPECT_FALSE(call.request.body.contains("reasoning_effort"));
    call = chat(R"(,"think":false)");
    EXPECT_FALSE(call.wants_thinking);
    EXPECT_TRUE(call.hides_thinking);
    EXPECT_EQ(call.request.body.at("reasoning_effort"), json::value("none"));
    for (const char* level : {"low", "medium", "high", "max"}) {
        call = generate(format(R"(,"think":"{}")", level));
        EXPECT_TRUE(call.wants_thinking);
        EXPECT_EQ(call.request.body.at("reasoning_effort"), json::value(level));
    }
    call = chat(R"(,"think":null)");
    EXPECT_FALSE(call.wants_thinking || call.hides_thinking);
    for (const char* wrong : {"\"\"", "\"a lot\"", "1", "{}"}) {
        EXPECT_EQ(generate_refusal(format(R"(,"think":{})", wrong)),
                  "think: think must be true, false, \"low\", \"medium\", \"high\" or \"max\"");
    }
}

TEST(OllamaGenerate, RefusesWhatIsNotServed) {
    EXPECT_EQ(generate_refusal(R"(,"template":"{{ .Prompt }}")"),
              "template: a template of the call's own is not run; set raw to true and send the "
              "prompt as the model is to read it");
    EXPECT_EQ(generate_refusal(R"(,"template":"")"), "accepted");
    EXPECT_EQ(generate_refusal(R"(,"context":[1,2])"),
              "context: context is deprecated and not kept here; send the conversation to "
              "/api/chat");
    EXPECT_EQ(generate_refusal(R"(,"context":[])"), "accepted");
    EXPECT_EQ(generate_refusal(R"(,"tools":[{"type":"function","function":{"name":"f"}}])"),
              "tools: tools belong to a conversation: send it to /api/chat");
}

TEST(OllamaGenerate, RefusesMembersOfTheWrongKind) {
    EXPECT_EQ(generate_refusal(R"(,"stream":"no")"), "stream: stream must be true or false");
    EXPECT_EQ(generate_refusal(R"(,"options":[])"), "options: options must be an object");
    EXPECT_EQ(generate_refusal(R"(,"system":1)"), "system: system must be a string");
    EXPECT_EQ(generate_refusal(R"(,"raw":1)"), "raw: raw must be true or false");
    EXPECT_EQ(generate_refusal(R"(,"images":"x")"), "images: images must be a list");
    EXPECT_EQ(generate_refusal(R"(,"context":"x")"), "context: context must be a list");
    EXPECT_EQ(generate_refusal(R"(,"top_logprobs":20)"), "accepted");
    EXPECT_EQ(generate_refusal(R"(,"top_logprobs":21)"),
              "top_logprobs: top_logprobs must be a whole number from 0 to 20");
    EXPECT_EQ(generate_refusal(R"(,"options":{"temperature":"hot"})"),
              "options.temperature: options.temperature must be a number from 0 to 100");
    EXPECT_EQ(refusal(parse_chat, R"({"model":"m","messages":{}})"),
              "messages: messages must be a list");
    EXPECT_EQ(refusal(parse_generate, R"({"model":"m","prompt":["a"]})"),
              "prompt: prompt must be a string");
    EXPECT_EQ(refusal(parse_chat, "\xFF").substr(0, 28), ": the body is not valid JSON");
}

TEST(OllamaGenerate, AsksForProbabilitiesInTheWordsOfTheOperation) {
    auto call = chat(R"(,"logprobs":true)");
    EXPECT_EQ(call.top_logprobs, 0U);
    EXPECT_EQ(call.request.body.at("top_logprobs"), json::value(1U));
    call = generate(R"(,"logprobs":true,"top_logprobs":3)");
    EXPECT_EQ(call.top_logprobs, 3U);
    EXPECT_EQ(call.request.body.at("logprobs"), json::value(true));
    call = generate(R"(,"raw":true,"logprobs":true,"top_logprobs":3)");
    EXPECT_EQ(call.request.body.at("n_probs"), json::value(3U));
    EXPECT_FALSE(call.request.body.contains("logprobs"));
    EXPECT_FALSE(chat(R"(,"logprobs":false,"top_logprobs":3)").request.body.contains("logprobs"));
}

TEST(OllamaGenerate, SendsImagesAsDataUris) {
    EXPECT_EQ(
        messages_of(
            R"([{"role":"user","content":"what?","images":["iVBORw0K","/9j/4AAQ","UklGRgAA","R0lGODlh","data:image/bmp;base64,Qk0="]}])"),
        json::parse(
            R"([{"role":"user","content":[
                {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0K"}},
                {"type":"image_url","image_url":{"url":"data:image/jpeg;base64,/9j/4AAQ"}},
                {"type":"image_url","image_url":{"url":"data:image/webp;base64,UklGRgAA"}},
                {"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGODlh"}},
                {"type":"image_url","image_url":{"url":"data:image/bmp;base64,Qk0="}},
                {"type":"text","text":"what?"}]}])"));
    const auto call = generate(R"(,"images":["iVBOR"])");
    EXPECT_TRUE(call.wants_images);
    EXPECT_EQ(call.request.body.at("messages").at(0).at("content").as_array().size(), 2U);
    EXPECT_EQ(messages_of(R"([{"role":"user","content":"x","images":[]}])"),
              json::parse(R"([{"role":"user","content":"x"}])"));
    EXPECT_EQ(messages_refusal(R"([{"role":"user","images":"AA"}])"),
              "messages[0].images: messages[0].images must be a list of base64 texts");
    EXPECT_EQ(messages_refusal(R"([{"role":"user","images":[1]}])"),
              "messages[0].images: messages[0].images must be a list of base64 texts");
    EXPECT_EQ(generate_refusal(R"(,"images":[{}])"),
              "images: images must be a list of base64 texts");
}

TEST(OllamaGenerate, TranslatesToolCallsAndFindsTheirResults) {
    EXPECT_EQ(messages_of(R"([
            {"role":"assistant","content":"","thinking":"hm","tool_calls":[
                {"function":{"name":"f","arguments":{"a":1}}},
                {"id":"own","function":{"name":"g","arguments":"{}"}},
                {"function":{"name":"h"}}]},
            {"role":"tool","content":"of g","tool_name":"g"},
            {"role":"tool","content":"of the first"},
            {"role":"tool","content":"of h","tool_call_id":"call_2"},
            {"role":"tool","content":"of none"}])"),
              json::parse(R"([
            {"role":"assistant","content":"","reasoning_content":"hm","tool_calls":[
                {"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
                {"id":"own","type":"function","function":{"name":"g","arguments":"{}"}},
                {"id":"call_2","type":"function","function":{"name":"h","arguments":"{}"}}]},
            {"role":"tool","content":"of g","tool_call_id":"own","name":"g"},
            {"role":"tool","content":"of the first","tool_call_id":"call_1"},
            {"role":"tool","content":"of h","tool_call_id":"call_2"},
            {"role":"tool","content":"of none","tool_call_id":"call_0"}])"));
}

TEST(OllamaGenerate, ChecksMessages) {
    EXPECT_EQ(messages_refusal("[1]"), "messages[0].role: messages[0].role must be a string");
    EXPECT_EQ(messages_refusal(R"([{"content":"x"}])"),
              "messages[0].role: messages[0].role must be a string");
    EXPECT_EQ(messages_refusal(R"([{"role":"user","content":["x"]}])"),
              "messages[0].content: messages[0].content must be a string");
    EXPECT_EQ(messages_refusal(R"([{"role":"assistant","thinking":1}])"),
              "messages[0].thinking: messages[0].thinking must be a string");
    EXPECT_EQ(messages_refusal(R"([{"role":"assistant","tool_calls":{}}])"),
              "messages[0].tool_calls: messages[0].tool_calls must be a list");
    for (const char* wrong : {"[1]", "[{}]", R"([{"function":1}])", R"([{"function":{}}])"}) {
        EXPECT_EQ(messages_refusal(format(R"([{{"role":"assistant","tool_calls":{}}}])", wrong)),
                  "messages[0].tool_calls: messages[0].tool_calls must be a list of functions with "
                  "a name");
    }
    const auto many = [](std::size_t count) {
        std::string list = R"([{"role":"user"})";
        for (std::size_t i = 1; i < count; ++i) list += R"(,{"role":"user"})";
        return list + "]";
    };
    EXPECT_EQ(messages_refusal(many(10'000)), "accepted");
    EXPECT_EQ(messages_refusal(many(10'001)),
              "messages: messages must be a list of at most 10000 messages");
}

TEST(OllamaGenerate, TakesToolsAndGivesThemTheirType) {
    const auto call =
        chat(R"(,"tools":[{"function":{"name":"f"}},{"type":"function","function":{"name":"g"}}])");
    EXPECT_TRUE(call.wants_tools);
    EXPECT_EQ(
        call.request.body.at("tools"),
        json::parse(
            R"([{"function":{"name":"f"},"type":"function"},{"type":"function","function":{"name":"g"}}])"));
    EXPECT_FALSE(chat(R"(,"tools":[])").wants_tools);
    const auto refused = [](std::string_view tools) {
        return refusal(
            parse_chat,
            format(R"({{"model":"m","messages":[{{"role":"user"}}],"tools":{}}})", tools));
    };
    EXPECT_EQ(refused("{}"), "tools: tools must be a list");
    EXPECT_EQ(refused(R"([{"function":{"name":""}}])"),
              "tools[0]: tools[0] must be a function with a name");
    const auto many = [](std::size_t count) {
        std::string list = R"([{"function":{"name":"f"}})";
        for (std::size_t i = 1; i < count; ++i) list += R"(,{"function":{"name":"f"}})";
        return list + "]";
    };
    EXPECT_EQ(refused(many(1024)), "accepted");
    EXPECT_EQ(refused(many(1025)), "tools: tools must be a list of at most 1024 tools");
}

TEST(OllamaGenerate, SetsTheDialectsDefaultsWhereNothingElseIsSet) {
    auto call = generate(R"(,"options":{"temperature":0,"top_k":1})");
    apply_dialect_defaults(call.request);
    const json::object& body = call.request.body;
    EXPECT_EQ(body.at("temperature"), json::value(0));
    EXPECT_EQ(body.at("top_k"), json::value(1));
    EXPECT_EQ(body.at("top_p"), json::value(0.9));
    EXPECT_EQ(body.at("repeat_penalty"), json::value(1.0));
    EXPECT_EQ(body.at("repeat_last_n"), json::value(64));
}

TEST(OllamaGenerate, RefusesWhatTheModelCannotDo) {
    models::Model model = sample_model("small:latest");
    model.capabilities = {"completion"};
    const auto refused = [&](const TextCall& call) {
        const auto checked = check_capabilities(call, model);
        return checked ? "accepted" : checked.error().param + ": " + checked.error().message;
    };
    const TextCall tools = chat(R"(,"tools":[{"function":{"name":"f"}}])");
    const TextCall images = generate(R"(,"images":["AA"])");
    const TextCall thinking = chat(R"(,"think":true)");
    const TextCall suffix = generate(R"(,"suffix":"s")");
    EXPECT_EQ(refused(tools), "model: small:latest does not support tools");
    EXPECT_EQ(refused(images), "model: small:latest does not support images");
    EXPECT_EQ(refused(thinking), "model: small:latest does not support thinking");
    EXPECT_EQ(refused(suffix), "model: small:latest does not support insert");
    EXPECT_EQ(refused(chat(R"(,"think":false)")), "accepted");
    model.capabilities = {"completion", "tools", "vision", "thinking", "insert"};
    for (const TextCall* call : {&tools, &images, &thinking, &suffix}) {
        EXPECT_EQ(refused(*call), "accepted");
    }
}

}  // namespace
}  // namespace hearth::api::ollama
