"""The machine: devices, memory, allocator, terminal."""
