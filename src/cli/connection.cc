#include "cli/connection.h"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>
#include <cstdlib>
#include <cstring>

#include "base/encoding.h"
#include "base/format.h"
#include "cli/answer_stream.h"
#include "http/client.h"
#include "runtime/task_group.h"

namespace hearth::cli {
namespace json = boost::json;
namespace {

constexpr std::chrono::minutes kCallTime{5};
// The server bounds its own answers; this only ends what would never end.
constexpr std::chrono::hours kAnswerTime{24};

http::Method to_method(std::string_view method) {
    if (method == "POST") return http::Method::Post;
    return method == "DELETE" ? http::Method::Delete : http::Method::Get;
}

http::Call embeddings_call(const Connection::EmbedPlan& plan, json::array input) {
    http::Call call{.method = http::Method::Post,
                    .target = plan.truncate ? "/api/embed" : "/v1/embeddings",
                    .headers = {},
                    .body = {}};
    call.headers.set("Content-Type", "application/json");
    json::object body{{"model", plan.model}, {"input", std::move(input)}};
    if (!plan.truncate) body["encoding_format"] = "base64";
    call.body = json::serialize(body);
    return call;
}

// The vectors of one answer and the tokens it counted, from either surface.
struct Answer {
    std::vector<std::vector<float>> rows;
    std::uint64_t tokens = 0;
};

Result<Answer> read_base64_answer(const json::object& reply) {
    Answer answer{.rows = {},
                  .tokens = reply.at("usage").at("total_tokens").to_number<std::uint64_t>()};
    for (const auto& item : reply.at("data").as_array()) {
        TRY(const auto bytes, decode_base64(item.at("embedding").as_string()));
        auto& row = answer.rows.emplace_back(bytes.size() / sizeof(float));
        std::memcpy(row.data(), bytes.data(), row.size() * sizeof(float));
    }
    return answer;
}

Result<Answer> read_number_answer(const json::object& reply) {
    Answer answer{.rows = {}, .tokens = reply.at("prompt_eval_count").to_number<std::uint64_t>()};
    for (const auto& item : reply.at("embeddings").as_array()) {
        auto& row = answer.rows.emplace_back();
        for (const auto& number : item.as_array()) row.push_back(number.to_number<float>());
    }
    return answer;
}

Result<Answer> read_answer(const std::string& body, bool truncated, std::size_t expected) {
    // Boost.JSON reports a missing member by exception; it stops here.
    try {
        const auto reply = json::parse(body);
        TRY(auto answer, truncated ? read_number_answer(reply.as_object())
                                   : read_base64_answer(reply.as_object()));
        if (answer.rows.size() == expected) return answer;
    } catch (const boost::system::system_error&) {
    }
    return fail(Code::BadUpstream, "the server's answer does not hold one vector per text");
}

// One Connection::embed call: loops that each take the next batch until none is left.
class EmbedRun {
  public:
    EmbedRun(boost::asio::io_context& io, const std::string& address,
             const std::vector<std::string>& texts, const Connection::EmbedPlan& plan)
        : address_(address), texts_(texts), plan_(plan), rows_(texts.size()), loops_(io) {}

    void start() {
        for (std::size_t i = 0; i < plan_.concurrency; ++i) loops_.spawn("embed", loop_task());
    }

    bool finished() const { return loops_.size() == 0; }

    Result<Embedded> take() {
        if (error_) return std::unexpected(*std::move(error_));
        Embedded result{.vectors = {}, .dimension = 0, .tokens = tokens_};
        for (const auto& row : rows_) {
            result.dimension = row.size();
            result.vectors.insert(result.vectors.end(), row.begin(), row.end());
        }
        return result;
    }

