# Variants of the entries: each a patch of a few lines, variants/<entry>/<name>.patch, that starts with what it does.
#
# A variant is an entry named <entry>.<name>, in <build>/entry/<entry>.<name>/; variants.hpp finds it. Its description is
# the entry's, with its known violations.

set(variants "")

# add_variant(<entry> <name> [PATCH <file in variants/>] [NESTS ON|OFF]). NESTS: described as one that folds nothing, or not
# as one.
function(add_variant entry name)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "PATCH;NESTS" "")
  if(NOT arg_PATCH)
    set(arg_PATCH ${entry}/${name}.patch)
  endif()
  set(folder ${PROJECT_SOURCE_DIR}/entry/${entry})
  set(description ${folder}/entry.toml)
  if(DEFINED arg_NESTS)
    file(READ ${description} text)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${description})
    string(REPLACE "\nnests = true\n" "\n" text "${text}")
    if(arg_NESTS)
      string(PREPEND text "nests = true\n")
    endif()
    set(description ${CMAKE_CURRENT_BINARY_DIR}/variants/${entry}.${name}.toml)
    file(CONFIGURE OUTPUT ${description} CONTENT "@text@" @ONLY)
  endif()
  add_entry(${entry}.${name} SOURCE ${folder}/${entry}.S DESCRIPTION ${description}
            PATCH ${CMAKE_CURRENT_SOURCE_DIR}/variants/${arg_PATCH} NOT_BUNDLED)
  list(APPEND variants ${entry}.${name})
  set(variants ${variants} PARENT_SCOPE)
endfunction()

# Cures: one known violation, or those of one cause, are gone.
foreach(entry minios-x86_64-nesting minios-x86_64-table minios-x86_64-single)
  add_variant(${entry} aligned_event_stack PATCH minios-x86_64-table/aligned_event_stack.patch)
  add_variant(${entry} aligned_exception_stack PATCH minios-x86_64-table/aligned_exception_stack.patch)
endforeach()
add_variant(minios-x86_64-nesting folded NESTS OFF)
add_variant(minios-x86_64-table marker_kept)
add_variant(minios-x86_64-table page_folded)
foreach(cure flag_stepped_over marked_leave_masked marker_kept nmi_not_folded page_folded)
  add_variant(minios-x86_64-single ${cure})
endforeach()
add_variant(xenlinux-x86_64-nesting page_left_masked)
add_variant(xenlinux-x86_64-nesting user_leave_masked)
add_variant(xenlinux-x86_64-nesting folded NESTS OFF)
add_variant(minios-x86_32-table cs_checked PATCH xenlinux-x86_32-table/cs_checked.patch)
add_variant(xenlinux-x86_32-table cs_checked)
add_variant(linux-x86_32-single any_pending)
add_variant(linux-x86_32-single port_cleared)
add_variant(linux-x86_32-2007 any_pending)
add_variant(linux-x86_32-2007 never_unmask)
add_variant(linux-x86_32-2007 null_ds_by_hypercall)

# One a kind of violation.
foreach(kind register_mismatch flags_mismatch mask_mismatch early_delivery nmi_masked lost_event critical_frame handler_frame
        stack_smash entry_data guest_fault domain_crash runaway)
  add_variant(minios-x86_64-fixed ${kind})
endforeach()
add_variant(minios-x86_64-fixed handler_abi PATCH minios-x86_64-fixed/no_cld.patch)
add_variant(minios-x86_64-fixed unbounded_nesting PATCH minios-x86_64-fixed/critical_frame.patch NESTS ON)
add_variant(linux-x86_64-hypercall work_missed)

# No longer blind to what is interrupted: right all the same, and wrong for some of it.
foreach(variant looks_at_rip looks_at_rsp wrong_at_one_rip wrong_at_one_rsp wrong_for_one_rcx wrong_for_one_flag
        wrong_for_one_id wrong_for_one_word right_for_one_word unmasks_at_one_rip wrong_at_one_older_rip
        wrong_at_one_rip_by_bytes wrong_at_one_rip_by_popw wrong_at_one_rsp_moved wrong_at_one_rsp_scaled
        looks_at_cr2 wrong_for_one_cr2 notes_rsp wrong_at_one_noted_rsp)
  add_variant(minios-x86_64-fixed ${variant})
endforeach()

# What they do is seen however they do it, and stays in no other run; three are right all the same.
foreach(variant counts_by_bit counts_by_index enters enters_below fs_lost gs_lost notes_in_xmm notes_on_shared_page
        reads_dead_by_index reads_dead_by_xlat reads_random reads_time unmasks_by_index)
  add_variant(minios-x86_64-fixed ${variant})
endforeach()
add_variant(minios-x86_32-fixed reads_dead_by_index)

# Folds that leave it to the exit to call the handler: right, and one that is not.
add_variant(minios-x86_64-fixed lazy_fold)
add_variant(minios-x86_32-fixed lazy_fold)
add_variant(linux-x86_32-single lazy_fold)
add_variant(minios-x86_64-fixed lazy_fold_short)

