/*
 * What the versions of Mini-OS x86-64 have in common: the stubs of the exceptions and the return.
 */
#ifndef FRAMEFOLD_ENTRY_MINIOS64_H
#define FRAMEFOLD_ENTRY_MINIOS64_H

#include "common/guest.h"
#include "common/frame64.h"

/*
 * `exception_stub name, handler, error_code`: brings the stack to the same shape whether Xen pushed an error code (1) or
 * not (0). RAX, stored in the rdi slot, carries the handler's address to the common path.
 */
.macro exception_stub name, handler, error_code
function \name
        take_rcx_r11
        .ifeq   \error_code
        push    $0
        .endif
        push    %rax
        lea     \handler(%rip), %rax
        jmp     error_entry
end_function \name
.endm

/*
 * Return to kernel mode by iretq. Xen stores RPL 0 in CS for kernel mode; the CPU, which is in ring 3, takes 3 only. A
 * kernel that really runs in ring 0 must keep its RPL.
 */
.macro direct_iret
        testb   $0xff, xen_features + XENFEAT_supervisor_mode_kernel    /* 8 bytes */
        jnz_short 1f                                                    /* 2 */
        orb     $3, IRET_CS(%rsp)                                       /* 5 */
        orb     $3, IRET_SS(%rsp)                                       /* 5 */
1:      iretq                                                           /* 2 */
.endm

/* Return by the hypercall: what Xen wants above RIP is a word of flags. 0: a plain return. */
.macro hypercall_iret
        andl    $~NMI_MASK, IRET_RFLAGS(%rsp)                           /* 8 */
        push    $0                                                      /* 2 */
        jmp_near HYPERCALL_IRET                                         /* 5 */
.endm

/*
 * Return from the frame whose rip is at RSP, all registers restored: marked frames, which an NMI handler wants back at
 * Xen, by the hypercall. 47 bytes, all lengths fixed.
 */
.macro hypervisor_iret
        testl   $NMI_MASK, IRET_RFLAGS(%rsp)                            /* 8 */
        jnz_short 2f                                                    /* 2 */
        direct_iret
2:      hypercall_iret
.endm

#endif
