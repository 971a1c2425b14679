#include "matrix_cells.h"

#include <gtest/gtest.h>

#include <cmath>
#include <csignal>
#include <fstream>

#include "base/format.h"
#include "matrix_answer.h"
#include "testing/raw_socket.h"
#include "tiny_model.h"

namespace hearth::system_test::matrix {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr auto kPatience = seconds(60);  // of what happens at once on a machine with nothing to do
// Of both kTexts, by the vocabulary of tiny_model.h: a word each, and two marks around each text.
constexpr int kOwnTokens = 5 + 4 + 2 * 2;

bool is_of_texts(const Dialect& dialect) {
    return dialect.sort == Sort::Embed || dialect.sort == Sort::Rerank;
}

std::string_view tiny_model(const Dialect& dialect) {
    switch (dialect.sort) {
        case Sort::Chat:
        case Sort::Text: return "tiny-text:q8_0";
        case Sort::Gap: return "tiny-fim:q8_0";
        case Sort::Embed: return "tiny-embedder:q8_0";
        case Sort::Rerank: return "tiny-reranker:q8_0";
    }
    return {};
}

Reply send(const Dialect& dialect, const Bench& bench, const Ask& ask) {
    return post(bench.address(), dialect.route, body_of(dialect, ask));
}

Answer asked(const Dialect& dialect, const Bench& bench, const Ask& ask) {
    const Reply reply = send(dialect, bench, ask);
    EXPECT_EQ(reply.status, 200) << reply.body;
    if (reply.status != 200) return {};
    const std::string backend =
        bench.is_local() ? "llama/" + ask.model : ask.model.substr(0, ask.model.find('/'));
    EXPECT_EQ(reply.field("x-hearth-backend"), backend);
    Answer answer = read_answer(dialect.form, reply, ask.stream);
    EXPECT_TRUE(answer.ended) << reply.body;
    EXPECT_FALSE(answer.failed) << reply.body;
    return answer;
}

std::vector<std::vector<double>> rows(const Dialect& dialect, const std::string& address,
                                      const std::string& model) {
    const Reply reply = post(address, dialect.route, body_of(dialect, {.model = model}));
    EXPECT_EQ(reply.status, 200) << reply.body;
    if (reply.status != 200) return {};
    return read_rows(dialect.form, reply.json());
}

void expect_near(const std::vector<std::vector<double>>& a,
                 const std::vector<std::vector<double>>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t row = 0; row < a.size(); ++row) {
        ASSERT_EQ(a[row].size(), b[row].size());
        for (std::size_t i = 0; i < a[row].size(); ++i) EXPECT_NEAR(a[row][i], b[row][i], 1e-3);
    }
}

// The same as the server that computes them gives, asked itself.
void check_rows(const Dialect& dialect, const Bench& bench) {
    if (!bench.kind().is_real || (!dialect.names_model && !bench.is_local())) {
        bench.said().play(Scene::Says);
        return expect_near(rows(dialect, bench.address(), bench.scripted(dialect)),
                           {{1, 0}, {0, 1}});
    }
    const std::string model(tiny_model(dialect));
    const auto made = rows(dialect, bench.address(), bench.real(model));
    EXPECT_FALSE(made.empty());
    expect_near(made, rows(dialect, bench.far().address(), model));
}

void check_plain(const Dialect& dialect, const Bench& bench, bool stream) {
    if (is_of_texts(dialect)) return check_rows(dialect, bench);
    if (!bench.kind().is_real) {
        bench.said().play(Scene::Says);
        const Answer told =
            asked(dialect, bench, {.model = bench.scripted(dialect), .stream = stream});
        EXPECT_EQ(told.text, kSaid);
        EXPECT_EQ(told.finish, "stop");
        return;
    }
    const Answer answer =
        asked(dialect, bench, {.model = bench.real(tiny_model(dialect)), .stream = stream});
    EXPECT_FALSE(answer.text.empty());
    EXPECT_EQ(answer.finish, "length");
}

