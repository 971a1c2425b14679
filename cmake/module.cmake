# One function declares a source folder: its library, its tests and its fuzzers. The order of the
# add_subdirectory lines in src/CMakeLists.txt is the layer order: a dependency that is not yet a
# target stands below, and the configure step stops.
include_guard(GLOBAL)
enable_testing()

set_property(GLOBAL PROPERTY HEARTH_MODULES "")

# add_module(name ABOUT "one line" [SOURCES ...] [DEPS ...] [LIBS ...] [TESTS ...] [FUZZERS ...])
#   DEPS   other Hearth modules (checked against the layer order)
#   LIBS   third-party targets, public
#   TESTS  *_test.cc, linked into one program hearth_<name>_test
#   FUZZERS *_fuzz.cc, one libFuzzer program each, built by the fuzz preset only
function(add_module name)
  cmake_parse_arguments(M "" "ABOUT" "SOURCES;DEPS;LIBS;TESTS;TEST_DEPS;FUZZERS" ${ARGN})
  if(NOT M_ABOUT)
    message(FATAL_ERROR "module ${name}: ABOUT is missing")
  endif()
  set(links "")
  foreach(dep IN LISTS M_DEPS)
    string(REPLACE "/" "_" dep_target ${dep})
    if(NOT TARGET hearth_${dep_target})
      message(FATAL_ERROR "module ${name} may not use ${dep}: it does not stand above it in src/CMakeLists.txt")
    endif()
    list(APPEND links hearth_${dep_target})
  endforeach()
  string(REPLACE "/" "_" target ${name})
  if(M_SOURCES)
    add_library(hearth_${target} STATIC ${M_SOURCES})
    set(scope PUBLIC)
  else()
    add_library(hearth_${target} INTERFACE)
    set(scope INTERFACE)
  endif()
  target_include_directories(hearth_${target} ${scope} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(hearth_${target} ${scope} ${links} ${M_LIBS})
  list(JOIN M_DEPS "," deps)
  list(JOIN M_TEST_DEPS "," test_deps)
  file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR}/src ${CMAKE_CURRENT_SOURCE_DIR})
  list(JOIN M_SOURCES "," sources)
  set_property(GLOBAL APPEND PROPERTY HEARTH_MODULES
    "${name}|${M_ABOUT}|${deps}|${test_deps}|${folder}|${sources}")
  if(M_TESTS AND HEARTH_TESTS)
    add_module_test(${target} "${M_TESTS}" "${M_TEST_DEPS}")
  endif()
  if(HEARTH_FUZZ)
    foreach(source IN LISTS M_FUZZERS)
      get_filename_component(stem ${source} NAME_WE)
      add_executable(${stem} ${source})
      target_link_libraries(${stem} PRIVATE hearth_${target})
      target_link_options(${stem} PRIVATE -fsanitize=fuzzer)
      set_target_properties(${stem} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/fuzzers)
    endforeach()
  endif()
endfunction()

function(add_module_test target sources deps)
  add_executable(hearth_${target}_test ${sources})
  target_link_libraries(hearth_${target}_test PRIVATE hearth_${target} GTest::gtest_main)
  foreach(dep IN LISTS deps)
    target_link_libraries(hearth_${target}_test PRIVATE hearth_${dep})
  endforeach()
  # One ctest entry per module: starting a process per case costs more than the cases.
  add_test(NAME ${target} COMMAND hearth_${target}_test)
  set_tests_properties(${target} PROPERTIES TIMEOUT 300)
endfunction()

# Writes "name|about|deps|test deps|folder|sources" lines, from which ./dev tidy checks the includes and
# the table in README.md.
function(write_module_table)
  get_property(modules GLOBAL PROPERTY HEARTH_MODULES)
  list(JOIN modules "\n" text)
  file(WRITE ${CMAKE_BINARY_DIR}/modules.txt "${text}\n")
endfunction()