# Look at the selector themselves, and return from an upcall for which there is no port: two are wrong.
foreach(variant spurious_cleared spurious_left spurious_raced)
  add_variant(minios-x86_64-fixed ${variant})
endforeach()
add_variant(linux-x86_64-hypercall spurious_cleared)

# Masks events again and does not save anew what a nested frame may have overwritten.
add_variant(xenlinux-x86_64-nesting one_not_saved_again)
add_variant(xenlinux-x86_64-nesting one_not_saved_again_by_lea)

# Count on what lies below where the stack pointer left a stack.
add_variant(minios-x86_64-fixed back_below_left_stack)
add_variant(minios-x86_64-fixed reads_left_stack)

# Planted faults, each a slip that somebody could make.
foreach(fault copy_upwards dropped_save event_ignored fixed_distance folds_downwards handler_skipped no_cld no_count
        no_rpl_clear no_stack_switch pop_before_mask push_order rax_not_copied region_late region_short restore_end_ja
        rip_cut rip_half_compared selector_cleared start_jbe wide_unmask zf_changed)
  add_variant(minios-x86_64-fixed ${fault})
endforeach()
foreach(fault end_jbe feature_test_removed fixed_distance instruction_removed no_cld no_rpl_clear region_late remask_value
        stale_rax start_jbe table_short)
  add_variant(minios-x86_64-table ${fault})
endforeach()
add_variant(minios-x86_64-table dropped_save PATCH minios-x86_64-fixed/dropped_save.patch)
add_variant(minios-x86_64-table half_a_word)     # behind what is known of the same calls
add_variant(minios-x86_64-table df_at_handlers)  # behind what is known of the same calls
add_variant(linux-x86_32-2007 smashes_stack)     # behind what is known of the same returns
foreach(fault marker_cleared restore_end_ja)  # in buckets of what is known of this entry
  add_variant(minios-x86_64-single ${fault})
endforeach()
foreach(fault ds_es_exchanged no_cs_check no_kernel_es)
  add_variant(minios-x86_32-fixed ${fault})
endforeach()
foreach(fault fold_skips_work nmi_enables no_cs_check work_bits work_for_kernel)
  add_variant(xenlinux-x86_32-fixed ${fault})
endforeach()
foreach(fault frame_enables user_rip_cut user_rsp_cut wide_mask work_for_kernel)
  add_variant(linux-x86_64-hypercall ${fault})
endforeach()
foreach(fault fs_gs_exchanged gs_lost sete user_esp_cut)
  add_variant(linux-x86_32-single ${fault})
endforeach()

# The library framefold_variants: all of them, by name.
set(declarations "")
set(calls "")
foreach(variant IN LISTS variants)
  string(MAKE_C_IDENTIFIER ${variant} id)
  string(APPEND declarations "BundledEntry bundled_entry_${id}();\n")
  string(APPEND calls "      bundled_entry_${id}(),\n")
endforeach()
configure_file(variants/variants.cpp.in ${CMAKE_CURRENT_BINARY_DIR}/variants/variants.cpp @ONLY)
add_library(framefold_variants STATIC variants.cpp directed.cpp around.cpp cures.cpp reproducers.cpp planted_faults.cpp
            ${CMAKE_CURRENT_BINARY_DIR}/variants/variants.cpp)
list(TRANSFORM variants PREPEND entry_)
target_link_libraries(framefold_variants PUBLIC framefold_run framefold_entries ${variants} PRIVATE framefold_warnings)
target_compile_definitions(framefold_variants PUBLIC FRAMEFOLD_VARIANTS_FOLDER="${PROJECT_BINARY_DIR}/entry"
                           PRIVATE FRAMEFOLD_REPRODUCERS="${PROJECT_SOURCE_DIR}/reproducers"
                                   FRAMEFOLD_AIMS="${CMAKE_CURRENT_SOURCE_DIR}/aims")

# The fuzz target with all of them, FRAMEFOLD_VARIANT=<name> says which: with an engine, and with one that only replays.
add_executable(list_planted tools/list_planted.cpp)
target_link_libraries(list_planted PRIVATE framefold_variants framefold_warnings)
add_executable(time_exploration tools/time_exploration.cpp)
target_link_libraries(time_exploration PRIVATE framefold_explore framefold_variants framefold_warnings)
add_executable(variant_replay tools/variant_replay.cpp tools/variant_entry.cpp)
target_link_libraries(variant_replay PRIVATE framefold_fuzz framefold_variants framefold_warnings)
set_target_properties(variant_replay PROPERTIES ENABLE_EXPORTS ON) # names in the stack that it prints
if(TARGET framefold_fuzz_engine)
  add_executable(variant_fuzzer tools/variant_entry.cpp)
  target_link_libraries(variant_fuzzer PRIVATE framefold_fuzz framefold_fuzz_engine framefold_variants framefold_warnings)
endif()
