#include "api/openai_generate.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "base/format.h"

namespace hearth::api::openai {
namespace {

namespace json = boost::json;
using inference::Operation;
using Parse = Result<GenerateCall> (*)(std::string_view);

constexpr std::string_view kHello = R"("messages":[{"role":"user","content":"hello"}])";

std::string chat_body(std::string_view more) {
    return format(R"({{"model":"m",{}{}{}}})", kHello, more.empty() ? "" : ",", more);
}
std::string completion_body(std::string_view more) {
    return format(R"({{"model":"m","prompt":"p"{}{}}})", more.empty() ? "" : ",", more);
}

GenerateCall accepted(Parse parse, std::string_view text) {
    auto call = parse(text);
    EXPECT_TRUE(call) << text << ": " << (call ? "" : call.error().message);
    return call ? *std::move(call) : GenerateCall();
}
GenerateCall chat(std::string_view more) { return accepted(parse_chat, chat_body(more)); }
GenerateCall completion(std::string_view more) {
    return accepted(parse_completion, completion_body(more));
}

// "param: message", or what shows that nothing was refused.
std::string refusal(Parse parse, std::string_view text) {
    const auto call = parse(text);
    if (call && call->request.untranslatable == nullptr) return "accepted";
    const Error& error = call ? *call->request.untranslatable : call.error();
    EXPECT_EQ(error.code, Code::InvalidArgument) << text;
    return error.param + ": " + error.message;
}
std::string chat_refusal(std::string_view more) { return refusal(parse_chat, chat_body(more)); }
std::string completion_refusal(std::string_view more) {
    return refusal(parse_completion, completion_body(more));
}
std::string messages_refusal(std::string_view messages) {
    return refusal(parse_chat, format(R"({{"model":"m","messages":{}}})", messages));
}

json::value messages_of(std::string_view messages) {
    auto call = accepted(parse_chat, format(R"({{"model":"m","messages":{}}})", messages));
    return call.request.body["messages"];
}

TEST(OpenAiGenerate, TakesTheModelAndTheStreamOutOfTheBody) {
    const auto call = chat(R"("stream":true,"stream_options":{"include_usage":true})");
    EXPECT_EQ(call.request.model, "m");
    EXPECT_EQ(call.request.operation, Operation::Chat);
    EXPECT_TRUE(call.stream);
    EXPECT_TRUE(call.include_usage);
    EXPECT_EQ(json::value(call.request.body), json::parse(format("{{{}}}", kHello)));
    EXPECT_FALSE(chat("").stream);
    EXPECT_TRUE(call.usage_wish.empty());
    EXPECT_FALSE(chat(R"("stream":true)").include_usage);
    EXPECT_EQ(chat(R"("stream":true,"stream_options":{"zz":1})").usage_wish,
              R"({"zz":1,"include_usage":true})");
    EXPECT_TRUE(chat(R"("stream":false)").usage_wish.empty());
}

TEST(OpenAiGenerate, LetsUnknownMembersTravelOnAndTakesNullForAbsent) {
    const auto call = chat(
        R"("dry_multiplier":0.8,"metadata":{"a":[1,null]},"stop":null,"temperature":null,"x":null)");
    EXPECT_EQ(call.request.body.at("dry_multiplier"), json::value(0.8));
    EXPECT_EQ(call.request.body.at("metadata"), json::parse(R"({"a":[1,null]})"));
    for (const char* name : {"stop", "temperature", "x"}) {
        EXPECT_FALSE(call.request.body.contains(name)) << name;
    }
}

TEST(OpenAiGenerate, TakesTheLastOfEqualMembers) {
    EXPECT_EQ(accepted(parse_chat,
                       R"({"model":"a","messages":3,)" + std::string(kHello) + R"(,"model":"b"})")
                  .request.model,
              "b");
}

struct Range {
    std::string_view name;
    std::string_view least;
    std::string_view below;
    std::string_view most;
    std::string_view above;
};

TEST(OpenAiGenerate, KeepsEveryNumberInItsRange) {
    constexpr Range kRanges[] = {
        {"temperature", "0", "-0.001", "100", "100.1"},
        {"top_p", "0", "-0.001", "1", "1.001"},
        {"min_p", "0.0", "-1", "1.0", "2"},
        {"top_k", "-1", "-2", "2147483647", "2147483648"},
        {"presence_penalty", "-10", "-10.5", "10", "11"},
        {"frequency_penalty", "-10", "-10.5", "10", "11"},
        {"repeat_penalty", "0", "-1", "100", "101"},
        {"repeat_last_n", "-1", "-2", "2147483647", "1e12"},
        {"n", "1", "0", "128", "129"},
        {"max_tokens", "-1", "-2", "2147483647", "2147483648"},
        {"max_completion_tokens", "-1", "-2", "2147483647", "18446744073709551615"},
        {"n_predict", "-1", "-2", "2147483647", "2147483648"},
    };
    for (const Range& range : kRanges) {
        const auto member = [&](std::string_view value) {
            return format(R"("{}":{})", range.name, value);
        };
        EXPECT_EQ(chat_refusal(member(range.least)), "accepted") << range.name;
        EXPECT_EQ(chat_refusal(member(range.most)), "accepted") << range.name;
        for (const auto wrong : {range.below, range.above, std::string_view("\"1\""),
                                 std::string_view("true"), std::string_view("[1]")}) {
            EXPECT_TRUE(
                chat_refusal(member(wrong)).starts_with(format("{0}: {0} must be a", range.name)))
                << member(wrong) << chat_refusal(member(wrong));
        }
    }
    EXPECT_EQ(chat_refusal(R"("n":0)"), "n: n must be a whole number from 1 to 128");
    EXPECT_EQ(chat_refusal(R"("top_p":2)"), "top_p: top_p must be a number from 0 to 1");
    EXPECT_EQ(chat_refusal(R"("top_logprobs":21,"logprobs":true)"),
              "top_logprobs: top_logprobs must be a whole number from 0 to 20");
    EXPECT_EQ(completion_refusal(R"("logprobs":21)"),
              "logprobs: logprobs must be a whole number from 0 to 20");
    EXPECT_EQ(completion_refusal(R"("best_of":129)"),
              "best_of: best_of must be a whole number from 1 to 128");
}

TEST(OpenAiGenerate, TakesAWholeNumberWrittenAsAFloat) {
    EXPECT_EQ(chat_refusal(R"("max_tokens":64.0)"), "accepted");
    EXPECT_EQ(chat_refusal(R"("seed":1e15)"), "accepted");
    EXPECT_EQ(chat_refusal(R"("max_tokens":64.5)"),
              "max_tokens: max_tokens must be a whole number from -1 to 2147483647");
    EXPECT_EQ(chat_refusal(R"("seed":1e17)"), "seed: seed must be a whole number");
    EXPECT_EQ(chat("\"n\":2.0").choices, 2U);
}

TEST(OpenAiGenerate, RefusesMembersOfTheWrongKind) {
    EXPECT_EQ(chat_refusal(R"("stream":1)"), "stream: stream must be true or false");
    EXPECT_EQ(chat_refusal(R"("stream_options":[])"),
              "stream_options: stream_options must be an object");
    EXPECT_EQ(chat_refusal(R"("user":7)"), "user: user must be a string");
    EXPECT_EQ(chat_refusal(R"("grammar":{})"), "grammar: grammar must be a string");
    EXPECT_EQ(chat_refusal(R"("tools":{})"), "tools: tools must be a list");
    EXPECT_EQ(chat_refusal(R"("functions":"f")"), "functions: functions must be a list");
    EXPECT_EQ(chat_refusal(R"("response_format":"json")"),
              "response_format: response_format must be an object");
    EXPECT_EQ(chat_refusal(R"("logprobs":1)"), "logprobs: logprobs must be true or false");
    EXPECT_EQ(chat_refusal(R"("model":3)"), "model: model must be a string");
    EXPECT_EQ(completion_refusal(R"("echo":"yes")"), "echo: echo must be true or false");
    EXPECT_EQ(completion_refusal(R"("suffix":["x"])"), "suffix: suffix must be a string");
}

TEST(OpenAiGenerate, RefusesWhatIsNoBody) {
    EXPECT_EQ(refusal(parse_chat, ""), ": the body is empty; a JSON object is expected");
    EXPECT_EQ(refusal(parse_chat, "[]"), ": the body must be a JSON object");
    EXPECT_TRUE(refusal(parse_chat, "{").starts_with(": the body is not valid JSON: "));
    EXPECT_TRUE(refusal(parse_chat, "{\"a\":\"\xFF\"}").starts_with(": the body is not valid"));
    EXPECT_TRUE(refusal(parse_chat, R"({"a":"\ud800"})").starts_with(": the body is not valid"));
    EXPECT_TRUE(refusal(parse_chat, R"({"a":NaN})").starts_with(": the body is not valid"));
    EXPECT_EQ(chat_refusal(R"("x":[{"y":-1e400}])"),
              ": the body holds a number beyond the range of a double");
    const auto nested = [](std::size_t depth) {
        return format(R"("x":{}{})", std::string(depth - 1, '['), std::string(depth - 1, ']'));
    };
    EXPECT_EQ(chat_refusal(nested(64)), "accepted");
    EXPECT_EQ(chat_refusal(nested(65)), ": the body is nested deeper than 64 levels");
}

TEST(OpenAiGenerate, KeepsKeysAndTextsWithNul) {
    const auto call = chat(R"("a\u0000b":"c\u0000d")");
    const json::value* kept = call.request.body.if_contains(std::string_view("a\0b", 3));
    ASSERT_NE(kept, nullptr);
    EXPECT_EQ(kept->as_string(), std::string_view("c\0d", 3));
    const auto other = parse_chat(R"({"model\u0000":"m","messages":[{"role":"user"}]})");
    ASSERT_TRUE(other);
    EXPECT_EQ(other->request.model, "");
}

TEST(OpenAiGenerate, LeavesAModelThatIsNotNamedToTheServer) {
    EXPECT_EQ(refusal(parse_chat, R"({"messages":[{"role":"user","content":""}]})"), "accepted");
    EXPECT_EQ(refusal(parse_completion, R"({"model":"","prompt":"p"})"), "accepted");
    EXPECT_EQ(refusal(parse_native, R"({"prompt":"p"})"), "accepted");
    EXPECT_EQ(refusal(parse_infill, R"({"input_prefix":"","input_suffix":""})"), "accepted");
}

TEST(OpenAiGenerate, TakesAStopOrAListOfThem) {
    const auto stops = [](std::size_t count) {
        std::string list = "\"stop\":[\"a\"";
        for (std::size_t i = 1; i < count; ++i) list += ",\"a\"";
        return list + "]";
    };
    constexpr std::string_view kWanted =
        "stop: stop must be a string or a list of at most 64 strings";
    EXPECT_EQ(chat_refusal(R"("stop":"x")"), "accepted");
    EXPECT_EQ(chat_refusal(R"("stop":[])"), "accepted");
    EXPECT_EQ(chat_refusal(stops(64)), "accepted");
    EXPECT_EQ(chat_refusal(stops(65)), kWanted);
    EXPECT_EQ(chat_refusal(R"("stop":["a",1])"), kWanted);
    EXPECT_EQ(chat_refusal(R"("stop":{})"), kWanted);
}

TEST(OpenAiGenerate, ChecksTheListOfMessages) {
    constexpr std::string_view kWanted =
        "messages: messages must be a list of at least one message";
    EXPECT_EQ(refusal(parse_chat, R"({"model":"m"})"), kWanted);
    EXPECT_EQ(messages_refusal("null"), kWanted);
    EXPECT_EQ(messages_refusal("[]"), kWanted);
    EXPECT_EQ(messages_refusal("{}"), "messages: messages must be a list");
    EXPECT_EQ(messages_refusal("[1]"), "messages[0]: messages[0] must be an object");
    EXPECT_EQ(messages_refusal(R"([{"role":"user","content":"x"},{"role":1}])"),
              "messages[1]: messages[1] has no role");
    EXPECT_EQ(messages_refusal(R"([{"role":"user","content":7}])"),
              "messages[0]: messages[0] must have a content that is a string or a list of at most "
              "10000 parts");
    const auto many = [](std::size_t count, std::string_view one) {
        std::string list = "[" + std::string(one);
        for (std::size_t i = 1; i < count; ++i) list += "," + std::string(one);
        return list + "]";
    };
    constexpr std::string_view kOne = R"({"role":"user","content":""})";
    EXPECT_EQ(messages_refusal(many(10'000, kOne)), "accepted");
    EXPECT_EQ(messages_refusal(many(10'001, kOne)),
              "messages: messages must be a list of at most 10000 messages");
    constexpr std::string_view kPart = R"({"type":"text","text":""})";
    const auto parts = [&](std::size_t count) {
        return format(R"([{{"role":"user","content":{}}}])", many(count, kPart));
    };
    EXPECT_EQ(messages_refusal(parts(10'000)), "accepted");
    EXPECT_TRUE(messages_refusal(parts(10'001)).starts_with("messages[0]: "));
}

TEST(OpenAiGenerate, FetchesNothingOnACallersWord) {
    const auto part = [](std::string_view inner) {
        return messages_refusal(format(
            R"([{{"role":"user","content":[{{"type":"text","text":"x"}},{{{}}}]}}])", inner));
    };
    constexpr std::string_view kAddress =
        "messages[0].content[1]: messages[0].content[1] names an image by its address; nothing is "
        "fetched: send the image itself as a data: URI";
    EXPECT_EQ(part(R"("type":"image_url","image_url":{"url":"http://10.0.0.1/x.png"})"), kAddress);
    EXPECT_EQ(part(R"("type":"image_url","image_url":{"url":"file:///etc/passwd"})"), kAddress);
    EXPECT_EQ(part(R"("type":"image_url","image_url":"https://a/b")"), kAddress);
    EXPECT_EQ(part(R"("type":"image_url","image_url":{"url":"data:image/png;base64,AA=="})"),
              "accepted");
    constexpr std::string_view kNone =
        "messages[0].content[1]: messages[0].content[1] has no image_url.url";
    EXPECT_EQ(part(R"("type":"image_url")"), kNone);
    EXPECT_EQ(part(R"("type":"image_url","image_url":{"url":3})"), kNone);
    constexpr std::string_view kAudio =
        "messages[0].content[1]: messages[0].content[1] must carry input_audio.data in base64, and "
        "no address";
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"data":"AAAA","format":"wav"})"),
              "accepted");
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"url":"http://a"})"), kAudio);
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"data":"AA","url":"x"})"), kAudio);
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"data":"file:///etc/passwd"})"), kAudio);
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"data":"http://a/b.wav"})"), kAudio);
    EXPECT_EQ(part(R"("type":"input_audio","input_audio":{"data":3})"), kAudio);
    EXPECT_EQ(part(R"("type":"file","file":{})"),
              "messages[0].content[1]: messages[0].content[1] has the type \"file\"; text, "
              "image_url and input_audio are known");
    EXPECT_EQ(messages_refusal(R"([{"role":"user","content":[3]}])"),
              "messages[0].content[0]: messages[0].content[0] must be an object");
}

TEST(OpenAiGenerate, PutsMessagesIntoWordsEnginesKnow) {
    EXPECT_EQ(messages_of(R"([{"role":"developer","content":"be brief"}])"),
              json::parse(R"([{"role":"system","content":"be brief"}])"));
    EXPECT_EQ(messages_of(R"([{"role":"assistant","content":"a","reasoning":"b"}])"),
              json::parse(R"([{"role":"assistant","content":"a","reasoning_content":"b"}])"));
    EXPECT_EQ(
        messages_of(R"([{"role":"assistant","content":[{"type":"refusal","refusal":"no"}]}])"),
        json::parse(R"([{"role":"assistant","content":[{"type":"text","text":"no"}]}])"));
    EXPECT_EQ(
        messages_of(
            R"([{"role":"user","content":[{"type":"image_url","image_url":"data:image/png;base64,A"}]}])"),
        json::parse(
            R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,A"}}]}])"));
}

TEST(OpenAiGenerate, ChecksToolsAndTheChoiceOfOne) {
    constexpr std::string_view kTools =
        R"("tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b"}}])";
    const auto with = [&](std::string_view choice) {
        return format(R"({},"tool_choice":{})", kTools, choice);
    };
    for (const char* word : {"\"none\"", "\"auto\"", "\"required\"", "null"}) {
        EXPECT_EQ(chat(with(word)).request.body.at("tools").as_array().size(), 2U) << word;
    }
    const auto chosen = chat(with(R"({"type":"function","function":{"name":"b"}})"));
    EXPECT_EQ(chosen.request.body.at("tool_choice"), json::value("required"));
    EXPECT_EQ(chosen.request.body.at("tools"),
              json::parse(R"([{"type":"function","function":{"name":"b"}}])"));
    EXPECT_EQ(chat_refusal(with(R"({"type":"function","function":{"name":"c"}})")),
              "tool_choice: tool_choice must be the name of one of the tools");
    constexpr std::string_view kWanted =
        "tool_choice: tool_choice must be \"none\", \"auto\", \"required\" or an object that names "
        "one of the tools";
    EXPECT_EQ(chat_refusal(with("\"any\"")), kWanted);
    EXPECT_EQ(chat_refusal(with("1")), kWanted);
    EXPECT_EQ(chat_refusal(with("{}")), kWanted);
    EXPECT_EQ(chat_refusal(R"("tool_choice":"required")"),
              "tool_choice: tool_choice must be \"none\" or \"auto\" where there are no tools");
    EXPECT_FALSE(chat(R"("tools":[],"tool_choice":"auto")").request.body.contains("tools"));
    EXPECT_EQ(chat_refusal(R"("tools":[{"function":{"name":"a"}},{"function":{}}])"),
              "tools[1]: tools[1] must be a function with a name");
    EXPECT_EQ(chat_refusal(R"("tools":["a"])"),
              "tools[0]: tools[0] must be a function with a name");
    const auto tools = [](std::size_t count) {
        std::string list = R"("tools":[{"function":{"name":"a"}})";
        for (std::size_t i = 1; i < count; ++i) list += R"(,{"function":{"name":"a"}})";
        return list + "]";
    };
    EXPECT_EQ(chat_refusal(tools(1024)), "accepted");
    EXPECT_EQ(chat_refusal(tools(1025)), "tools: tools must be a list of at most 1024 tools");
}

TEST(OpenAiGenerate, TranslatesFunctionsIntoTools) {
    const auto call =
        chat(R"("functions":[{"name":"f","parameters":{}}],"function_call":{"name":"f"})");
    EXPECT_TRUE(call.functions);
    const json::object& body = call.request.body;
    EXPECT_EQ(body.at("tools"),
              json::parse(R"([{"type":"function","function":{"name":"f","parameters":{}}}])"));
    EXPECT_EQ(body.at("tool_choice"), json::value("required"));
    EXPECT_EQ(body.at("parallel_tool_calls"), json::value(false));
    EXPECT_FALSE(body.contains("functions"));
    EXPECT_FALSE(body.contains("function_call"));
    EXPECT_EQ(
        chat(R"("functions":[{"name":"f"}],"function_call":"none")").request.body.at("tool_choice"),
        json::value("none"));
    EXPECT_EQ(chat_refusal(R"("functions":[{}])"),
              "functions[0]: functions[0] must be a function with a name");
    EXPECT_EQ(chat_refusal(R"("functions":[{"name":"f"}],"function_call":7)"),
              "function_call: function_call must be \"none\", \"auto\" or an object with a name");
    // Where both are given, tools count.
    EXPECT_FALSE(
        chat(R"("functions":[{"name":"f"}],"tools":[{"function":{"name":"t"}}])").functions);
}

TEST(OpenAiGenerate, TranslatesCallsOfFunctionsInMessages) {
    EXPECT_EQ(messages_of(
                  R"([{"role":"assistant","function_call":{"name":"f","arguments":"{}"}},
                {"role":"function","name":"f","content":"1"},
                {"role":"assistant","content":null,"function_call":{"name":"g","arguments":"{}"}},
                {"role":"function","name":"g","content":"2"}])"),
              json::parse(
                  R"([{"role":"assistant","content":null,
                 "tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},
                {"role":"tool","name":"f","content":"1","tool_call_id":"call_1"},
                {"role":"assistant","content":null,
                 "tool_calls":[{"id":"call_2","type":"function","function":{"name":"g","arguments":"{}"}}]},
                {"role":"tool","name":"g","content":"2","tool_call_id":"call_2"}])"));
}

TEST(OpenAiGenerate, AsksForOneAlternativeWhereTheCallerWantsNone) {
    auto call = chat(R"("logprobs":true)");
    EXPECT_EQ(call.top_logprobs, 0U);
    EXPECT_EQ(call.request.body.at("top_logprobs"), json::value(1U));
    call = chat(R"("logprobs":true,"top_logprobs":5)");
    EXPECT_EQ(call.top_logprobs, 5U);
    EXPECT_EQ(call.request.body.at("top_logprobs"), json::value(5U));
    call = chat(R"("logprobs":false,"top_logprobs":0)");
    EXPECT_EQ(call.top_logprobs, std::nullopt);
    EXPECT_FALSE(call.request.body.contains("logprobs"));
    EXPECT_FALSE(call.request.body.contains("top_logprobs"));
    EXPECT_EQ(chat_refusal(R"("top_logprobs":2)"),
              "top_logprobs: top_logprobs needs logprobs to be true");
    call = completion(R"("logprobs":0)");
    EXPECT_EQ(call.top_logprobs, 0U);
    EXPECT_EQ(call.request.body.at("n_probs"), json::value(1U));
    EXPECT_FALSE(call.request.body.contains("logprobs"));
    EXPECT_EQ(completion("").top_logprobs, std::nullopt);
}

TEST(OpenAiGenerate, TakesPromptsOfEveryForm) {
    const auto prompt = [](std::string_view value) {
        return refusal(parse_completion, format(R"({{"model":"m","prompt":{}}})", value));
    };
    for (const char* sound :
         {R"("x")", R"("")", R"(["a","b"])", "[1,2]", "[[1],[2,3]]", R"(["a",1])"}) {
        EXPECT_EQ(prompt(sound), "accepted") << sound;
    }
    for (const char* wrong : {"[]", "null", "3", "true"}) {
        EXPECT_EQ(prompt(wrong),
                  "prompt: prompt must be a string, a list of strings or a list of token ids")
            << wrong;
    }
    const auto list = [](std::size_t count, std::string_view one) {
        std::string text = "[" + std::string(one);
        for (std::size_t i = 1; i < count; ++i) text += "," + std::string(one);
        return text + "]";
    };
    EXPECT_EQ(prompt(list(2048, "\"a\"")), "accepted");
    EXPECT_EQ(prompt(list(2049, "\"a\"")), "prompt: prompt must be a list of at most 2048 prompts");
    EXPECT_EQ(prompt(list(100'000, "7")), "accepted");  // one prompt
}

TEST(OpenAiGenerate, TurnsASuffixIntoAnInfill) {
    const auto call = completion(R"("suffix":"after","max_tokens":4,"a":1,"b":2,"c":3,"d":4)");
    EXPECT_EQ(call.request.operation, Operation::Infill);
    EXPECT_EQ(call.form, Form::Completion);
    EXPECT_EQ(
        json::value(call.request.body),
        json::parse(
            R"({"max_tokens":4,"a":1,"b":2,"c":3,"d":4,"input_prefix":"p","input_suffix":"after"})"));
    EXPECT_EQ(completion(R"("suffix":null)").request.operation, Operation::Completion);
    EXPECT_EQ(refusal(parse_completion, R"({"model":"m","prompt":["p"],"suffix":"s"})"),
              "prompt: prompt must be a string where there is a suffix");
}

TEST(OpenAiGenerate, AnswersEchoItself) {
    auto call = completion(R"("echo":true)");
    EXPECT_EQ(call.echo, std::vector<std::string>{"p"});
    EXPECT_FALSE(call.request.body.contains("echo"));
    EXPECT_TRUE(completion(R"("echo":false)").echo.empty());
    call = accepted(parse_completion, R"({"model":"m","prompt":["a","b"],"echo":true})");
    EXPECT_EQ(call.echo, (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(refusal(parse_completion, R"({"model":"m","prompt":[1,2],"echo":true})"),
              "prompt: prompt must be a string or a list of strings where echo is true");
    EXPECT_EQ(completion_refusal(R"("echo":true,"logprobs":1)"),
              "echo: echo goes without logprobs: the tokens of a prompt have none here");
}

TEST(OpenAiGenerate, MakesNoAnswersThatAreNotReturned) {
    EXPECT_FALSE(completion(R"("n":3,"best_of":3)").request.body.contains("best_of"));
    EXPECT_FALSE(completion(R"("best_of":1)").request.body.contains("best_of"));
    EXPECT_EQ(completion_refusal(R"("n":1,"best_of":3)"),
              "best_of: best_of must be equal to n: only answers that are returned are made");
}

TEST(OpenAiGenerate, TakesNoTokensAsANumberOfTokens) {
    EXPECT_EQ(chat(R"("max_tokens":0)").request.body.at("max_tokens"), json::value(0));
}

TEST(OpenAiGenerate, ParsesTheRoutesOfLlamaServer) {
    auto call = accepted(parse_native, R"({"prompt":["a","b"],"n_predict":3,"stream":true})");
    EXPECT_EQ(call.request.operation, Operation::Native);
    EXPECT_EQ(call.form, Form::Native);
    EXPECT_TRUE(call.stream);
    EXPECT_EQ(refusal(parse_native, "{}"),
              "prompt: prompt must be a string, a list of strings or a list of token ids");
    call = accepted(
        parse_infill,
        R"({"input_prefix":"a","input_suffix":"b","input_extra":[],"prompt":"c","samplers":[]})");
    EXPECT_EQ(call.request.operation, Operation::Infill);
    EXPECT_EQ(call.form, Form::Native);
    EXPECT_TRUE(call.request.body.contains("samplers"));
    EXPECT_EQ(refusal(parse_infill, R"({"input_prefix":"a"})"),
              "input_suffix: input_suffix must be a string, and is required");
    EXPECT_EQ(refusal(parse_infill, R"({"input_suffix":"a"})"),
              "input_prefix: input_prefix must be a string, and is required");
    EXPECT_EQ(refusal(parse_infill, R"({"input_prefix":1,"input_suffix":"a"})"),
              "input_prefix: input_prefix must be a string");
    EXPECT_EQ(refusal(parse_infill, R"({"input_prefix":"","input_suffix":"","input_extra":"x"})"),
              "input_extra: input_extra must be a list");
}

// Without them the end of the engine's stream could not be told.
TEST(OpenAiGenerate, KeepsTheSelectionOfFieldsFromTheEngine) {
    const auto call = accepted(
        parse_native, R"({"prompt":"a","response_fields":["content","timings/prompt_n"]})");
    EXPECT_EQ(call.fields, (std::vector<std::string>{"content", "timings/prompt_n"}));
    EXPECT_FALSE(call.request.body.contains("response_fields"));
    constexpr std::string_view kWanted =
        "response_fields: response_fields must be a list of at most 256 strings";
    EXPECT_EQ(refusal(parse_native, R"({"prompt":"a","response_fields":["a",3]})"), kWanted);
    EXPECT_EQ(refusal(parse_native, R"({"prompt":"a","response_fields":"a"})"), kWanted);
    const auto fields = [](std::size_t count) {
        std::string list = R"({"prompt":"a","response_fields":["x")";
        for (std::size_t i = 1; i < count; ++i) list += ",\"x\"";
        return list + "]}";
    };
    EXPECT_EQ(refusal(parse_native, fields(256)), "accepted");
    EXPECT_EQ(refusal(parse_native, fields(257)), kWanted);
}

TEST(OpenAiGenerate, ParsesInquiries) {
    using inference::Inquiry;
    const auto request =
        parse_inquiry(Inquiry::Tokenize, R"({"model":"m","content":"x","with_pieces":true})");
    ASSERT_TRUE(request);
    EXPECT_EQ(request->model, "m");
    EXPECT_EQ(request->inquiry, Inquiry::Tokenize);
    EXPECT_EQ(json::value(request->body), json::parse(R"({"content":"x","with_pieces":true})"));
    EXPECT_FALSE(parse_inquiry(Inquiry::Detokenize, "[]"));
    const auto bad = parse_inquiry(Inquiry::ApplyTemplate, "{}");
    ASSERT_FALSE(bad);
    EXPECT_EQ(bad.error().param, "messages");
}

}  // namespace
}  // namespace hearth::api::openai
