#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "matrix_dialects.h"
#include "matrix_upstream.h"
#include "server_process.h"

// What is asked in one cell of the matrix, and what must come of it.
namespace hearth::system_test::matrix {

// A kind of backend and what it can do.
struct Kind {
    const char* name;  // as of the configuration; "local": a llama.cpp worker of the server asked
    bool chats = true;
    bool texts = true;    // goes on with a bare text
    bool gaps = true;     // fills them
    bool schemas = true;  // and obeys one
    bool embeds = true;
    bool reranks = true;
    bool is_real = true;  // our own server stands behind it; else a script alone
};

// A server to be asked, with a backend of one kind behind it.
class Bench {
  public:
    // `far` serves every tiny model; it is both what is asked of a local kind, and what stands
    // behind the others.
    Bench(const Kind& kind, const ServerProcess& far);
    ~Bench();

    const Kind& kind() const { return kind_; }
    bool is_local() const { return near_ == nullptr; }
    const std::string& address() const;
    const ServerProcess& far() const { return far_; }
    // Models that are there really, and what stands before their names.
    std::string real(std::string_view model) const;
    // Not of a local kind.
    ScriptedUpstream& said() const { return *said_; }
    std::string scripted(const Dialect& dialect) const;

  private:
    std::string configuration() const;

    const Kind kind_;
    const ServerProcess& far_;
    const std::filesystem::path folder_;
    std::unique_ptr<ScriptedUpstream> said_;
    std::unique_ptr<ServerProcess> near_;
};

enum class Outcome : std::uint8_t { Served, Meaningless, Unsupported, Invalid };

// Asks and says with gtest what is wrong.
void check_cell(const Dialect& dialect, const Bench& bench, Column column, Outcome expected);

}  // namespace hearth::system_test::matrix
