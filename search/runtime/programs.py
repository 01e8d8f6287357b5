"""Programs that XLA compiles, kept on disk, so that the second search of a model begins sooner.

They are kept where a user names a folder, ``KERAS_ACTS_PROGRAMS=FOLDER``, and nowhere else. XLA
compares each with what it would compile, so that another model takes no wrong one. What does not
tell itself from it, the version, the processor and for TensorFlow the GPU, makes a folder of its own
inside.
"""

from __future__ import annotations

import atexit
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path

import keras

from keras_acts.errors import SearchError

from .driver import told_by_driver

VARIABLE = "KERAS_ACTS_PROGRAMS"
_FLAGS = "TF_XLA_FLAGS"
_FOLDER_FLAG = "--tf_xla_persistent_cache_directory"
_CHECKSUMS = "checksums.json"
_WHICH_GPU = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
_PROCESSORS = Path("/proc/cpuinfo")


def keep_on_disk() -> None:
    """Have the backend's XLA keep its programs, if the user says where.

    TensorFlow must not have compiled anything yet: it looks at its flags once.

    Raises:
        SearchError: if the folder cannot be written.
    """
    folder = _folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SearchError(_refusal(error)) from error
    if not os.access(folder, os.W_OK):
        raise SearchError(_refusal("it cannot be written"))
    if keras.backend.backend() == "jax":
        _keep_those_of_jax(folder)
    elif keras.backend.backend() == "tensorflow":
        _keep_those_of_tensorflow(folder)


def kept_in() -> Path | None:
    """Return the folder of this backend's programs on disk, or None where none are kept."""
    return _folder()


def _folder() -> Path | None:
    named = os.environ.get(VARIABLE, "").strip()
    if not named or keras.backend.backend() not in ("tensorflow", "jax"):
        return None
    return Path(named).expanduser().absolute() / _what_compiles()


def _refusal(reason: object) -> str:
    return (
        f"{VARIABLE} must name a folder that can be written. "
        f"Received: {os.environ[VARIABLE]!r}: {reason}"
    )


@functools.cache
def _what_compiles() -> str:
    """The name of a folder: what compiles, its version, and what it compiles for."""
    backend = keras.backend.backend()
    version = importlib.metadata.version
    if backend == "jax":
        versions = f"{version('jax')}-{version('jaxlib')}"
    else:
        import tensorflow as tf  # installed by other names too

        versions = tf.__version__
    processor = f"{platform.machine()} {platform.processor()} {_instructions()}"
    # JAX tells one GPU from another itself
    if backend == "tensorflow":
        processor += gpus_and_driver()
    return f"{backend}-{versions}-{hashlib.sha256(processor.encode()).hexdigest()[:12]}"


def gpus_and_driver() -> str:
    """Return the GPUs for which TensorFlow may compile, and their driver; empty without any.

    TensorFlow itself is not asked: it would begin to use them.
    """
    kinds = sorted(set(told_by_driver("name,driver_version")))
    if len(kinds) > 1:
        # which of them comes first, is told by these alone
        kinds += [os.environ.get(name, "") for name in _WHICH_GPU]
    return "; ".join(kinds)


def _instructions() -> str:
    """The instructions that the processor has, where the system tells."""
    try:
        told = _PROCESSORS.read_text()
    except OSError:
        return ""
    return next((line for line in told.splitlines() if line.startswith(("flags", "Features"))), "")


def _keep_those_of_jax(folder: Path) -> None:
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    # small ones too: a population begins with dozens
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _keep_those_of_tensorflow(folder: Path) -> None:
    flags = os.environ.get(_FLAGS, "")
    if _FOLDER_FLAG in flags:  # the user's own
        return
    flag = f"{_FOLDER_FLAG}={_quoted(folder)}"
    forget_damaged(folder)
    atexit.register(write_checksums, folder)
    os.environ[_FLAGS] = f"{flags} {flag}".strip()


def _quoted(folder: Path) -> str:
    """A folder as TensorFlow reads it in a list of flags.

    It takes what stands between two quotes of one kind. From another name it would read the first part
    only, and keep programs there, which nobody checks.

    Raises:
        SearchError: if the name has quotes of both kinds.
    """
    name = str(folder)
    for quote in ("'", '"'):
        if quote not in name:
            return f"{quote}{name}{quote}"
    raise SearchError(_refusal("TensorFlow takes no folder with quotes of both kinds in its name"))


def forget_damaged(folder: Path) -> None:
    """Delete the programs of TensorFlow that are not as they were written.

    TensorFlow reads them without a checksum: from half a file, Keras would take the error for the
    end of the data, and end the training in silence.
    """
    expected = _written_checksums(folder)
    for program in _programs_of_tensorflow(folder):
        if expected.get(program.name) != _checksum(program):
            program.unlink(missing_ok=True)


def write_checksums(folder: Path) -> None:
    """Write down what the programs of TensorFlow are, now that this process adds no more.

    Those of a process that is killed have no checksum, and are compiled again.
    """
    try:
        checksums = {path.name: _checksum(path) for path in _programs_of_tensorflow(folder)}
        partial = folder / f"{_CHECKSUMS}.{os.getpid()}.partial"
        partial.write_text(json.dumps(checksums))
        partial.replace(folder / _CHECKSUMS)
    except OSError as error:
        print(f"Compiled programs are not kept: {error}", file=sys.stderr)


def _programs_of_tensorflow(folder: Path) -> list[Path]:
    return sorted(folder.glob("xla_compile_cache_*.pb"))


def _checksum(program: Path) -> str:
    try:
        return hashlib.sha256(program.read_bytes()).hexdigest()
    except FileNotFoundError:  # another process has just deleted it
        return ""


def _written_checksums(folder: Path) -> dict[str, str]:
    try:
        checksums = json.loads((folder / _CHECKSUMS).read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(checksums, dict):
        return {}
    return checksums
