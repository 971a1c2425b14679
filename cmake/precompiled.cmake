# Most of a compilation is the same headers of the standard library and of Boost read again:
# five of its six seconds. They are read once, and nothing of our own is among them, so a changed
# header of ours still rebuilds only what includes it. A source must name what it uses all the same:
# the gcc preset compiles each by itself without (HEARTH_PRECOMPILE=OFF).
include_guard(GLOBAL)

set(precompiled_headers
  <algorithm> <array> <atomic> <charconv> <chrono> <cmath> <condition_variable> <cstdint> <cstring>
  <deque> <exception> <filesystem> <fstream> <functional> <future> <iostream> <iterator> <limits>
  <list> <map> <memory> <mutex> <numeric> <optional> <random> <regex> <set> <span> <sstream>
  <stdexcept> <string> <string_view> <thread> <tuple> <type_traits> <unordered_map> <unordered_set>
  <utility> <variant> <vector>
  <boost/asio/as_tuple.hpp> <boost/asio/awaitable.hpp> <boost/asio/co_spawn.hpp>
  <boost/asio/detached.hpp> <boost/asio/io_context.hpp> <boost/asio/post.hpp>
  <boost/asio/posix/stream_descriptor.hpp> <boost/asio/steady_timer.hpp>
  <boost/asio/this_coro.hpp> <boost/asio/use_awaitable.hpp>
  <boost/json.hpp> <fmt/format.h> <spdlog/spdlog.h>)

# add_precompiled(target headers...): a library that exists for its precompiled headers.
function(add_precompiled target)
  set(source ${CMAKE_BINARY_DIR}/${target}.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT "")
  add_library(${target} OBJECT ${source})
  target_link_libraries(${target} PRIVATE hearth_boost Boost::json fmt::fmt spdlog::spdlog)
  target_precompile_headers(${target} PRIVATE ${ARGN})
  if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    # What ccache needs to find the result again.
    target_compile_options(${target} PRIVATE "SHELL:-Xclang -fno-pch-timestamp")
  endif()
endfunction()

# Every target of this folder and those below.
function(collect_targets folder result)
  get_property(targets DIRECTORY ${folder} PROPERTY BUILDSYSTEM_TARGETS)
  get_property(folders DIRECTORY ${folder} PROPERTY SUBDIRECTORIES)
  foreach(below IN LISTS folders)
    collect_targets(${below} more)
    list(APPEND targets ${more})
  endforeach()
  set(${result} ${targets} PARENT_SCOPE)
endfunction()

# Called after the last target: what they all have in common.
function(finish_targets)
  collect_targets(${PROJECT_SOURCE_DIR} targets)
  foreach(target IN LISTS targets)
    if(target MATCHES "_test$")
      # Optimising what runs once takes longer than running it.
      target_compile_options(${target} PRIVATE -O0)
    endif()
  endforeach()
  if(HEARTH_PRECOMPILE)
    precompile_headers("${targets}")
  endif()
endfunction()

function(precompile_headers targets)
  add_precompiled(hearth_precompiled ${precompiled_headers})
  if(HEARTH_TESTS)
    add_precompiled(hearth_precompiled_test ${precompiled_headers} <gtest/gtest.h>)
    target_link_libraries(hearth_precompiled_test PRIVATE GTest::gtest)
    target_compile_options(hearth_precompiled_test PRIVATE -O0)
  endif()
  foreach(target IN LISTS targets)
    get_target_property(type ${target} TYPE)
    if(target MATCHES "_test$")
      target_precompile_headers(${target} REUSE_FROM hearth_precompiled_test)
    elseif(type MATCHES "EXECUTABLE|STATIC_LIBRARY")
      target_precompile_headers(${target} REUSE_FROM hearth_precompiled)
    endif()
  endforeach()
endfunction()