void expect_call(const Answer& answer) {
    EXPECT_EQ(answer.finish, "tool_calls");
    ASSERT_EQ(answer.calls.size(), 1U);
    EXPECT_EQ(answer.calls[0].name, kTool);
    EXPECT_EQ(answer.calls[0].arguments, json::parse(kCallArguments));
}

// A small model takes its time for these: streams of servers elsewhere are asked of scripts alone.
void check_tools(const Dialect& dialect, const Bench& bench, bool stream) {
    Ask ask{.model = bench.real("tiny-thinking:q8_0"), .stream = stream, .tokens = 300};
    ask.tools = true;
    if (bench.is_local() || !stream) {
        const Answer real = asked(dialect, bench, ask);
        expect_call(real);
        EXPECT_FALSE(real.calls.empty() || real.calls[0].id.empty());
    }
    if (bench.is_local()) return;
    bench.said().play(Scene::Calls);
    ask.model = bench.scripted(dialect);
    const Answer told = asked(dialect, bench, ask);
    expect_call(told);
    if (!told.calls.empty()) EXPECT_EQ(told.calls[0].id, kCallId);
}

void check_schema(const Dialect& dialect, const Bench& bench) {
    for (const bool stream : {false, true}) {
        if (stream && !bench.is_local()) continue;
        Ask ask{.model = bench.real(tiny_model(dialect)), .stream = stream, .tokens = 64};
        ask.schema = true;
        const Answer answer = asked(dialect, bench, ask);
        EXPECT_EQ(answer.finish, "stop") << answer.text;
        const json::object made = json::parse(answer.text).as_object();
        EXPECT_EQ(made.size(), 1U) << answer.text;
        EXPECT_TRUE(made.at("a") == "y" || made.at("a") == "n") << answer.text;
    }
}

// How a picture stands in a call to a server of that kind.
std::string picture_of(std::string_view kind) {
    if (kind == "ollama") return format(R"("images":["{}"])", kPicture);
    if (kind == "anthropic") return format(R"("media_type":"image/png","data":"{}")", kPicture);
    return format("data:image/png;base64,{}", kPicture);
}

void check_image(const Dialect& dialect, const Bench& bench) {
    Ask ask{.model = bench.real("tiny-vision:q8_0")};
    const auto blind = asked(dialect, bench, ask).prompt_tokens;
    ask.image = true;
    if (dialect.sort == Sort::Text) {
        const json::value told = get(bench.address(), "/props?model=tiny-vision:q8_0").json();
        ask.marker = told.at("media_marker").as_string();
    }
    const auto seen = asked(dialect, bench, ask).prompt_tokens;
    EXPECT_GT(seen.value_or(0), blind.value_or(0)) << "the picture is not in the prompt";
    if (bench.is_local()) return;
    bench.said().play(Scene::Says);
    ask.model = bench.scripted(dialect);
    (void)asked(dialect, bench, ask);
    const std::string sent = bench.said().last_body();
    EXPECT_TRUE(sent.contains(picture_of(bench.kind().name))) << sent;
}

// Of all answers so far.
struct Counted {
    explicit Counted(const Bench& bench)
        : prompt(metric(bench.address(), "hearth_prompt_tokens_total")),
          completion(metric(bench.address(), "hearth_completion_tokens_total")),
          embedded(metric(bench.address(), "hearth_embedding_tokens_total") +
                   metric(bench.address(), "hearth_rerank_tokens_total")) {}
    double prompt;
    double completion;
    double embedded;
};

