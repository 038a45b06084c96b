/*
 * Mini-OS x86-64 since 2013, as landed: folds with a single register saved, no table.
 *
 * Frame: common/frame64.h. 168 bytes: r15 at 0, orig_rax at 120, what Xen pushes from rip at 128.
 *
 * Region, from the unmask to the return, 59 bytes (49 without the feature test). All registers are restored before it
 * starts, but RAX, which holds the address of the vcpu_info and whose value is on the stack, just below rip:
 *
 *    offset  boundary before                     bytes   RSP at                     RAX
 *    ------  ----------------------------------  ------  -------------------------  ---------------
 *      0x00  scrit: test pending, jump if not    3, 2    the saved RAX, then rip    on the stack
 *      0x05  mask again                          4       the same                   on the stack
 *      0x09  pop RAX                             1       the same                   on the stack
 *      0x0a  restore_end: jump if pending        2       rip                        restored
 *      0x0c  test marker, jump if set            8, 2    rip                        restored
 *      0x16  test feature, jump if set           8, 2    rip                        restored
 *      0x20  RPL of CS, of SS                    5, 5    rip                        restored
 *      0x2a  iretq                               2       rip                        restored
 *      0x2c  clear marker                        8       rip                        restored
 *      0x34  push flag                           2       rip                        restored
 *      0x36  jump to the hypercall page          5       the flag (not foreseen)    restored
 *      0x3b  :ecrit
 */
#include "common/minios64.h"

        .text

function hypervisor_callback
        take_rcx_r11
        push    $0
        push    %rax
        lea     event_entry(%rip), %rax
        jmp     error_entry
end_function hypervisor_callback

/* The common path of all vectors. RAX: what to call with the frame. */
function error_entry
        cld                             /* Xen leaves DF as it was, C wants it clear */
        save_registers
        mov     %rsp, %rdi
        mov     FRAME_ORIG_RAX(%rsp), %rsi
        movq    $-1, FRAME_ORIG_RAX(%rsp)
label call_handler
        call    *%rax                   /* RSP mod 16 is 8 here; the ABI wants 0 */
        jmp     error_exit
end_function error_entry

/* The event callback goes on here. RDI: the frame. The return address is of no use. */
function event_entry
        mov     %rdi, %rsp
        mov     FRAME_RIP(%rsp), %rax
        cmp     $scrit, %rax
        jb      event_again
        cmp     $ecrit, %rax
        jb      critical_region_fixup
label event_again
        mov     PDA_IRQ_STACK, %rax
        incl    PDA_IRQ_COUNT
        cmovz   %rax, %rsp              /* only off a thread's stack */
        push    %rdi
label call_event_handler
        call    do_hypervisor_callback  /* on a stack just switched to, RSP mod 16 is 8 here; the ABI wants 0 */
        pop     %rsp
        decl    PDA_IRQ_COUNT
        jmp     error_exit
end_function event_entry

/*
 * Fold the nested frame into the interrupted one. The nested frame has all the registers as they were to be restored,
 * but for RAX before restore_end: that one is on the interrupted stack. The words that Xen pushed for the interrupted
 * frame are still there, at the interrupted RSP: put the nested frame's registers just below them. RSP is the one in the
 * nested frame, since Xen aligned the stack before it pushed. The two areas may overlap, and the source is the lower
 * one, so the copy goes downwards.
 *
 * RSP: the nested frame. RAX: its rip.
 */
function critical_region_fixup
        mov     FRAME_RSP(%rsp), %rdi
        cmp     $restore_end, %rax
        jae     1f
        mov     (%rdi), %rax
        mov     %rax, FRAME_RAX(%rsp)
        add     $8, %rdi
1:      mov     $FRAME_RIP, %ecx        /* 16 words */
2:      sub     $8, %rdi
        mov     -8(%rsp,%rcx), %rax
        mov     %rax, (%rdi)
        sub     $8, %ecx
        jnz     2b
        mov     %rdi, %rsp
        andb    $0xfc, FRAME_CS(%rsp)   /* the region may have set its RPL for the iretq */
        jmp     event_again
end_function critical_region_fixup

function error_exit
        mov     HYPERVISOR_shared_info, %rsi
        testl   $FLAGS_IF, FRAME_RFLAGS(%rsp)
        jz      exit_as_is
        testb   $1, VCPU_MASK(%rsi)
        jz      exit_as_is              /* enabled already: an exception that does not mask */

        restore_callee_saved
        restore_caller_saved
        push    %rax
        mov     HYPERVISOR_shared_info, %rax
        movb    $0, VCPU_MASK(%rax)
label scrit
        testb   $0xff, VCPU_PENDING(%rax)
        jz_short 1f
        movb    $1, VCPU_MASK(%rax)     /* leaves ZF alone, as the pop does */
1:      pop     %rax
label restore_end
        jnz_short event_pending
        hypervisor_iret
label ecrit
        length_is scrit, ecrit, 59

/* An event is pending, and masked again. All registers are restored: make the stack what Xen would have made of it. */
label event_pending
        push    %r11
        push    %rcx
        jmp     hypervisor_callback
end_function error_exit

/* Return with events as they are. */
function exit_as_is
        restore_callee_saved
        restore_caller_saved
        hypervisor_iret
end_function exit_as_is

/*
 * Xen could not reload a data segment's selector. It pushes DS, ES, FS and GS between R11 and RIP; that they stay on the
 * stack here, and that CS keeps RPL 0, is wrong, and was so.
 */
function failsafe_callback
        take_rcx_r11
        iretq
end_function failsafe_callback

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1
exception_stub nmi, do_nmi, 0
