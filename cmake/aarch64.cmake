# 64-bit Arm Linux from another Debian machine: clang as a cross compiler, Debian's arm64 packages beside the machine's
# own (./setup cross installs them), and qemu-user to run what was built. QEMU_CPU chooses the CPU it plays.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER clang CACHE STRING "") # -DCMAKE_C_COMPILER=aarch64-linux-gnu-gcc works as well
set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
set(ENV{PKG_CONFIG_LIBDIR} /usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig)
