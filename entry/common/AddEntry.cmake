# add_entry(): from an entry's assembly source and description to its image, the library that bundles both, its fuzz binary
# and the test that replays its corpus.

include_guard(GLOBAL)

find_program(FRAMEFOLD_LD ld REQUIRED DOC "GNU ld, for both widths")

# DWARF 4: its line table holds file names inline, as that of DWARF 2 does, which is all that binutils before 2.35 can be
# asked for.
set(gas_dwarf --gdwarf-4)
execute_process(COMMAND as ${gas_dwarf} -o /dev/null /dev/null RESULT_VARIABLE gas_result OUTPUT_QUIET ERROR_QUIET)
if(NOT gas_result EQUAL 0)
  set(gas_dwarf --gdwarf-2)
endif()
set(framefold_gas_dwarf ${gas_dwarf} CACHE INTERNAL "")  # functions see the variables of where they are called

# The GNU assembler whatever the compiler driver: images are the same, byte for byte, with either. Nothing of a 32-bit C
# library is needed, since the sources include only Xen's public headers.
function(framefold_assemble object source width)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEFINES;INCLUDES")
  set(flags -m${width} -c -x assembler-with-cpp -D__ASSEMBLY__ -D__XEN_INTERFACE_VERSION__=0x00040e00)
  if(CMAKE_ASM_COMPILER_ID MATCHES Clang)
    list(APPEND flags -fno-integrated-as)
  endif()
  # Names relative to the project, so that the bytes do not depend on where the tree and the build lie (the last map is
  # tried first: a build folder may lie inside the tree).
  list(APPEND flags -Wa,${framefold_gas_dwarf} -Wa,--noexecstack -Wa,--fatal-warnings
       -Wa,--debug-prefix-map=${PROJECT_SOURCE_DIR}/= -Wa,--debug-prefix-map=${PROJECT_BINARY_DIR}=.)
  list(TRANSFORM arg_DEFINES PREPEND -D)
  list(TRANSFORM arg_INCLUDES PREPEND -I)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${CMAKE_ASM_COMPILER} ${flags} ${arg_DEFINES} ${arg_INCLUDES} -MD -MF ${object}.d -MT ${object}
            -o ${object} ${source}
    DEPENDS ${source}
    DEPFILE ${object}.d
    WORKING_DIRECTORY ${PROJECT_BINARY_DIR}
    COMMENT "Assembling ${object}"
    VERBATIM)
endfunction()

# framefold_fuzzer_extras(<name>): the dictionary and the seeds of <name>_fuzzer, beside it, both made from the entry's
# description; target <name>_fuzzer_extras makes them, framefold_fuzzers the binaries of all bundled entries as well. Not among
# what is built by default: only runners want them.
# FRAMEFOLD_COMMAND makes them where it is given, for builds that need no command besides.
set(FRAMEFOLD_COMMAND "" CACHE FILEPATH "A framefold command that makes dictionaries and seeds (empty: the one that is built)")
if(NOT TARGET framefold_fuzzers)
  add_custom_target(framefold_fuzzers)
endif()
function(framefold_fuzzer_extras name)
  set(fuzzer ${CMAKE_CURRENT_BINARY_DIR}/${name}_fuzzer)
  set(seeds ${PROJECT_BINARY_DIR}/entry/${name}/seeds)
  set(program $<TARGET_FILE:framefold>)
  set(built framefold)
  if(FRAMEFOLD_COMMAND)
    set(program ${FRAMEFOLD_COMMAND})
    set(built ${FRAMEFOLD_COMMAND})
  endif()
  # The command may be built with a sanitizer: what it leaks as it ends is not the question here.
  set(command ${CMAKE_COMMAND} -E env ASAN_OPTIONS=detect_leaks=0 ${program} corpus)
  add_custom_command(
    OUTPUT ${fuzzer}.dict
    COMMAND ${command} dictionary --entry ${name} --force --output ${fuzzer}.dict
    DEPENDS ${built}
    VERBATIM)
  add_custom_command(
    OUTPUT ${fuzzer}_seed_corpus.zip
    COMMAND ${command} seeds --force --entry ${name} ${seeds}
    COMMAND ${CMAKE_COMMAND} -E rm -f ${fuzzer}_seed_corpus.zip
    COMMAND ${CMAKE_COMMAND} -E chdir ${seeds} ${CMAKE_COMMAND} -E tar cf ${fuzzer}_seed_corpus.zip --format=zip
            "--mtime=2000-01-01 00:00:00" .
    DEPENDS ${built}
    VERBATIM)
  add_custom_target(${name}_fuzzer_extras DEPENDS ${fuzzer}.dict ${fuzzer}_seed_corpus.zip)
  add_dependencies(framefold_fuzzers ${name}_fuzzer ${name}_fuzzer_extras)
