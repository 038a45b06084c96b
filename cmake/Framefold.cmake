# What every target of framefold shares: the language, the warnings, and one function a kind of target.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Errors by default; -DCMAKE_COMPILE_WARNING_AS_ERROR=OFF for a compiler that nobody has tried.
set(CMAKE_COMPILE_WARNING_AS_ERROR ON CACHE BOOL "Warnings are errors")
add_library(framefold_warnings INTERFACE)
target_compile_options(framefold_warnings INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic>)

# Where the compiler's flags ask for a fuzzing engine's instrumentation (OSS-Fuzz), it is left to what decodes the entry code
# when a fuzz binary starts: on an execution's path, the guest's coverage is what counts, and that of the harness costs time
# (harness/fuzz/guest_counters.hpp). So do the counters of what does not run there, since libFuzzer looks at all of them after
# each execution: with those of descriptions and reports it made a quarter fewer. AFL++ has an instrumentation of its own:
# ci/oss-fuzz/build.sh.
set(FRAMEFOLD_PATH_FOLDERS machine xen scenario run fuzz)
set(FRAMEFOLD_UNTRACED_FOLDERS ${FRAMEFOLD_PATH_FOLDERS} survey check report_text)
string(JOIN "," framefold_tracing
       func bb edge indirect-calls trace-bb trace-cmp trace-div trace-gep trace-loads trace-stores trace-pc trace-pc-guard
       inline-8bit-counters inline-bool-flag pc-table stack-depth)
set(framefold_untraced -fno-sanitize=fuzzer,fuzzer-no-link -fno-sanitize-coverage=${framefold_tracing})

# The folders whose files may be compiled together (CMAKE_UNITY_BUILD, as the presets `fuzz` and `sanitize` and
# ci/oss-fuzz/build.sh ask for), and those for which the preset `release` asks, which halves their time there.
# Each is compiled so by one preset that CI builds, and one by one by the other.
set(FRAMEFOLD_UNITY_FOLDERS machine xen scenario run survey check explore table mutant report_text fuzz)
set(FRAMEFOLD_UNITY_COMMAND_FOLDERS cli report)

# For what takes long to compile and next to no time to run: options, descriptions, tables and pages. Debug builds (presets
# sanitize and coverage) leave it as it is written, others do not spend much on it.
set(framefold_little_optimised $<$<CONFIG:Debug>:-O0> $<$<CONFIG:Release>:-O1>)
function(framefold_unoptimised target)
  target_compile_options(${target} PRIVATE ${framefold_little_optimised})
endfunction()

