/*
 * An entry code of nobody's system, 32-bit: the frame has all four data segments first, a word for a trap number and
 * one for an error code below eip. The vcpu_info is a structure of the image. No symbol is global.
 *
 *    offset  word      stored by
 *    ------  --------  ------------------------------------------
 *      0x40  esp, ss   Xen, from user mode only
 *      0x34  eip, cs, eflags  Xen
 *      0x30  error     Xen's error code, or 0
 *      0x2c  trapno    the stub
 *      0x28  eax       the save path, from here down
 *      0x24  ecx
 *      0x20  edx
 *      0x1c  ebx
 *      0x18  ebp
 *      0x14  esi
 *      0x10  edi
 *      0x0c  ds
 *      0x08  es
 *      0x04  fs
 *      0x00  gs
 *
 * With FS_KEPT, per-CPU data is in the segment that FS holds in the kernel, and nobody loads it.
 *
 * Region, crit_lo to crit_hi. Registers are restored but EAX, which is on the stack until crit_back; nothing is copied.
 *
 *      0x00  pending and not masked?      eax eip cs eflags
 *            skip if not; mask; pop eax   eax eip cs eflags
 *            crit_back: once more if so   eip cs eflags
 *            iret                         eip cs eflags
 */
        .set    KERNEL_DS, 0xe021       /* FLAT_RING1_DS of Xen's public headers */
        .set    EIP, 0x34
#ifdef PER_CPU
/* A segment of the guest's own for per-CPU data; of an array of vcpu_info, 128 bytes apart, this vCPU's is number 2. */
#ifndef CPU_DS
#define CPU_DS 0xd9
#endif
#define VCPU vcpu_area + 2 * 128
#else
#define VCPU vcpu_area
#endif

.macro save trapno
        pushl   $\trapno
        cld
        pushl   %eax
        pushl   %ecx
        pushl   %edx
        pushl   %ebx
        pushl   %ebp
        pushl   %esi
        pushl   %edi
        pushl   %ds
        pushl   %es
        pushl   %fs
        pushl   %gs
        movl    $KERNEL_DS, %edx
        movl    %edx, %ds
        movl    %edx, %es
#if defined(PER_CPU) && !defined(FS_KEPT)
        movl    $CPU_DS, %edx
        movl    %edx, %fs
#endif
.endm

        .section .entry.text, "ax", @progbits

upcall:
        cmpl    $crit_lo, (%esp)
        jb      upcall_save
        cmpl    $crit_hi, (%esp)
        jb      upcall_fold
upcall_save:
        pushl   $0
        save    0xff
#ifdef HOOKS
/* Functions of other objects, each with something that this code relies on. */
        call    hook_value              /* returns 7, or 9 to ask for hook_never */
        cmp     $7, %eax
        je      1f
        cmp     $9, %eax
        jne     hooks_wrong
        call    hook_never
1:      call    hook_store              /* sets the word */
        cmpl    $5, hook_word
        jne     hooks_wrong
        movl    $0, hook_word
        call    hook_event              /* lets one event in */
        lea     hook_word, %ecx
        call    hook_quiet              /* in assembly: keeps every register */
        cmpl    $0, (%ecx)
        jne     hooks_wrong
#endif
        pushl   %esp
        call    event_handler
#ifdef LOOKS_ARGUMENT
        cmpl    $0, (%esp)              /* the handler's own */
        je      .
#endif
        addl    $4, %esp

leave:
#ifdef PER_CPU
        movl    %fs:4, %ebx
        shll    $7, %ebx
        movb    $1, vcpu_area + 1(%ebx)
#else
        movb    $1, vcpu_area + 1
#endif
        popl    %gs
        popl    %fs
#ifdef EXCHANGES
        popl    %ds
        popl    %es
#else
        popl    %es
        popl    %ds
#endif
        popl    %edi
        popl    %esi
        popl    %ebp
        popl    %ebx
        popl    %edx
        popl    %ecx
        popl    %eax
        addl    $8, %esp
        pushl   %eax
        movl    $VCPU, %eax
        testb   $2, 4 + 8 + 1(%esp)
        setz    %ss:1(%eax)
crit_lo:
        cmpw    $1, %ss:(%eax)
        jne     1f
        movb    $1, %ss:1(%eax)
1:      popl    %eax
crit_back:
        je      upcall
        iret
crit_hi:

/* A frame from user mode may show any eip, and lies above nothing of ours. */
upcall_fold:
        testb   $2, 4(%esp)
        jnz     upcall_save
        cmpl    $crit_back, (%esp)
        jae     1f
        movl    12(%esp), %eax
        addl    $4, %esp
1:      addl    $12, %esp
        jmp     upcall_save

page_fault:
        save    14
        movl    %esp, %eax
        pushl   0x30(%eax)
        pushl   %eax
        call    trap_handler
        addl    $8, %esp
        jmp     leave

#ifdef PER_CPU
        .data
cpu_area:
        .long   0, 2                    /* the vCPU's number */
        .section .entry.text, "ax", @progbits
#endif

#ifdef HOOKS
hooks_wrong:
        ud2
#endif

#ifdef LINKED
/* What the rest of a kernel would define. */
        .section .text.rest, "ax", @progbits
event_handler:
        nop
        ret
trap_handler:
        nop
        ret
        .data
        .balign 64
        .skip   64                      /* not where a page starts */
vcpu_area:
        .skip   64
        .section .hypercall_page, "ax", @progbits
        .balign 4096
calls:
        .fill   4096, 1, 0xcc
        .section .stack.thread, "aw", @nobits
        .balign 4096
idle_stack:
        .skip   0x4000
        .section .stack.kernel, "aw", @nobits
        .balign 4096
trap_stack:
        .skip   0x4000
#endif