void check_tokens_of_texts(const Dialect& dialect, const Bench& bench) {
    const Counted before(bench);
    std::string model = bench.real(tiny_model(dialect));
    if (!bench.is_local()) {
        bench.said().play(Scene::Says);
        model = bench.scripted(dialect);
    }
    const Answer answer = asked(dialect, bench, {.model = model});
    ASSERT_TRUE(answer.prompt_tokens);
    // Who is sent tokens counts none.
    if (!bench.kind().is_real) {
        EXPECT_EQ(answer.prompt_tokens, kOwnTokens);
    } else if (!bench.is_local()) {
        EXPECT_EQ(answer.prompt_tokens, kPromptTokens);
    }
    EXPECT_EQ(Counted(bench).embedded - before.embedded, *answer.prompt_tokens);
}

// Whole, as a stream that tells tokens, and as one that is not asked to.
void check_usage(const Dialect& dialect, const Bench& bench) {
    if (is_of_texts(dialect)) return check_tokens_of_texts(dialect, bench);
    const Counted before(bench);
    Ask ask{.model = bench.real(tiny_model(dialect))};
    if (!bench.is_local()) {
        bench.said().play(Scene::Says);
        ask.model = bench.scripted(dialect);
    }
    const Answer whole = asked(dialect, bench, ask);
    ASSERT_TRUE(whole.prompt_tokens && whole.completion_tokens);
    ask.stream = ask.include_usage = true;
    const Answer streamed = asked(dialect, bench, ask);
    ask.include_usage = false;
    const Answer unasked = asked(dialect, bench, ask);
    EXPECT_EQ(streamed.prompt_tokens, whole.prompt_tokens);
    EXPECT_EQ(streamed.completion_tokens, whole.completion_tokens);
    EXPECT_EQ(unasked.completion_tokens.has_value(), !usage_is_asked_for(dialect));
    if (bench.is_local()) {
        EXPECT_EQ(*whole.completion_tokens, ask.tokens);
    } else {
        EXPECT_EQ(*whole.prompt_tokens, kPromptTokens);
        EXPECT_EQ(*whole.completion_tokens, kCompletionTokens);
        for (const Answer* answer : {&whole, &streamed, &unasked}) {
            EXPECT_EQ(answer->text, kSaid);
            EXPECT_EQ(answer->finish, "stop");
        }
    }
    const Counted after(bench);
    EXPECT_EQ(after.prompt - before.prompt, static_cast<double>(3 * *whole.prompt_tokens));
    EXPECT_EQ(after.completion - before.completion,
              static_cast<double>(3 * *whole.completion_tokens));
}

void expect_refusal(const Dialect& dialect, const Reply& reply, Code code) {
    const Refusal said = read_refusal(dialect.errors, reply);
    const Refusal wanted = refusal_of(dialect.errors, code);
    EXPECT_EQ(said.status, wanted.status) << reply.body;
    EXPECT_EQ(said.type, wanted.type) << reply.body;
}

void check_local_errors(const Dialect& dialect, const Bench& bench) {
    // Of the routes that rerank this member alone says which dialect it is.
    const char* malformed = dialect.form == Form::BareRanking ? R"({"texts":7})" : "[]";
    expect_refusal(dialect, post(bench.address(), dialect.route, malformed), Code::InvalidArgument);
    if (dialect.names_model) {
        expect_refusal(dialect, send(dialect, bench, {.model = "nobody"}), Code::NotFound);
    }
    if (dialect.sort != Sort::Chat && dialect.sort != Sort::Text) return;
    Ask longer{.model = bench.real(tiny_model(dialect)), .text = {}};
    for (int i = 0; i < 5000; ++i) longer.text += "word ";
    for (const bool stream : {false, true}) {
        longer.stream = stream;
        const Reply reply = send(dialect, bench, longer);
        expect_refusal(dialect, reply, Code::InvalidArgument);
        EXPECT_TRUE(reply.body.contains("4096")) << reply.body;
    }
}

