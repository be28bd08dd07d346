# Waits until SIGTERM or SIGINT. The first process of a PID namespace has to ask for them (pid_namespaces(7)).
.intel_syntax noprefix
    # struct sigaction as the kernel has it: handler, flags (SA_RESTORER, which it insists on), restorer, mask.
    push 0
    lea rax, [rip + end]
    push rax
    push 0x04000000
    push rax
    mov edi, 15
    call catch
    mov edi, 2
    call catch
wait:
    mov eax, 34                 # pause
    syscall
    jmp wait
catch:
    lea rsi, [rsp + 8]
    xor edx, edx
    mov r10d, 8
    mov eax, 13                 # rt_sigaction
    syscall
    ret
end:
    xor edi, edi
    mov eax, 60                 # exit
    syscall
