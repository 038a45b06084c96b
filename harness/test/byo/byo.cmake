# Entries that are not framefold's: their images, linked as their own projects would, in <build>/harness/test/byo/<name>/
# beside entry.toml; and the objects alone, without what the rest of a kernel would define, in <name>.object/.

set(byo_files "")

# add_own_entry(<name> <source> <width> [DEFINES ...])
function(add_own_entry name source width)
  cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "DEFINES")
  set(out ${CMAKE_CURRENT_BINARY_DIR}/byo/${name})
  file(MAKE_DIRECTORY ${out} ${out}.object)
  framefold_assemble(${out}/whole.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/${source}.S ${width} DEFINES LINKED ${arg_DEFINES})
  framefold_assemble(${out}.object/${name}.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/${source}.S ${width} DEFINES ${arg_DEFINES})
  set(emulation elf_x86_64)
  if(width EQUAL 32)
    set(emulation elf_i386)
  endif()
  set(script ${PROJECT_SOURCE_DIR}/entry/common/image.ld)
  add_custom_command(
    OUTPUT ${out}/${name}.elf
    COMMAND ${FRAMEFOLD_LD} -m ${emulation} -static -T ${script} --defsym=STACKS=0 -e 0 -z noexecstack -z max-page-size=4096 --build-id=none
            -o ${out}/${name}.elf ${out}/whole.o
    DEPENDS ${out}/whole.o ${script}
    VERBATIM)
  if(width EQUAL 32)  # as 32-bit Linux lies; and where framefold's page below images would be. (DEFINED looks only at what
                      # the command says before the script.)
    foreach(place high:0xc0100000 low:0x000dc000)
      string(REGEX MATCH "^[a-z]+" image ${place})
      string(REGEX MATCH "0x[0-9a-f]+$" base ${place})
      add_custom_command(
        OUTPUT ${out}/${image}.elf
        COMMAND ${FRAMEFOLD_LD} -m ${emulation} -static --defsym=STACKS=0 --defsym=BASE=${base} -T ${script} -e 0
                -z noexecstack -z max-page-size=4096 --build-id=none -o ${out}/${image}.elf ${out}/whole.o
        DEPENDS ${out}/whole.o ${script}
        VERBATIM)
      list(APPEND byo_files ${out}/${image}.elf)
    endforeach()
  endif()
  configure_file(byo/${name}.toml ${out}/entry.toml COPYONLY)
  set(byo_files ${byo_files} ${out}/${name}.elf ${out}.object/${name}.o PARENT_SCOPE)
endfunction()

add_own_entry(padded64 padded64 64)
add_own_entry(bypage64 padded64 64 DEFINES LEAVE_BY_PAGE)
add_own_entry(trapframe32 trapframe32 32)
add_own_entry(middle64 padded64 64 DEFINES PAGE_MIDDLE)

# Objects beside padded64.o: one that calls what nobody defines, and one with what else a kernel's object holds.
set(out ${CMAKE_CURRENT_BINARY_DIR}/byo/padded64.object)
framefold_assemble(${out}/calls_out.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES CALLS_OUT)
framefold_assemble(${out}/privileged64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES PRIVILEGED)
foreach(variant PORT_IO GOT IRQ_STACK IRQ_FLAG RETURNS RETURNS_EACH PAGE_BEFORE PAGE_BEHIND CALLS_BY_POINTER LARGE_DATA LOOKS COPIES
        NULL_POINTER CALLS_NULL WEAK_CALL WEAK_DATA WEAK_LOOKED_AT ZEROED LOOKS_NESTED LOOKS_OVERWRITTEN LOOKS_FLAGS LOOKS_CARRY OF_SEVERAL
        MASKS_BEHIND LATE_LABEL NEEDS_MASK USERS USERS_PLAIN USERS_TAKEN USERS_WORK
        LOOKS_PUSHF LOOKS_CARRY_BEHIND_INC LOOKS_UNALIGNED USES_XMM COUNTS ERROR_IN_RDX ERROR_LOST
        INSIDE_BY_POINTER CALLS_IN_WINDOW NO_LOWER_BOUND HALF_RSP CALLS_IN_FOLD TRAPS_IN_FOLD FOLDS_LOW OWN_HELPER STACK_BASE OTHER_HANDLER KEEPS_RAX GS_EARLY STACK_BY_RSP GS_VCPU)
  string(TOLOWER ${variant} object)
  framefold_assemble(${out}/${object}64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES ${variant})
  list(APPEND byo_files ${out}/${object}64.o)