void check_errors(const Dialect& dialect, const Bench& bench) {
    if (bench.is_local()) return check_local_errors(dialect, bench);
    constexpr std::pair<Scene, Code> kScenes[] = {{Scene::Refuses, Code::InvalidArgument},
                                                  {Scene::IsFull, Code::RateLimited},
                                                  {Scene::Fails, Code::BadUpstream}};
    Ask ask{.model = bench.scripted(dialect)};
    for (const auto& [scene, code] : kScenes) {
        for (const bool stream : {false, true}) {
            if (stream && is_of_texts(dialect)) continue;
            bench.said().play(scene);
            ask.stream = stream;
            const Reply reply = send(dialect, bench, ask);
            expect_refusal(dialect, reply, code);
            EXPECT_TRUE(reply.body.contains("told so")) << reply.body;
        }
    }
    if (is_of_texts(dialect)) return;
    bench.said().play(Scene::BreaksOff);
    ask.stream = true;
    const Reply reply = send(dialect, bench, ask);
    EXPECT_EQ(reply.status, 200);
    const Answer broken = read_answer(dialect.form, reply, true);
    EXPECT_TRUE(broken.failed) << reply.body;
    EXPECT_FALSE(broken.ended) << reply.body;
    EXPECT_TRUE(reply.body.contains("told so")) << reply.body;
}

double left_at(const Bench& bench) {
    double sum = 0;
    std::istringstream lines(get(bench.address(), "/metrics").body);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("hearth_requests_total{")) continue;
        if (line.contains(R"(outcome="left")")) sum += std::stod(line.substr(line.rfind(' ')));
    }
    return sum;
}

testing::RawSocket open_call(const Dialect& dialect, const Bench& bench, const Ask& ask) {
    const std::string body = body_of(dialect, ask);
    auto socket = testing::RawSocket::connect(bench.address());
    socket.send(format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{}",
                       dialect.route, body.size(), body));
    return socket;
}

// The worker stands still, so that there is time to leave.
void check_local_leave_of_texts(const Dialect& dialect, const Bench& bench) {
    const Ask ask{.model = bench.real(tiny_model(dialect))};
    const double before = left_at(bench);
    const auto workers = bench.far().worker_pids();
    for (const pid_t pid : workers) ::kill(pid, SIGSTOP);
    EXPECT_TRUE(eventually(kPatience, [&] {
        auto socket = open_call(dialect, bench, ask);
        sleep_briefly();
        socket.close();
        return left_at(bench) > before;
    }));
    for (const pid_t pid : workers) ::kill(pid, SIGCONT);
}

void check_leave(const Dialect& dialect, const Bench& bench) {
    const double before = left_at(bench);
    const bool streams = !is_of_texts(dialect);
    if (bench.is_local()) {
        if (!streams) return check_local_leave_of_texts(dialect, bench);
        auto socket =
            open_call(dialect, bench,
                      {.model = bench.real(tiny_model(dialect)), .stream = true, .tokens = 4000});
        EXPECT_TRUE(socket.read_until("\r\n\r\n", kPatience).contains(" 200 "));
        socket.close();
    } else {
        const int left = bench.said().left();
        const int calls = bench.said().calls();
        bench.said().play(Scene::Holds);
        auto socket =
            open_call(dialect, bench, {.model = bench.scripted(dialect), .stream = streams});
        if (streams) {
            EXPECT_TRUE(socket.read_until("It", kPatience).ends_with("It"));
        } else {
            EXPECT_TRUE(eventually(kPatience, [&] { return bench.said().calls() > calls; }));
        }
        socket.close();
        EXPECT_TRUE(eventually(kPatience, [&] { return bench.said().left() == left + 1; }))
            << "the server elsewhere works on";
        EXPECT_EQ(metric(bench.address(), "hearth_upstream_queued"), 0);
    }
    EXPECT_TRUE(eventually(kPatience, [&] { return left_at(bench) > before; }));
}

// The one place of its server is free again.
void check_cancel(const Dialect& dialect, const Bench& bench) {
    check_leave(dialect, bench);
    Ask ask{.model = bench.real(tiny_model(dialect))};
    if (!bench.is_local()) {
        bench.said().play(Scene::Says);
        ask.model = bench.scripted(dialect);
    }
    const Reply next = send(dialect, bench, ask);
    EXPECT_EQ(next.status, 200) << next.body;
}