endfunction()

# add_entry(<name> [WIDTH 64|32] [SOURCE <file.S>] [DESCRIPTION <entry.toml>] [PATCH <file>] [DEFINES ...]
#           [NOT_BUNDLED] [FUZZER])
#
# Makes <build>/entry/<name>/ with the image, under the name that the description gives it, and entry.toml beside it, and
# the library entry_<name> that defines
#     framefold::BundledEntry framefold::bundled_entry_<name as an identifier>();
# WIDTH defaults to 32 where the name says x86_32, else 64; SOURCE and DESCRIPTION to <name>.S and entry.toml in
# entry/<name>/. PATCH is applied to a copy of SOURCE, DEFINES are the assembler's: both make variants of an entry.
# Without NOT_BUNDLED, the entry belongs to bundled_entries() and has the fuzz binary <name>_fuzzer, and corpus.<name>
# replays corpus/<name>. NOT_BUNDLED: neither, unless FUZZER asks for the binary.
function(add_entry name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "NOT_BUNDLED;FUZZER" "WIDTH;SOURCE;DESCRIPTION;PATCH" "DEFINES")
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "add_entry(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT arg_WIDTH)
    set(arg_WIDTH 64)
    if(name MATCHES "x86_32")
      set(arg_WIDTH 32)
    endif()
  endif()
  if(NOT arg_SOURCE)
    set(arg_SOURCE ${PROJECT_SOURCE_DIR}/entry/${name}/${name}.S)
  endif()
  if(NOT arg_DESCRIPTION)
    set(arg_DESCRIPTION ${PROJECT_SOURCE_DIR}/entry/${name}/entry.toml)
  endif()
  cmake_path(ABSOLUTE_PATH arg_SOURCE)
  cmake_path(ABSOLUTE_PATH arg_DESCRIPTION)
  set(out ${PROJECT_BINARY_DIR}/entry/${name})
  file(MAKE_DIRECTORY ${out})

  # The image's file name is the description's to say.
  file(STRINGS ${arg_DESCRIPTION} image_line REGEX "^image *= *\"[^\"/]+\"")
  if(NOT image_line MATCHES "\"([^\"]+)\"")
    message(FATAL_ERROR "add_entry(${name}): ${arg_DESCRIPTION}: no line `image = \"...\"`")
  endif()
  set(elf ${out}/${CMAKE_MATCH_1})
  set(toml ${out}/entry.toml)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${arg_DESCRIPTION})

  cmake_path(GET arg_SOURCE PARENT_PATH source_folder)
  set(source ${arg_SOURCE})
  if(arg_PATCH)
    find_program(FRAMEFOLD_PATCH patch REQUIRED)
    cmake_path(ABSOLUTE_PATH arg_PATCH)
    cmake_path(GET arg_SOURCE FILENAME source)
    set(source ${out}/${source})
    add_custom_command(
      OUTPUT ${source}
      COMMAND ${FRAMEFOLD_PATCH} --silent --fuzz=0 --reject-file=- --output=${source} ${arg_SOURCE} ${arg_PATCH}
      DEPENDS ${arg_SOURCE} ${arg_PATCH}
      VERBATIM)
  endif()

  framefold_assemble(${out}/entry.o ${source} ${arg_WIDTH}
                     DEFINES ${arg_DEFINES} INCLUDES ${PROJECT_SOURCE_DIR}/entry ${source_folder})
  framefold_assemble(${out}/stubs.o ${PROJECT_SOURCE_DIR}/entry/common/stubs.S ${arg_WIDTH}
                     INCLUDES ${PROJECT_SOURCE_DIR}/entry)

  # 64-bit stacks lie where more bits of their addresses count than 32, and bit 31 does, as in real guests: code that keeps
  # half of a stack pointer, or clears a bit of it, is seen. (Not in the upper half: Unicorn takes 52 bits of an address.)
  set(emulation elf_x86_64)
  set(stacks 0x100080000000)
  if(arg_WIDTH EQUAL 32)
    set(emulation elf_i386)
    set(stacks 0)
  endif()
  set(script ${PROJECT_SOURCE_DIR}/entry/common/image.ld)
  add_custom_command(
    OUTPUT ${elf}
    COMMAND ${FRAMEFOLD_LD} -m ${emulation} -static -T ${script} --defsym=STACKS=${stacks} -z noexecstack -z max-page-size=4096 --build-id=none
            --orphan-handling=error --fatal-warnings -o ${elf} ${out}/entry.o ${out}/stubs.o
    DEPENDS ${out}/entry.o ${out}/stubs.o ${script}
    COMMENT "Linking ${elf}"
    VERBATIM)
  add_custom_command(
    OUTPUT ${toml}
    COMMAND ${CMAKE_COMMAND} -E copy ${arg_DESCRIPTION} ${toml}
    DEPENDS ${arg_DESCRIPTION}
    VERBATIM)

  # The library. `name` and `id` are what the two templates need.
  string(MAKE_C_IDENTIFIER ${name} id)
  set(templates ${PROJECT_SOURCE_DIR}/entry/common)
  configure_file(${templates}/bundled_entry.S.in ${out}/bundled_entry.S @ONLY)
  configure_file(${templates}/bundled_entry.cpp.in ${out}/bundled_entry.cpp @ONLY)
  set_source_files_properties(${out}/bundled_entry.S PROPERTIES OBJECT_DEPENDS "${elf};${toml}")
  add_library(entry_${name} STATIC ${out}/bundled_entry.S ${out}/bundled_entry.cpp ${elf} ${toml})
  target_include_directories(entry_${name} PUBLIC ${PROJECT_SOURCE_DIR}/entry)
  target_link_libraries(entry_${name} PRIVATE framefold_warnings)

  if(FRAMEFOLD_FUZZ AND TARGET framefold_fuzz AND (arg_FUZZER OR NOT arg_NOT_BUNDLED))
    configure_file(${templates}/fuzz_entry.cpp.in ${out}/fuzz_entry.cpp @ONLY)
    add_executable(${name}_fuzzer ${out}/fuzz_entry.cpp)
    target_link_libraries(${name}_fuzzer PRIVATE framefold_fuzz framefold_fuzz_engine entry_${name} framefold_warnings)
    if(NOT arg_NOT_BUNDLED)
      framefold_fuzzer_extras(${name})
    endif()
  endif()

  if(NOT arg_NOT_BUNDLED)
    set_property(GLOBAL APPEND PROPERTY FRAMEFOLD_BUNDLED ${name})
    set(corpus ${PROJECT_SOURCE_DIR}/corpus/${name})
    if(FRAMEFOLD_TESTS AND TARGET framefold AND EXISTS ${corpus})
      add_test(NAME corpus.${name} COMMAND framefold run --entry ${name} ${corpus})
    endif()
  endif()
endfunction()

# After the last add_entry(): the library framefold_entries with bundled_entries().
function(framefold_bundle_entries)
  get_property(names GLOBAL PROPERTY FRAMEFOLD_BUNDLED)
  list(SORT names)
  set(declarations "")
  set(calls "")
  foreach(name IN LISTS names)
    string(MAKE_C_IDENTIFIER ${name} id)
    string(APPEND declarations "BundledEntry bundled_entry_${id}();\n")
    string(APPEND calls "      bundled_entry_${id}(),\n")
  endforeach()
  list(LENGTH names count)
  set(source ${PROJECT_BINARY_DIR}/entry/bundled_entries.cpp)
  configure_file(${PROJECT_SOURCE_DIR}/entry/common/bundled_entries.cpp.in ${source} @ONLY)
  add_library(framefold_entries STATIC ${source})
  target_include_directories(framefold_entries PUBLIC ${PROJECT_SOURCE_DIR}/entry)
  list(TRANSFORM names PREPEND entry_)
  target_link_libraries(framefold_entries PUBLIC ${names} PRIVATE framefold_warnings)
endfunction()
