#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hearth::tidy {

// One thing that breaks a rule. Lines count from 1; 0 means the whole file.
struct Finding {
    std::string file;
    std::size_t line = 0;
    std::string rule;
    std::string text;
};

// One text file of the repository. `code` has the same lines as `lines`, but with comments and the
// insides of string and character literals blanked, so that rules see only code.
struct Source {
    std::string path;
    std::vector<std::string> lines;
    std::vector<std::string> code;
};

Source make_source(std::string path, std::string_view text);

bool is_cpp(std::string_view path);
// True for `*_test.cc`, `*_fixture.*` and everything else that only tests compile.
bool is_test(std::string_view path);

}  // namespace hearth::tidy
