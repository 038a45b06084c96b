/*
 * Linux on Xen, i386, as it was from 2019 to 2020 (5.4 to 5.8): every register is restored before events are enabled,
 * all but EAX, so that a nested frame needs no more than that one to be folded.
 *
 * The stack frame, from the stack pointer upwards. The guest's kernel runs in ring 1, so a frame from kernel mode has
 * no ESP and no SS (nothing is aligned, and the interrupted ESP is the address behind eflags); one from user mode has
 * both.
 *
 *    offset  word      stored by
 *    ------  --------  ---------------------------------------------------------------------------------------
 *      0x40  ss        Xen, from user mode only
 *      0x3c  esp       Xen, from user mode only; from kernel mode this is the first word of the interrupted stack
 *      0x38  eflags    Xen; IF here is the inverse of the event mask, the CPU's own IF is always 1
 *      0x34  cs        Xen, with the RPL of the interrupted code: 1 kernel, 3 user; bits 16 to 23 hold the event mask
 *      0x30  eip       Xen
 *      0x2c  orig_eax  Xen's error code, or a word that the stub pushes: it is never restored
 *      0x28  gs        the entry code, from here down
 *      0x24  fs
 *      0x20  es
 *      0x1c  ds
 *      0x18  eax
 *      0x14  ebp
 *      0x10  edi
 *      0x0c  esi
 *      0x08  edx
 *      0x04  ecx
 *      0x00  ebx
 *
 * The critical region, xen_iret_start_crit to xen_iret_end_crit, 16 bytes.
 *
 *    offset  instruction             on the stack
 *      0x00  compare pending, mask     eax eip cs eflags    events are enabled from here on, if the frame says so
 *      0x05  skip if not equal         eax eip cs eflags
 *      0x07  mask events               eax eip cs eflags
 *      0x0c  pop eax                   eax eip cs eflags
 *      0x0d  to the callback if equal  eip cs eflags        iret_restore_end: every register is back
 *      0x0f  iret                      eip cs eflags
 */
#include "common/guest.h"

#define FRAME_EAX 0x18
#define FRAME_ORIG_EAX 0x2c
#define FRAME_EIP 0x30
#define FRAME_CS 0x34
#define FRAME_EFLAGS 0x38

/* The three words that Xen pushed, where an `iret` could stand. */
#define IRET_CS 4
#define IRET_EFLAGS 8
#define IRET_SIZE 12 /* from kernel mode */

#define WORK_REQUESTED 1 /* in work_flags */

/*
 * Completes the frame below orig_eax and makes the C code's assumptions true: DF is clear, and DS and ES are the
 * kernel's. They may be the user's even where kernel code was interrupted, because the exit code restores them before
 * it returns.
 */
.macro save_all
        cld
        pushl   %gs
        pushl   %fs
        pushl   %es
        pushl   %ds
        pushl   %eax
        pushl   %ebp
        pushl   %edi
        pushl   %esi
        pushl   %edx
        pushl   %ecx
        pushl   %ebx
        movl    $FLAT_KERNEL_DS, %edx
        movl    %edx, %ds
        movl    %edx, %es
.endm

.macro restore_regs
        popl    %ebx
        popl    %ecx
        popl    %edx
        popl    %esi
        popl    %edi
        popl    %ebp
        popl    %eax
        popl    %ds
        popl    %es
        popl    %fs
        popl    %gs
.endm

        .text

/*
 * Stands where an `iret` would. DS is the interrupted code's already, and a user may have put anything there, so the
 * kernel's data is reached through SS.
 */
function xen_iret
        testl   $(FLAGS_VM | NMI_MASK), IRET_EFLAGS(%esp)
        jnz     hyper_iret
        pushl   %eax
        movl    %ss:xen_vcpu, %eax
        testb   $(FLAGS_IF >> 8), 4 + IRET_EFLAGS + 1(%esp)
        setz    %ss:VCPU_MASK(%eax)             # the mask is what IF is not
label xen_iret_start_crit
        cmpw    $0x0001, %ss:VCPU_PENDING(%eax) # pending and not masked: of the store, Xen knows nothing
        jnz_short 1f
        movb    $1, %ss:VCPU_MASK(%eax)
