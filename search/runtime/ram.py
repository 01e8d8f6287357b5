"""How much of the RAM is free, also inside a container. It needs neither Keras nor TensorFlow."""

from __future__ import annotations

from pathlib import Path

import psutil

# of a container: the limit, what is used, and the statistics with the name of that part of the page
# cache that goes when memory is wanted
_CGROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        "/sys/fs/cgroup/memory.stat",
        "inactive_file",
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        "/sys/fs/cgroup/memory/memory.stat",
        "total_inactive_file",
    ),
)


def free_ram() -> int:
    """Return the free bytes of the RAM, within the cgroup's limit."""
    free = int(psutil.virtual_memory().available)
    for limit, used, statistics, cached in _CGROUPS:
        try:
            allowed = int(Path(limit).read_text())
            taken = int(Path(used).read_text())
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
        # the working set: files that were read count as used, and are dropped as soon as memory is
        # wanted
        free = min(free, allowed - max(0, taken - _statistic(statistics, cached)))
    return max(free, 0)


def _statistic(path: str, name: str) -> int:
    """A number of a file with a name and a number a line; 0 where it is not told."""
    try:
        told = dict(line.split() for line in Path(path).read_text().splitlines())
        return int(told.get(name, 0))
    except (OSError, ValueError):
        return 0
