"""What figures of our own say that they were measured on."""

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "memory_gib": 24.0,
    "filesystem": "ext4",
    "python": "3.11",
    "commit": "0123456789ab",
    "load_before": 0.1,
}
