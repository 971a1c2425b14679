# Read by llama.cpp's own CMake (CMAKE_PROJECT_INCLUDE): a third less to compile, the same programs.
# Most of the time goes into headers that every source reads again, so sources are compiled several
# at a time; a few may not share a translation unit.
function(hearth_hasten_llama_build)
  set_target_properties(llama-common mtmd server-context llama-server-impl PROPERTIES
    UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  set(common ${CMAKE_CURRENT_SOURCE_DIR}/common)
  set(mtmd ${CMAKE_CURRENT_SOURCE_DIR}/tools/mtmd)
  set_source_files_properties(${common}/arg.cpp ${common}/json.cpp TARGET_DIRECTORY llama-common
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  set_source_files_properties(${mtmd}/mtmd-helper.cpp ${mtmd}/mtmd-helper-gen.cpp TARGET_DIRECTORY mtmd
    PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  # The table of command-line options is read once at start and costs a minute to optimise.
  set_source_files_properties(${common}/arg.cpp TARGET_DIRECTORY llama-common PROPERTIES
    COMPILE_OPTIONS -O1)
endfunction()
cmake_language(DEFER CALL hearth_hasten_llama_build)