  private:
    Awaitable<void> loop_task() {
        http::Client client(address_);
        while (!error_ && next_ < texts_.size()) {
            const std::size_t begin = next_;
            const std::size_t end = std::min(begin + plan_.batch_texts_max, texts_.size());
            next_ = end;
            const auto start = std::chrono::steady_clock::now();
            auto reply =
                accept_reply(co_await client.send(embeddings_call(plan_, input(begin, end)),
                                                  Deadline::after(kCallTime)),
                             address_);
            auto kept = reply ? keep(reply->body, begin, end)
                              : Result<void>(std::unexpected(reply.error()));
            if (!kept) {
                error_ = kept.error();
                co_return;
            }
            done_ += end - begin;
            if (plan_.progress) plan_.progress(done_, std::chrono::steady_clock::now() - start);
        }
    }

    json::array input(std::size_t begin, std::size_t end) const {
        json::array input;
        for (std::size_t i = begin; i < end; ++i) input.emplace_back(repair_utf8(texts_[i]));
        return input;
    }

    Result<void> keep(const std::string& body, std::size_t begin, std::size_t end) {
        TRY(auto answer, read_answer(body, plan_.truncate, end - begin));
        std::ranges::move(answer.rows, rows_.begin() + static_cast<std::ptrdiff_t>(begin));
        tokens_ += answer.tokens;
        return {};
    }

    const std::string& address_;
    const std::vector<std::string>& texts_;
    const Connection::EmbedPlan& plan_;
    std::size_t next_ = 0;
    std::size_t done_ = 0;
    std::vector<std::vector<float>> rows_;
    std::uint64_t tokens_ = 0;
    std::optional<Error> error_;
    runtime::TaskGroup loops_;
};

}  // namespace

std::string default_address() {
    const char* host = std::getenv("HEARTH_HOST");
    return host != nullptr && *host != '\0' ? host : "127.0.0.1:11435";
}

Result<std::string> parse_address(std::string_view url) {
    if (url.starts_with("http://")) url.remove_prefix(7);
    if (url.ends_with('/')) url.remove_suffix(1);
    if (url.empty() || url.find('/') != std::string_view::npos) {
        return fail(Code::InvalidArgument,
                    format("'{}' is not a server address such as http://127.0.0.1:11435", url));
    }
    return std::string(url);
}

struct Connection::Impl {
    boost::asio::io_context io{1};
    std::string address;
};

Connection::Connection(std::string address) : impl_(std::make_unique<Impl>()) {
    impl_->address = std::move(address);
}
Connection::~Connection() = default;

Result<json::value> Connection::call(std::string_view method, const std::string& path,
                                     const std::string& body) {
    http::Call call{.method = to_method(method), .target = path, .headers = {}, .body = body};
    if (!body.empty()) call.headers.set("Content-Type", "application/json");
    std::string answer;
    AnswerStream stream(impl_->io, impl_->address, [&](std::string_view whole) -> Result<void> {
        answer = whole;
        return {};
    });
    TRY_VOID(stream.run(std::move(call), kCallTime));
    if (answer.empty()) return json::value();
    boost::system::error_code failed;
    auto parsed = json::parse(answer, failed);
    if (failed)
        return fail(Code::BadUpstream, "the server's answer is not JSON: " + answer.substr(0, 80));
    return parsed;
}

Result<void> Connection::stream(const std::string& path, const std::string& body,
                                const OnLine& on_line) {
    http::Call call{.method = http::Method::Post, .target = path, .headers = {}, .body = body};
    call.headers.set("Content-Type", "application/json");
    AnswerStream stream(impl_->io, impl_->address, on_line);
    return stream.run(std::move(call), kAnswerTime);
}

Result<Embedded> Connection::embed(const std::vector<std::string>& texts, const EmbedPlan& plan) {
    EmbedRun run(impl_->io, impl_->address, texts, plan);
    run.start();
    impl_->io.restart();
    // Idle connections keep the io_context busy: the run ends with its loops, not with its work.
    while (!run.finished() && impl_->io.run_one() > 0) {
    }
    return run.take();
}

}  // namespace hearth::cli
