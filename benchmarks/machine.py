"""The machine that a benchmark ran on, in one line."""

import os
import platform
from importlib.metadata import version
from pathlib import Path


def describe() -> str:
    """Give processor, cores, what it computes in, and the versions that matter."""
    facts = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in facts.splitlines() if "model name" in line]
    flags = [flag for flag in ("avx512_bf16", "avx512_vnni", "amx_bf16") if flag in facts]
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "openvino", "timm"))
    processor = names[0] if names else platform.processor()
    return f"{processor}, {os.cpu_count()} cores ({', '.join(flags)}); {versions}"
