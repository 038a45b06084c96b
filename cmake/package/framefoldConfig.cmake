# find_package(framefold): the command, as framefold::framefold, and framefold_add_entry().

include_guard(GLOBAL)

get_filename_component(framefold_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET framefold::framefold)
  add_executable(framefold::framefold IMPORTED)
  set_target_properties(framefold::framefold PROPERTIES IMPORTED_LOCATION "${framefold_prefix}/bin/framefold")
endif()

# framefold_add_entry(<name> DESCRIPTION <entry.toml> [REPORTS <folder>] [OPTIONS ...])
#
# Two tests for ctest: framefold.<name>.check, whether the description holds, and framefold.<name>.explore, every interleaving.
# Where the description does not hold, the latter does not run, or, with REPORTS, says so in them: they are always this run's.
# DESCRIPTION is used where it is, so the image that it names lies relative to it: put it beside the object that the build
# makes (configure_file(... COPYONLY)). REPORTS: where to write <name>.xml (JUnit) and <name>.sarif; OPTIONS: more of
# `framefold explore`.
function(framefold_add_entry name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "DESCRIPTION;REPORTS" "OPTIONS")
  if(arg_UNPARSED_ARGUMENTS OR NOT arg_DESCRIPTION)
    message(FATAL_ERROR "framefold_add_entry(${name}): expected DESCRIPTION <entry.toml> [REPORTS <folder>] [OPTIONS ...]")
  endif()
  get_filename_component(description "${arg_DESCRIPTION}" ABSOLUTE)
  set(reports "")
  if(arg_REPORTS)
    get_filename_component(folder "${arg_REPORTS}" ABSOLUTE BASE_DIR "${CMAKE_CURRENT_BINARY_DIR}")
    file(MAKE_DIRECTORY "${folder}")
    set(reports --junit "${folder}/${name}.xml" --sarif "${folder}/${name}.sarif")
  endif()
  add_test(NAME framefold.${name}.check COMMAND framefold::framefold check --entry "${description}")
  add_test(NAME framefold.${name}.explore
           COMMAND framefold::framefold explore --entry "${description}" ${reports} ${arg_OPTIONS})
  if(NOT arg_REPORTS)
    set_tests_properties(framefold.${name}.check PROPERTIES FIXTURES_SETUP framefold.${name})
    set_tests_properties(framefold.${name}.explore PROPERTIES FIXTURES_REQUIRED framefold.${name})
  endif()
endfunction()
