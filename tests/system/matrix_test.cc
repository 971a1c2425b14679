// Every dialect with every kind of backend: what works, and how the rest is refused. The table that
// comes of it stands in docs/dialects.md; HEARTH_UPDATE_GOLDEN=1 writes it there.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>

#include "base/format.h"
#include "matrix_cells.h"
#include "text_requests.h"

namespace hearth::system_test::matrix {
namespace {

constexpr Kind kKinds[] = {
    {.name = "local"},
    {.name = "openai"},
    {.name = "ollama", .reranks = false},
    {.name = "anthropic", .texts = false, .gaps = false, .embeds = false, .reranks = false},
    {.name = "triton",
     .chats = false,
     .gaps = false,
     .schemas = false,
     .reranks = false,
     .is_real = false},
};

bool is_tools(Column column) { return column == Column::Tools || column == Column::ToolStream; }

// What a dialect has no words for, whoever answers.
Outcome of_dialect(const Dialect& dialect, Column column) {
    if (dialect.sort == Sort::Embed || dialect.sort == Sort::Rerank) {
        // Numbers come whole, and are made of texts. TEI's answers have no place for tokens.
        const bool is_bare = dialect.errors == Errors::Tei;
        const bool is_told = column == Column::Plain || column == Column::Error ||
                             column == Column::Cancel || (column == Column::Usage && !is_bare);
        return is_told ? Outcome::Served : Outcome::Meaningless;
    }
    // Tools belong to a conversation, pictures to a prompt.
    if (dialect.form == Form::OllamaGenerate && is_tools(column)) return Outcome::Invalid;
    if (dialect.sort != Sort::Chat && is_tools(column)) return Outcome::Invalid;
    if (dialect.sort == Sort::Gap && column == Column::Image) return Outcome::Meaningless;
    if (dialect.form == Form::Completion && column == Column::Image) return Outcome::Invalid;
    return Outcome::Served;
}

// What stands in a cell: the dialect's part first.
Outcome expected(const Dialect& dialect, const Kind& kind, Column column) {
    const Outcome own = of_dialect(dialect, column);
    if (own != Outcome::Served) return own;
    switch (dialect.sort) {
        case Sort::Chat: return kind.chats ? Outcome::Served : Outcome::Unsupported;
        case Sort::Embed: return kind.embeds ? Outcome::Served : Outcome::Unsupported;
        case Sort::Rerank: return kind.reranks ? Outcome::Served : Outcome::Unsupported;
        case Sort::Gap:
            if (!kind.gaps) return Outcome::Unsupported;
            break;
        case Sort::Text:
            if (!kind.texts) return Outcome::Unsupported;
            break;
    }
    if (column == Column::Schema && !kind.schemas) return Outcome::Unsupported;
    // Pictures within a bare prompt are llama-server's own.
    const bool is_here = std::string_view(kind.name) == "local";
    return column == Column::Image && !is_here ? Outcome::Unsupported : Outcome::Served;
}

std::string word_of(const Dialect& dialect, Outcome outcome) {
    switch (outcome) {
        case Outcome::Served: return "yes";
        case Outcome::Meaningless: return "n/a";
        case Outcome::Unsupported:
            return format("{} unsupported", refusal_of(dialect.errors, Code::Unsupported).status);
        case Outcome::Invalid:
            return format("{} invalid", refusal_of(dialect.errors, Code::InvalidArgument).status);
    }
    return {};
}

int failures() {
    return ::testing::UnitTest::GetInstance()->current_test_info()->result()->total_part_count();
}

std::string try_cell(const Dialect& dialect, const Bench& bench, Column column) {
    const Outcome outcome = expected(dialect, bench.kind(), column);
    const int before = failures();
    SCOPED_TRACE(format("{} through {}: {}", dialect.route, bench.kind().name, title_of(column)));
    try {
        check_cell(dialect, bench, column, outcome);
    } catch (const std::exception& error) {
        ADD_FAILURE() << error.what();
    }
    return failures() == before ? word_of(dialect, outcome) : "FAILED";
}

std::string row_of(const std::vector<std::string>& cells) {
    std::string row = "|";
    for (const std::string& cell : cells) row += format(" {} |", cell);
    return row + "\n";
}

std::string head_of_table() {
    std::vector<std::string> titles{"route", "dialect", "backend"};
    for (const Column column : kColumns) titles.emplace_back(title_of(column));
    return row_of(titles) + row_of(std::vector<std::string>(titles.size(), "---"));
}

// The part of the page between its marks is the table.
void compare_with_page(const std::string& table) {
    const std::filesystem::path file = HEARTH_SOURCE_DIR "/docs/dialects.md";
    constexpr std::string_view kBegin = "<!-- matrix: begin -->\n";
    constexpr std::string_view kEnd = "<!-- matrix: end -->";
    std::string page = read_file(file);
    const std::size_t begin = page.find(kBegin);
    const std::size_t end = page.find(kEnd);
    ASSERT_NE(begin, std::string::npos) << file;
    ASSERT_NE(end, std::string::npos) << file;
    const std::size_t at = begin + kBegin.size();
    if (std::getenv("HEARTH_UPDATE_GOLDEN") != nullptr) {
        std::ofstream(file) << page.replace(at, end - at, table);
    } else {
        EXPECT_EQ(page.substr(at, end - at), table)
            << file << " is not what was found; HEARTH_UPDATE_GOLDEN=1 writes it anew";
    }
}

class Matrix : public ::testing::Test {
  protected:
    static void SetUpTestSuite() {
        testing::make_gguf(testing::GgufKind::Reranker);
        far_ = new ServerProcess(text_options({"HEARTH_MODELS__INSTALLED=false"}));
        benches_ = new std::vector<std::unique_ptr<Bench>>;
        for (const Kind& kind : kKinds) benches_->push_back(std::make_unique<Bench>(kind, *far_));
    }
    static void TearDownTestSuite() {
        delete benches_;
        delete far_;
        benches_ = nullptr;
        far_ = nullptr;
    }
    static const std::vector<std::unique_ptr<Bench>>& benches() { return *benches_; }

