#include "api/anthropic_generate.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/testing.h"
#include "base/format.h"

// What becomes of a sound request is recorded in testdata/anthropic.
namespace hearth::api::anthropic {
namespace {

namespace json = boost::json;

std::string hello(std::string_view more) {
    return format(
        R"({{"model":"m","max_tokens":8,"messages":[{{"role":"user","content":"x"}}]{}}})", more);
}
std::string talk(std::string_view messages) {
    return format(R"({{"model":"m","max_tokens":8,"messages":{}}})", messages);
}
std::string user(std::string_view blocks) {
    return talk(format(R"([{{"role":"user","content":[{}]}}])", blocks));
}
std::string assistant(std::string_view blocks) {
    return talk(format(R"([{{"role":"assistant","content":[{}]}}])", blocks));
}

json::object body_of(std::string_view text) {
    auto call = parse_messages(text);
    EXPECT_TRUE(call) << text << ": " << (call ? "" : call.error().message);
    return call ? std::move(call->request.body) : json::object();
}

// "PARAM: MESSAGE", and which of the two kinds.
std::string refused(std::string_view text, Code code = Code::InvalidArgument) {
    const auto call = parse_messages(text);
    const auto translated =
        call ? check_translatable(call->request) : Result<void>(std::unexpected(call.error()));
    if (translated) return "accepted";
    const Error& error = translated.error();
    EXPECT_EQ(error.code, code) << text;
    EXPECT_EQ(call.has_value(), code == Code::Unsupported) << "who takes it as it is may do it";
    if (call) EXPECT_FALSE(parse_count_tokens(text)) << "that goes to nobody as it is";
    EXPECT_TRUE(error.message.contains(error.param)) << error.message;
    return error.param;
}

TEST(AnthropicGenerate, NamesTheMemberThatIsWrong) {
    EXPECT_EQ(refused(hello(R"(,"model":3)")), "model");
    EXPECT_EQ(refused(hello(R"(,"max_tokens":0)")), "max_tokens");
    EXPECT_EQ(refused(hello(R"(,"max_tokens":1.5)")), "max_tokens");
    EXPECT_EQ(refused(hello(R"(,"max_tokens":2147483648)")), "max_tokens");
    EXPECT_EQ(refused(hello(R"(,"max_tokens":null)")), "max_tokens");
    EXPECT_EQ(refused(hello(R"(,"stream":"yes")")), "stream");
    EXPECT_EQ(refused(hello(R"(,"temperature":1.01)")), "temperature");
    EXPECT_EQ(refused(hello(R"(,"temperature":-0.1)")), "temperature");
    EXPECT_EQ(refused(hello(R"(,"top_p":2)")), "top_p");
    EXPECT_EQ(refused(hello(R"(,"top_k":-1)")), "top_k");
    EXPECT_EQ(refused(hello(R"(,"metadata":"u")")), "metadata");
    EXPECT_EQ(refused(hello(R"(,"stop_sequences":"END")")), "stop_sequences");
    EXPECT_EQ(refused(hello(R"(,"stop_sequences":["a",1])")), "stop_sequences");
    EXPECT_EQ(refused(hello(R"(,"stop_sequences":[""])")), "stop_sequences");
    EXPECT_EQ(refused(hello(R"(,"chat_template_kwargs":[])")), "chat_template_kwargs");
    EXPECT_EQ(refused("[]"), "");
    EXPECT_EQ(refused(hello(R"(,"max_tokens":1,"temperature":1,"top_k":0)")), "accepted");
}

TEST(AnthropicGenerate, TakesAsManyStopSequencesAsItsBound) {
    const auto stops = [](std::size_t count) {
        std::string list;
        for (std::size_t i = 0; i < count; ++i) list += format("{}\"s{}\"", i > 0 ? "," : "", i);
        return hello(format(R"(,"stop_sequences":[{}])", list));
    };
    EXPECT_EQ(body_of(stops(64)).at("stop").as_array().size(), 64U);
    EXPECT_EQ(refused(stops(65)), "stop_sequences");
    EXPECT_FALSE(body_of(hello(R"(,"stop_sequences":[])")).contains("stop"));
    EXPECT_FALSE(body_of(hello("")).contains("verbose")) << "a long event for nothing";
}

TEST(AnthropicGenerate, NamesTheMessageAndTheBlockThatAreWrong) {
    EXPECT_EQ(refused(R"({"model":"m","max_tokens":8})"), "messages");
    EXPECT_EQ(refused(talk("[]")), "messages");
    EXPECT_EQ(refused(talk("{}")), "messages");
    EXPECT_EQ(refused(talk("[1]")), "messages[0]");
    EXPECT_EQ(refused(talk(R"([{"role":"tool","content":"x"}])")), "messages[0].role");
    EXPECT_EQ(refused(talk(R"([{"role":"user","content":"x"},{"role":"user"}])")),
              "messages[1].content");
    EXPECT_EQ(refused(user("")), "messages[0].content");
    EXPECT_EQ(refused(user("3")), "messages[0].content[0]");
    EXPECT_EQ(refused(user(R"({"type":"text","text":"a"},{"type":"text"})")),
              "messages[0].content[1].text");
    EXPECT_EQ(refused(user(R"({"type":"tool_use","id":"a","name":"f","input":{}})")),
              "messages[0].content[0].type");
    EXPECT_EQ(refused(user(R"({"type":"poem"})")), "messages[0].content[0].type");
    EXPECT_EQ(refused(assistant(R"({"type":"tool_result","tool_use_id":"a"})")),
              "messages[0].content[0].type");
    EXPECT_EQ(refused(assistant(R"({"type":"thinking"})")), "messages[0].content[0].thinking");
    EXPECT_EQ(refused(assistant(R"({"type":"tool_use","name":"f","input":{}})")),
              "messages[0].content[0].id");
    EXPECT_EQ(refused(assistant(R"({"type":"tool_use","id":"a","input":{}})")),
              "messages[0].content[0].name");
    EXPECT_EQ(refused(assistant(R"({"type":"tool_use","id":"a","name":"f","input":"{}"})")),
              "messages[0].content[0].input");
    EXPECT_EQ(refused(user(R"({"type":"tool_result"})")), "messages[0].content[0].tool_use_id");
    EXPECT_EQ(refused(user(R"({"type":"tool_result","tool_use_id":"a","content":3})")),
              "messages[0].content[0].content");
    EXPECT_EQ(
        refused(user(R"({"type":"tool_result","tool_use_id":"a","content":[{"type":"poem"}]})")),
        "messages[0].content[0].content[0].type");
    EXPECT_EQ(refused(hello(R"(,"system":3)")), "system");
    EXPECT_EQ(refused(hello(R"(,"system":[{"type":"image"}])")), "system[0].type");
}

TEST(AnthropicGenerate, FetchesNothingOnACallersWord) {
    const auto image = [](std::string_view source) {
        return user(format(R"({{"type":"image","source":{}}})", source));
    };
    const std::string where = "messages[0].content[0].source";
    EXPECT_EQ(refused(image(R"({"type":"url","url":"http://a/b.png"})"), Code::Unsupported), where);
    EXPECT_EQ(refused(image(R"({"type":"file","file_id":"f"})"), Code::Unsupported), where);
    EXPECT_EQ(refused(image("3")), where);
    EXPECT_EQ(refused(image(R"({"type":"poem"})")), where + ".type");
    EXPECT_EQ(refused(image(R"({"type":"base64","media_type":"text/html","data":"AA"})")),
              where + ".media_type");
    EXPECT_EQ(refused(image(R"({"type":"base64","media_type":"image/png"})")), where + ".data");
    const auto document = [](std::string_view source) {
        return user(format(R"({{"type":"document","source":{}}})", source));
    };
    for (const char* source :
         {R"({"type":"url","url":"http://a/b.pdf"})", R"({"type":"file","file_id":"f"})",
          R"({"type":"base64","media_type":"application/pdf","data":"AA"})"}) {
        EXPECT_EQ(refused(document(source), Code::Unsupported), where) << source;
    }
    EXPECT_EQ(refused(document(R"({"type":"text"})")), where + ".data");
    EXPECT_EQ(refused(document(R"({"type":"poem"})")), where + ".type");
    EXPECT_EQ(
        refused(document(R"({"type":"content","content":[{"type":"document","source":{}}]})")),
        where + ".content[0].type");
}

TEST(AnthropicGenerate, OffersNothingThatOnlyTheirServersDo) {
    EXPECT_EQ(refused(hello(R"(,"tools":[{"type":"web_search_20250305","name":"web_search"}])"),
                      Code::Unsupported),
              "tools[0].type");
    EXPECT_EQ(refused(hello(R"(,"mcp_servers":[{"url":"http://a"}])"), Code::Unsupported),
              "mcp_servers");
    EXPECT_EQ(refused(hello(R"(,"mcp_servers":[])")), "accepted");
    for (const char* type : {"server_tool_use", "web_search_tool_result", "mcp_tool_use"}) {
        EXPECT_EQ(refused(assistant(format(R"({{"type":"{}"}})", type)), Code::Unsupported),
                  "messages[0].content[0]")
            << type;
    }
}

TEST(AnthropicGenerate, ChecksToolsAndTheirChoice) {
    EXPECT_EQ(refused(hello(R"(,"tools":[3])")), "tools[0]");
    EXPECT_EQ(refused(hello(R"(,"tools":[{"input_schema":{}}])")), "tools[0].name");
    EXPECT_EQ(refused(hello(R"(,"tools":[{"name":"f"}])")), "tools[0].input_schema");
    EXPECT_EQ(refused(hello(R"(,"tools":[{"name":"f","input_schema":{},"description":3}])")),
              "tools[0].description");
    const auto chosen = [](std::string_view choice) {
        return hello(format(R"(,"tools":[{{"type":"custom","name":"f","input_schema":{{}}}},)"
                            R"({{"name":"g","input_schema":{{}}}}],"tool_choice":{})",
                            choice));
    };
    EXPECT_EQ(refused(chosen("\"auto\"")), "tool_choice");
    EXPECT_EQ(refused(chosen(R"({"type":"some"})")), "tool_choice.type");
    EXPECT_EQ(refused(chosen(R"({"type":"tool","name":"h"})")), "tool_choice.name");
    EXPECT_EQ(refused(chosen(R"({"type":"tool"})")), "tool_choice.name");
    EXPECT_EQ(refused(chosen(R"({"type":"auto","disable_parallel_tool_use":1})")),
              "tool_choice.disable_parallel_tool_use");
    EXPECT_EQ(refused(hello(R"(,"tool_choice":{"type":"any"})")), "tool_choice.type");
    EXPECT_EQ(refused(hello(R"(,"tool_choice":{"type":"tool","name":"f"})")), "tool_choice.name");
    EXPECT_EQ(body_of(chosen(R"({"type":"any"})")).at("tool_choice"), json::value("required"));
    EXPECT_EQ(body_of(chosen(R"({"type":"none"})")).at("tool_choice"), json::value("none"));
    const json::object body = body_of(chosen(R"({"type":"tool","name":"g"})"));
    EXPECT_EQ(body.at("tool_choice"), json::value("required"));
    ASSERT_EQ(body.at("tools").as_array().size(), 1U);
    EXPECT_EQ(body.at("tools").at(0).at("function").at("name"), json::value("g"));
    EXPECT_FALSE(body.contains("parallel_tool_calls"));
}

TEST(AnthropicGenerate, ReadsHowMuchTheModelShouldThink) {
    EXPECT_EQ(refused(hello(R"(,"thinking":true)")), "thinking");
    EXPECT_EQ(refused(hello(R"(,"thinking":{"type":"on"})")), "thinking.type");
    EXPECT_EQ(refused(hello(R"(,"thinking":{"type":"enabled"})")), "thinking.budget_tokens");
    EXPECT_EQ(refused(hello(R"(,"thinking":{"type":"enabled","budget_tokens":0})")),
              "thinking.budget_tokens");
    EXPECT_EQ(refused(hello(R"(,"thinking":{"type":"adaptive","display":"all"})")),
              "thinking.display");
    json::object body = body_of(hello(R"(,"thinking":{"type":"enabled","budget_tokens":1})"));
    EXPECT_EQ(body.at("thinking_budget_tokens"), json::value(1));
    EXPECT_EQ(body.at("chat_template_kwargs"), json::parse(R"({"enable_thinking":true})"));
    body = body_of(hello(R"(,"thinking":{"type":"disabled"},"chat_template_kwargs":{"a":1})"));
    EXPECT_EQ(body.at("chat_template_kwargs"), json::parse(R"({"a":1,"enable_thinking":false})"));
    EXPECT_EQ(body.at("reasoning_effort"), json::value("none"));
    EXPECT_FALSE(body_of(hello("")).contains("chat_template_kwargs"));
    EXPECT_EQ(refused(hello(R"(,"output_config":{"effort":"some"})")), "output_config.effort");
    EXPECT_EQ(body_of(hello(R"(,"output_config":{"effort":"max"})")).at("reasoning_effort"),
              json::value("max"));
}

TEST(AnthropicGenerate, ReadsTheFormOfTheAnswer) {
    EXPECT_EQ(refused(hello(R"(,"output_config":{"format":"json"})")), "output_config.format");
    EXPECT_EQ(refused(hello(R"(,"output_config":{"format":{"type":"json"}})")),
              "output_config.format.type");
    EXPECT_EQ(refused(hello(R"(,"output_format":{"type":"json_schema"})")), "output_format.schema");
    const json::object body =
        body_of(hello(R"(,"output_format":{"type":"json_schema","schema":{"type":"object"}})"));
    EXPECT_EQ(body.at("response_format").at("json_schema").at("schema"),
              json::parse(R"({"type":"object"})"));
}

TEST(AnthropicGenerate, PassesOverTheAssistantsSilence) {
    const json::object body =
        body_of(talk(R"([{"role":"user","content":"a"},{"role":"assistant","content":[]},)"
                     R"({"role":"user","content":"b"}])"));
    EXPECT_EQ(body.at("messages"),
              json::parse(R"([{"role":"user","content":"a"},{"role":"user","content":"b"}])"));
}

TEST(AnthropicGenerate, LeavesTheStampOutOfASystemPromptAndNothingElse) {
    const auto system = [](std::string_view text) {
        const json::object body =
            body_of(hello(format(R"(,"system":{})", json::serialize(json::value(text)))));
        return std::string(body.at("messages").at(0).at("content").as_string());
    };
    EXPECT_EQ(system("x-anthropic-billing-header: v=1; cch=a5145;You are"),
              "x-anthropic-billing-header: v=1;You are");
    EXPECT_EQ(system("x-anthropic-billing-header: v=1; cch=a5145"),
              "x-anthropic-billing-header: v=1; cch=a5145");
    EXPECT_EQ(system("x-anthropic-billing-header: v=1\nwith cch=1;"),
              "x-anthropic-billing-header: v=1\nwith cch=1;");
    EXPECT_EQ(system("What is cch=a5145; about?"), "What is cch=a5145; about?");
}

TEST(AnthropicGenerate, KeepsTheSignatureOfAThinkingThatIsNotOurs) {
    const auto said = [](std::string_view blocks) {
        return parse_messages(talk(format(R"([{{"role":"user","content":"a"}},)"
                                          R"({{"role":"assistant","content":[{}]}},)"
                                          R"({{"role":"user","content":"b"}}])",
                                          blocks)));
    };
    const auto message = [&](std::string_view blocks) {
        return said(blocks)->request.body.at("messages").at(1);
    };
    const std::string theirs = R"({"type":"thinking","thinking":"t","signature":"c2ln"})";
    const std::string ours = R"({"type":"thinking","thinking":"u","signature":"hearth"})";
    EXPECT_EQ(message(theirs), json::parse(R"({"role":"assistant","content":"",)"
                                           R"("reasoning_content":"t",)"
                                           R"("reasoning_signature":"c2ln"})"));
    EXPECT_FALSE(said(theirs)->has_own_thinking);
    EXPECT_EQ(message(ours),
              json::parse(R"({"role":"assistant","content":"","reasoning_content":"u"})"));
    EXPECT_TRUE(said(ours)->has_own_thinking);
    EXPECT_EQ(message(theirs + "," + theirs),
              json::parse(R"({"role":"assistant","content":"","reasoning_content":"tt"})"))
        << "no signature holds for both";
    EXPECT_EQ(message(R"({"type":"thinking","thinking":"","signature":"c2ln"})")
                  .at("reasoning_signature"),
              json::value("c2ln"))
        << "thinking of which nothing is told";
}

TEST(AnthropicGenerate, MarksAResultThatIsAnError) {
    const auto result = [](std::string_view content) {
        const json::object body = body_of(user(
            format(R"({{"type":"tool_result","tool_use_id":"a","is_error":true{}}})", content)));
        return body.at("messages").at(0).at("content");
    };
    EXPECT_EQ(result(R"(,"content":"gone")"), json::value("Error: gone"));
    EXPECT_EQ(result(""), json::value("Error: "));
    const json::value pictured = result(
        R"(,"content":[{"type":"image","source":{"type":"base64","media_type":"image/gif","data":"AA"}}])");
    EXPECT_EQ(pictured.at(0).at("text"), json::value("Error: "));
    EXPECT_EQ(pictured.at(1).at("image_url").at("url"), json::value("data:image/gif;base64,AA"));
}

TEST(AnthropicGenerate, NeedsAModelThatSeesForImages) {
    const auto seeing = parse_messages(user(
        R"({"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA"}})"));
    ASSERT_TRUE(seeing);
    models::Model model = sample_model("m");
    model.capabilities = {"completion"};
    const auto blind = check_capabilities(*seeing, model);
    ASSERT_FALSE(blind);
    EXPECT_EQ(blind.error().param, "model");
    EXPECT_TRUE(check_capabilities(*parse_messages(hello("")), model));
    model.capabilities = {"completion", "vision"};
    EXPECT_TRUE(check_capabilities(*seeing, model));
}

}  // namespace
}  // namespace hearth::api::anthropic