1:      popl    %eax                            # neither this nor the store changes ZF
label iret_restore_end
        jz_short hypervisor_callback            # as if Xen had delivered the event just now
        iret
label xen_iret_end_crit
        length_is xen_iret_start_crit, xen_iret_end_crit, 16
end_function xen_iret

/*
 * Xen enters here to deliver an event, with events masked; nothing is saved yet, so only the flags may change.
 *
 * If the event interrupted the region, everything but EAX is as the first frame's owner left it. The first frame is
 * then behind this one (and behind the EAX that was pushed), and this one is dropped.
 */
function hypervisor_callback
        cmpl    $xen_iret_start_crit, (%esp)
        jb      save_frame
        cmpl    $xen_iret_end_crit, (%esp)
        jb      xen_iret_crit_fixup
save_frame:
        pushl   $-1                             # orig_eax: only its place matters
        save_all
        movl    %esp, %eax
        call    xen_evtchn_do_upcall

/*
 * Every way out ends here. Events are masked, and before a return to user mode the kernel's work is looked for: from
 * there to the region nothing can ask for more of it. An event in the region is folded, and comes through here once
 * more.
 */
label ret_from_intr
        movl    xen_vcpu, %esi
        movb    $1, VCPU_MASK(%esi)
        testb   $2, FRAME_CS(%esp)              # RPL 3: to user mode
        jz      ret_to_kernel
resume_userspace:
        testl   $WORK_REQUESTED, work_flags
        jnz     work_pending
label restore_all
        restore_regs
        addl    $4, %esp                        # orig_eax
        jmp     xen_iret
end_function hypervisor_callback

/*
 * A return to kernel code is a return to user mode all the same, as far as work is concerned, if that code is the
 * critical region: an exception there lets events in, one of them may ask for work, and the region's own test lies
 * behind it.
 */
function ret_to_kernel
        movl    FRAME_EIP(%esp), %eax
        subl    $xen_iret_start_crit, %eax
        cmpl    $(xen_iret_end_crit - xen_iret_start_crit), %eax
        jb      resume_userspace
        jmp     restore_all
end_function ret_to_kernel

/* The kernel would reschedule or deliver signals here. For the way out it matters that the flags are tested again. */
function work_pending
        movl    $0, work_flags
        jmp     resume_userspace
end_function work_pending

/*
 * Virtual-8086 mode is beyond an `iret` in ring 1, and Xen has to hear of the end of an NMI. Xen sets the event mask
 * from the frame's IF in the same step as it returns, so nothing is ever unmasked on this way, and there is nothing
 * to fold.
 */
function hyper_iret
        jmp     HYPERCALL_IRET
end_function hyper_iret

function xen_iret_crit_fixup
        testb   $2, IRET_CS(%esp)               # RPL 3: user mode, where an EIP may be any number,
        jnz     save_frame                              # and where no frame of ours lies above this one
        cmpl    $iret_restore_end, (%esp)
        jae     2f
        movl    IRET_SIZE(%esp), %eax           # what the interrupted code had pushed
        addl    $(IRET_SIZE + 4), %esp
        jmp     save_frame
2:      addl    $IRET_SIZE, %esp
        jmp     save_frame
end_function xen_iret_crit_fixup

/* Exceptions share the way out. Some are delivered with events masked (TI_GET_IF), others leave the mask alone. */
.macro exception_stub name, handler, has_error_code
function \name
        .if     !\has_error_code
        pushl   $0
        .endif
        save_all
        movl    FRAME_ORIG_EAX(%esp), %edx
        movl    %esp, %eax
        call    \handler                        # handler(frame, error code)
        jmp     ret_from_intr
end_function \name
.endm

exception_stub divide_error, do_divide_error, 0
exception_stub general_protection, do_general_protection, 1
exception_stub page_fault, do_page_fault, 1

modelled_handler xen_evtchn_do_upcall

/* Per CPU in the kernel; there is one. */
vcpu_info_pointer xen_vcpu