  private:
    static ServerProcess* far_;
    static std::vector<std::unique_ptr<Bench>>* benches_;
};

ServerProcess* Matrix::far_ = nullptr;
std::vector<std::unique_ptr<Bench>>* Matrix::benches_ = nullptr;

TEST_F(Matrix, EveryDialectHasAnAnswerFromEveryKindOfBackend) {
    std::string table = head_of_table();
    for (const Dialect& dialect : dialects()) {
        for (const auto& bench : benches()) {
            std::vector<std::string> cells{format("`{}`", dialect.route), dialect.about,
                                           bench->kind().name};
            for (const Column column : kColumns) {
                cells.push_back(try_cell(dialect, *bench, column));
                EXPECT_FALSE(cells.back().empty());
            }
            table += row_of(cells);
        }
    }
    std::cout << table;
    EXPECT_EQ(std::ranges::count(table, '\n'), 2 + std::ssize(dialects()) * std::ssize(kKinds));
    if (!HasFailure()) compare_with_page(table);
}

// Whoever notices it: we before we ask, or the server that has the model.
TEST_F(Matrix, AnImageForAModelThatCannotSeeIsRefusedAndNoFailure) {
    for (const Dialect& dialect : dialects()) {
        if (dialect.sort != Sort::Chat) continue;
        for (const auto& bench : benches()) {
            if (!bench->kind().chats) continue;  // refused, whatever is in it
            SCOPED_TRACE(format("{} through {}", dialect.route, bench->kind().name));
            const Ask ask{.model = bench->real("tiny-text:q8_0"), .image = true};
            const Reply reply = post(bench->address(), dialect.route, body_of(dialect, ask));
            const Refusal said = read_refusal(dialect.errors, reply);
            EXPECT_TRUE(said == refusal_of(dialect.errors, Code::Unsupported) ||
                        said == refusal_of(dialect.errors, Code::InvalidArgument))
                << reply.body;
        }
    }
}

}  // namespace
}  // namespace hearth::system_test::matrix
