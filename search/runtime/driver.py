"""What NVIDIA's driver tells of the GPUs: it needs no backend, and begins to use none of them."""

from __future__ import annotations

import subprocess

# that nvidia-smi may take: a driver that hangs shall not hang a search
_ASKED_SECONDS = 10


def told_by_driver(what: str, gpu: str | None = None) -> list[str]:
    """Return a line for each GPU; none where nobody tells.

    Args:
        what: is asked, such as ``"name,driver_version"``.
        gpu: that is asked for, by its number or its identifier; by default all of the machine.
    """
    command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
    if gpu is not None:
        command.append(f"--id={gpu}")
    try:
        told = subprocess.run(
            command, capture_output=True, text=True, timeout=_ASKED_SECONDS, check=True
        )
    # no such program, or a driver that does not answer
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
    return [line.strip() for line in told.stdout.splitlines() if line.strip()]
