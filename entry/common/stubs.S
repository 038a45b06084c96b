/*
 * What every entry image links against, so that an entry's own file holds its entry code and nothing else: modelled
 * handlers, the guest's data, the stacks and the hypercall page. One file for both widths.
 */
#include "common/guest.h"

/* C handlers by the names that most of the systems use. Others: `modelled_handler` in the entry's own file. */
modelled_handler do_hypervisor_callback
modelled_handler do_divide_error
modelled_handler do_general_protection
modelled_handler do_page_fault
modelled_handler do_nmi

/* The shared info page; vcpu_info[0] is at its start. */
vcpu_info_pointer HYPERVISOR_shared_info

/* One byte a feature, as XENVER_get_features reports them. All 0: Xen offers none that entry code asks for. */
guest_data xen_features, 32

/* Reasons to do more work before user mode goes on, for the entries that have such a word. */
guest_data work_flags, 4

#ifdef __x86_64__
/* Per-CPU data, which the kernel's GS base points at: see PDA_IRQ_COUNT and PDA_IRQ_STACK. */
        .data
        .balign 8
        .globl  cpu_pda, irq_count
        .type   cpu_pda, @object
        .size   cpu_pda, 16
cpu_pda:
irq_count:
        .long   -1
        .long   0
        .quad   interrupt_stack_top
#endif

/* Stacks. The linker script keeps an unmapped guard on both sides of each. */
#define STACK_SIZE 0x4000
.macro stack name
        .section .stack.\name, "aw", @nobits
        .balign 4096
        .globl  \name\()_stack, \name\()_stack_top
        .type   \name\()_stack, @object
        .size   \name\()_stack, STACK_SIZE
\name\()_stack:
        .skip   STACK_SIZE
\name\()_stack_top:
.endm

stack thread
stack interrupt
stack kernel

/* An image without tables would have an empty segment for them. */
        .section .rodata
        .asciz  "framefold entry image"

/* Xen writes the real stubs at load. Until then, as Xen itself leaves the gaps: int3. */
        .section .hypercall_page, "ax", @progbits
        .balign 4096
        .globl  hypercall_page
        .type   hypercall_page, @object
        .size   hypercall_page, 4096
hypercall_page:
        .fill   4096, 1, 0xcc