void check_refused(const Dialect& dialect, const Bench& bench, Column column, Code code) {
    Ask ask{.model = bench.is_local() ? bench.real(tiny_model(dialect)) : bench.scripted(dialect)};
    ask.stream = column == Column::Stream || column == Column::ToolStream;
    ask.tools = column == Column::Tools || column == Column::ToolStream;
    ask.schema = column == Column::Schema;
    ask.image = column == Column::Image;
    const int calls = bench.is_local() ? 0 : bench.said().calls();
    const Reply reply = send(dialect, bench, ask);
    expect_refusal(dialect, reply, code);
    if (!bench.is_local()) EXPECT_EQ(bench.said().calls(), calls) << "was sent all the same";
}

void check_served(const Dialect& dialect, const Bench& bench, Column column) {
    switch (column) {
        case Column::Plain: return check_plain(dialect, bench, false);
        case Column::Stream: return check_plain(dialect, bench, true);
        case Column::Tools: return check_tools(dialect, bench, false);
        case Column::ToolStream: return check_tools(dialect, bench, true);
        case Column::Schema: return check_schema(dialect, bench);
        case Column::Image: return check_image(dialect, bench);
        case Column::Usage: return check_usage(dialect, bench);
        case Column::Error: return check_errors(dialect, bench);
        case Column::Cancel: return check_cancel(dialect, bench);
    }
}

}  // namespace

Bench::Bench(const Kind& kind, const ServerProcess& far)
    : kind_(kind), far_(far), folder_(make_folder()) {
    if (std::string_view(kind.name) == "local") return;
    said_ = std::make_unique<ScriptedUpstream>(kind.name);
    const std::filesystem::path file = folder_ / "hearth.yaml";
    if (!kind.is_real) write_model(folder_ / "tiny", make_tiny_model());
    std::ofstream(file) << configuration();
    near_ = std::make_unique<ServerProcess>(
        StartOptions{.arguments = {"--config", file.string()}, .environment = {}});
}

std::string Bench::configuration() const {
    const std::string far =
        format("  far:\n    kind: {}\n    url: http://{}\n", kind_.name, far_.address());
    const std::string tokenizer = format("    tokenizer: {}\n", (folder_ / "tiny").string());
    return format(
        "models:\n  installed: false\n"
        "routing:\n  find_ollama: false\n  attempts: 1\n"
        "backends:\n{}"
        "  said:\n    kind: {}\n    url: http://{}\n    concurrency: 1\n"
        "    failures: 1000\n{}"
        "aliases:\n  all-minilm: said/{}\n",
        kind_.is_real ? far : "", kind_.name, said_->address(), kind_.is_real ? "" : tokenizer,
        kind_.is_real ? kModel : kVectorModel);
}

std::string Bench::scripted(const Dialect& dialect) const {
    const bool is_of_vectors = !kind_.is_real && dialect.sort == Sort::Embed;
    return format("said/{}", is_of_vectors ? kVectorModel : kModel);
}

Bench::~Bench() {
    near_.reset();  // before those it asks
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

const std::string& Bench::address() const {
    return near_ != nullptr ? near_->address() : far_.address();
}

std::string Bench::real(std::string_view model) const {
    return is_local() ? std::string(model) : format("far/{}", model);
}

void check_cell(const Dialect& dialect, const Bench& bench, Column column, Outcome expected) {
    switch (expected) {
        case Outcome::Served: return check_served(dialect, bench, column);
        case Outcome::Meaningless: return;
        case Outcome::Unsupported: return check_refused(dialect, bench, column, Code::Unsupported);
        case Outcome::Invalid: return check_refused(dialect, bench, column, Code::InvalidArgument);
    }
}

}  // namespace hearth::system_test::matrix
