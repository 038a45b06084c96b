/*
 * What the entry codes of both widths share: Xen's constants, the offsets of its two event bytes, and a few macros.
 *
 * Constants that Xen's public headers define come from there. The others say where they are from.
 */
#ifndef FRAMEFOLD_ENTRY_GUEST_H
#define FRAMEFOLD_ENTRY_GUEST_H

#include <xen/xen.h>
#include <xen/features.h>

/* struct vcpu_info of <xen/xen.h>, which assembly cannot include. */
#define VCPU_PENDING 0 /* evtchn_upcall_pending: Xen sets it when it raises an event, and never clears it */
#define VCPU_MASK 1    /* evtchn_upcall_mask: not 0 means that Xen delivers no event */

/* RFLAGS, as the SDM numbers its bits. */
#define FLAGS_IF 0x200
#define FLAGS_VM 0x20000

/*
 * A convention of the guests: their NMI handler sets bit 31 of the saved flags, so that the exit code leaves by the
 * hypercall and Xen learns that the NMI has ended. Neither Xen nor a CPU ever sets it.
 */
#define NMI_MASK 0x80000000

/* Xen fills the hypercall page with one stub of 32 bytes a hypercall number. */
#define HYPERCALL_IRET hypercall_page+__HYPERVISOR_iret*32

/* Every label gets a row in the line table, so that the branches below are shown with their own source line. */
        .loc_mark_labels 1

/*
 * Branches of a fixed length. The assembler picks the length of an ordinary one late, after it has evaluated `.if`: a
 * check of a region's length needs these, and a fixup table with an entry for each byte of code is written for them.
 */
.macro jnz_near target /* 6 bytes */
.Lbranch\@:
        .byte   0x0f, 0x85
        .long   \target - . - 4
.endm
.macro jnz_short target /* 2 bytes */
.Lbranch\@:
        .byte   0x75, \target - . - 1
.endm
.macro jz_short target /* 2 bytes */
.Lbranch\@:
        .byte   0x74, \target - . - 1
.endm
.macro jmp_near target /* 5 bytes */
.Lbranch\@:
        .byte   0xe9
        .long   \target - . - 4
.endm
.macro jmp_short target /* 2 bytes */
.Lbranch\@:
        .byte   0xeb, \target - . - 1
.endm

/* `function name` ... `end_function name`: a global symbol with its size. */
.macro function name
        .globl  \name
        .type   \name, @function
\name:
.endm
.macro end_function name
        .size   \name, . - \name
.endm

/* A label inside a function that a description names. */
.macro label name
        .globl  \name
\name:
.endm

/* `length_is first, behind, bytes`: stops the assembly if the code between two labels has another length. */
.macro length_is first, behind, bytes
        .if     (\behind - \first) != (\bytes)
        .error  "the code from \first to \behind is not \bytes bytes long"
        .endif
.endm

/*
 * A C handler, modelled: framefold takes over at its first instruction and goes on at its `ret`, so that both are
 * places where Xen can take control. In between it does what a handler may do to the registers and the stack.
 */
.macro modelled_handler name
        .pushsection .text.handlers, "ax", @progbits
        .balign 16
function \name
        nop
        ret
end_function \name
        .popsection
.endm

/* A zeroed object of the guest's data section: `guest_data name, bytes`. */
.macro guest_data name, bytes
        .pushsection .data
        .balign 8
        .globl  \name
        .type   \name, @object
        .size   \name, \bytes
\name:  .skip   \bytes
        .popsection
.endm

/* A word that holds the address of the vcpu_info; framefold fills it. */
.macro vcpu_info_pointer name
#ifdef __x86_64__
        guest_data \name, 8
#else
        guest_data \name, 4
#endif
.endm

#endif