endforeach()
foreach(unseen "call;-38" "inside;2")  # RAX as it is there, and as it never is
  list(GET unseen 0 where)
  list(GET unseen 1 rax)
  string(TOUPPER UNSEEN_${where} define)
  framefold_assemble(${out}/unseen_${where}64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES ${define} SLIPS=${rax})
  framefold_assemble(${out}/unseen_${where}_right64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES ${define} SLIPS=1)
  list(APPEND byo_files ${out}/unseen_${where}64.o ${out}/unseen_${where}_right64.o)
endforeach()
foreach(object pvkernel64 pvexit64 bss64 always_page64)
  framefold_assemble(${out}/${object}.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/${object}.S 64)
  list(APPEND byo_files ${out}/${object}.o)
endforeach()
foreach(byte shinfo+1 evtchn_upcall_mask in_upcall)  # event bytes of an object's own, and a flag that is none
  string(REPLACE + _ object ${byte})
  framefold_assemble(${out}/own_${object}64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/always_page64.S 64 DEFINES OWN_DATA EVENT_BYTE=${byte})
  list(APPEND byo_files ${out}/own_${object}64.o)
endforeach()
foreach(way STACK_IN_RAX STACK_BY_XCHG STACK_LOST)  # how a stack's pointer gets into RSP
  string(TOLOWER ${way} object)
  framefold_assemble(${out}/${object}64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES IRQ_STACK ${way})
  list(APPEND byo_files ${out}/${object}64.o)
endforeach()
framefold_assemble(${out}/startup64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/startup64.S 64)
framefold_assemble(${out}/data64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/data64.S 64)
framefold_assemble(${out}/hooks64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES HOOKS)
framefold_assemble(${out}/../trapframe32.object/hooks32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32 DEFINES HOOKS)
framefold_assemble(${out}/percpu64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES PER_CPU)
framefold_assemble(${out}/../trapframe32.object/percpu32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32 DEFINES PER_CPU)
framefold_assemble(${out}/../trapframe32.object/percpu_rpl0_32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32
                   DEFINES PER_CPU CPU_DS=0xd8)
framefold_assemble(${out}/../trapframe32.object/looks_argument32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32 DEFINES LOOKS_ARGUMENT)
framefold_assemble(${out}/../trapframe32.object/exchanges32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32 DEFINES EXCHANGES)
list(APPEND byo_files ${out}/../trapframe32.object/looks_argument32.o ${out}/../trapframe32.object/exchanges32.o)
foreach(area cpu_area area_start)  # one name says what it is
  framefold_assemble(${out}/gs_${area}64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES GS_AREA=${area})
  list(APPEND byo_files ${out}/gs_${area}64.o)
endforeach()
framefold_assemble(${out}/gs_own_info64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES GS_AREA=cpu_area OWN_INFO)
list(APPEND byo_files ${out}/gs_own_info64.o)
framefold_assemble(${out}/changes_rcx64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES CHANGES=96)
framefold_assemble(${out}/changes_rbx64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES CHANGES=48)
framefold_assemble(${out}/counts_in_rcx64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES COUNTS_IN_RCX)
framefold_assemble(${out}/rcx_lost64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES COUNTS_IN_RCX RCX_LOST)
list(APPEND byo_files ${out}/changes_rcx64.o ${out}/changes_rbx64.o ${out}/counts_in_rcx64.o ${out}/rcx_lost64.o)
# What names do not show: a hypercall page, and that a C handler is no callback.
framefold_assemble(${out}/gate64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES USERS xen_calls=gate fault_dispatch=c_nmi)
list(APPEND byo_files ${out}/gate64.o)
framefold_assemble(${out}/helper64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES HELPER)
framefold_assemble(${out}/helper_irq64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES HELPER IRQ_STACK)
framefold_assemble(${out}/fs_early64.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/padded64.S 64 DEFINES PER_CPU USERS FS_EARLY)
framefold_assemble(${out}/../trapframe32.object/fs_kept32.o ${CMAKE_CURRENT_SOURCE_DIR}/byo/trapframe32.S 32
                   DEFINES PER_CPU FS_KEPT)
list(APPEND byo_files ${out}/fs_early64.o ${out}/../trapframe32.object/fs_kept32.o)
list(APPEND byo_files ${out}/helper64.o ${out}/helper_irq64.o)
list(APPEND byo_files ${out}/percpu64.o ${out}/../trapframe32.object/percpu32.o
     ${out}/../trapframe32.object/percpu_rpl0_32.o)
list(APPEND byo_files ${out}/hooks64.o ${out}/../trapframe32.object/hooks32.o)
list(APPEND byo_files ${out}/calls_out.o ${out}/privileged64.o ${out}/startup64.o ${out}/data64.o)

add_custom_target(own_entries DEPENDS ${byo_files})
