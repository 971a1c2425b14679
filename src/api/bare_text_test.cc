#include "api/bare_text.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "api/openai_generate.h"
#include "base/format.h"

// Routes that go on with a bare text: what they share with a chat, and what they leave to it.
namespace hearth::api {
namespace {

namespace json = boost::json;
using openai::GenerateCall;
using ParseBare = Result<GenerateCall> (*)(std::string_view);

Result<GenerateCall> bare(ParseBare parse, std::string_view more) {
    return parse(format(R"({{"prompt":"p","input_prefix":"a","input_suffix":"b",{}}})", more));
}
// "param: message", or what shows that nothing was refused.
std::string bare_refusal(ParseBare parse, std::string_view body) {
    const auto call = parse(body);
    if (call) return "accepted";
    EXPECT_EQ(call.error().code, Code::InvalidArgument) << body;
    return call.error().param + ": " + call.error().message;
}

constexpr ParseBare kParsers[] = {openai::parse_completion, openai::parse_native,
                                  openai::parse_infill};

TEST(BareText, PutsTheFormOfItsAnswerIntoWordsEnginesKnow) {
    const json::value schema = json::parse(R"({"type":"string"})");
    for (const ParseBare parse : kParsers) {
        for (const char* form :
             {R"({"type":"json_schema","json_schema":{"name":"a","schema":{"type":"string"}}})",
              R"({"type":"json_schema","schema":{"type":"string"}})",
              R"({"type":"json_object","schema":{"type":"string"}})"}) {
            const auto call = bare(parse, format(R"("response_format":{})", form));
            ASSERT_TRUE(call) << call.error().message;
            EXPECT_EQ(call->request.body.at("json_schema"), schema) << form;
            EXPECT_FALSE(call->request.body.contains("response_format")) << form;
        }
    }
    const auto any = bare(openai::parse_native, R"("response_format":{"type":"json_object"})");
    EXPECT_EQ(any->request.body.at("json_schema"), json::parse(R"({"type":"object"})"));
    const auto text = bare(openai::parse_native, R"("response_format":{"type":"text"})");
    EXPECT_FALSE(text->request.body.contains("json_schema"));
}

TEST(BareText, RefusesFormsItDoesNotKnow) {
    const auto refused = [](std::string_view form) {
        return bare_refusal(openai::parse_completion,
                            format(R"({{"prompt":"p","response_format":{}}})", form));
    };
    EXPECT_TRUE(
        refused(R"({"type":"json_schema"})").starts_with("response_format.json_schema.schema: "));
    EXPECT_TRUE(refused(R"({"type":"poem"})").starts_with("response_format.type: "));
    EXPECT_TRUE(refused("7").starts_with("response_format: "));
}

TEST(BareText, RefusesTools) {
    for (const ParseBare parse : kParsers) {
        const auto call = bare(parse, R"("tools":[{"type":"function","function":{"name":"f"}}])");
        ASSERT_FALSE(call);
        EXPECT_EQ(call.error().code, Code::InvalidArgument);
        EXPECT_EQ(call.error().message,
                  "tools belong to a conversation: send it to /v1/chat/completions");
        const auto none = bare(parse, R"("tools":[])");
        ASSERT_TRUE(none) << none.error().message;
        EXPECT_FALSE(none->request.body.contains("tools"));
    }
}

TEST(BareText, TakesImagesOnlyWhereAnEngineDoes) {
    constexpr std::string_view kImage = R"({"prompt_string":"x","multimodal_data":["aa"]})";
    EXPECT_EQ(bare_refusal(openai::parse_native, format(R"({{"prompt":{}}})", kImage)), "accepted");
    for (const std::string& prompt : {std::string(kImage), format(R"(["a",{}])", kImage)}) {
        EXPECT_EQ(bare_refusal(openai::parse_completion, format(R"({{"prompt":{}}})", prompt)),
                  "prompt: prompt must be texts or token ids; images go to /v1/chat/completions");
    }
    for (const char* fatal : {R"({"prompt_string":"x<__media_a__>","multimodal_data":["aa"]})",
                              R"(["a",{"prompt_string":"<__media__>","multimodal_data":["aa"]}])",
                              R"({"prompt_string":7,"multimodal_data":["aa"]})"}) {
        EXPECT_TRUE(bare_refusal(openai::parse_native, format(R"({{"prompt":{}}})", fatal))
                        .starts_with("prompt.prompt_string: "))
            << fatal;
    }
}

}  // namespace
}  // namespace hearth::api
