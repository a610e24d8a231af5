"""What a network runs on: activations may differ in their last digits by its kind, and by nothing else."""

import platform
from contextlib import suppress
from pathlib import Path

import torch


def record_processor(device: str) -> str:
    """The kind of the processor, or of the device, that a network runs on."""
    kind = torch.device(device)
    if kind.type == "cuda":
        return torch.cuda.get_device_name(kind)
    if kind.type != "cpu":
        return kind.type
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