# framefold_precompile(<target> <header>...): compiles headers of others once that many files of the target include. Each file
# still includes what it uses, and the tree builds without (-DFRAMEFOLD_PRECOMPILE=OFF).
function(framefold_precompile target)
  if(FRAMEFOLD_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()

# framefold_precompile_by_clang(<target> <header>...): GCC 12 takes what it has precompiled for the project's own code, and,
# optimising, warns of what it sees in the standard library (-Warray-bounds).
function(framefold_precompile_by_clang target)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    framefold_precompile(${target} ${ARGN})
  endif()
endfunction()

# framefold_library(<folder> SOURCES ... LINK ...): the static library framefold_<folder>.
function(framefold_library folder)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")
  add_library(framefold_${folder} STATIC ${arg_SOURCES})
  target_include_directories(framefold_${folder} PUBLIC ${PROJECT_SOURCE_DIR}/harness)
  target_link_libraries(framefold_${folder} PUBLIC ${arg_LINK} PRIVATE framefold_warnings)
  if(FRAMEFOLD_UNITY_COMMAND AND folder IN_LIST FRAMEFOLD_UNITY_COMMAND_FOLDERS)
    set_target_properties(framefold_${folder} PROPERTIES UNITY_BUILD ON)
  # Tests take of `fuzz` what they need, without the target's own main.
  elseif(NOT folder IN_LIST FRAMEFOLD_UNITY_FOLDERS OR (FRAMEFOLD_TESTS AND folder STREQUAL fuzz))
    set_target_properties(framefold_${folder} PROPERTIES UNITY_BUILD OFF)
  endif()
  if(FRAMEFOLD_FUZZ AND folder IN_LIST FRAMEFOLD_UNTRACED_FOLDERS)
    target_compile_options(framefold_${folder} PRIVATE ${framefold_untraced})
  endif()
endfunction()

# framefold_hot_path(<folder>): in fuzz binaries this library goes without the sanitizers, as Unicorn does: it is what an execution
# runs through. The tests run it under both (preset `sanitize`), and so does a fuzz binary that is built with
# FRAMEFOLD_SANITIZE_HOT_PATH. -O3 there takes about 3 % off an execution, together with compiling its files as one.
function(framefold_hot_path folder)
  if(FRAMEFOLD_FUZZ AND NOT FRAMEFOLD_TESTS AND NOT FRAMEFOLD_SANITIZE_HOT_PATH)
    target_compile_options(framefold_${folder} PRIVATE -fno-sanitize=address,undefined -fomit-frame-pointer -O3)
  endif()
endfunction()

# framefold_test(<component> [OF <part>...] [LONG_OF <part>...] [LONG] [TOGETHER] [OPTIMISED] [TIMEOUT <seconds>]
#                [COST <number>] LINK ...):
# <part>_test.cpp of each part (of one that is called as the component is, where there is no OF) as one GoogleTest binary, each
# test known to ctest. Parts are compiled together, which takes a quarter of the time: most of it is what they all use of the
# standard library, gmock and fmt. So no two of them define one name.
# - LONG: it searches, minutes under the sanitizers, through code that others test under them; FRAMEFOLD_LONG_TESTS=OFF leaves
#   it out. LONG_OF: the same of single parts.
# - TOGETHER: its tests are short: one process runs them all, and ctest knows it as <component>.all. What failed, its output
#   says; --gtest_filter runs one.
# - OPTIMISED: most of its time is its own code's. The others are left as they are written: what they call is in libraries, and
#   the compiler takes longer for them than they run.
# - COST: ctest starts those first that have more, so that none runs on alone at the end.
function(framefold_test component)
  cmake_parse_arguments(PARSE_ARGV 1 arg "LONG;TOGETHER;OPTIMISED" "TIMEOUT;COST" "OF;LONG_OF;LINK")
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(NOT arg_COST)
    set(arg_COST 0)
  endif()
  if(NOT arg_OF)
    set(arg_OF ${component})
  endif()
  if(FRAMEFOLD_LONG_TESTS)
    list(APPEND arg_OF ${arg_LONG_OF})
  endif()
  list(TRANSFORM arg_OF APPEND _test.cpp)
  add_executable(${component}_test ${arg_OF})
  set_target_properties(${component}_test PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 0)
  if(arg_OPTIMISED)
    target_link_libraries(${component}_test PRIVATE ${arg_LINK} framefold_test_main)
  else()
    target_link_libraries(${component}_test PRIVATE ${arg_LINK} framefold_as_written framefold_test_main)
    if(FRAMEFOLD_PRECOMPILE)
      target_precompile_headers(${component}_test REUSE_FROM framefold_test_main)
    endif()
  endif()
  if(arg_LONG AND NOT FRAMEFOLD_LONG_TESTS)
    set_target_properties(${component}_test PROPERTIES EXCLUDE_FROM_ALL ON)
    return()
  endif()
  if(arg_TOGETHER)
    add_test(NAME ${component}.all COMMAND ${component}_test)
    set_tests_properties(${component}.all PROPERTIES TIMEOUT ${arg_TIMEOUT} COST ${arg_COST})
  else()
    # A parameterised test is known by the name that its suite gives it, not by its parameter's bytes.
    gtest_discover_tests(${component}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX "${component}." NO_PRETTY_VALUES
                         PROPERTIES TIMEOUT ${arg_TIMEOUT} COST ${arg_COST})
  endif()
endfunction()
