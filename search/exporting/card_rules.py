"""What a model card must be before anything relies on it: kinds, ranges, sizes and depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras_acts.errors import shown

# a card of a table of many thousand columns is some MB
MOST_BYTES = 64 * 2**20
_MOST_DEPTH = 32
_MOST_AXES = 64
_MOST_SIZE = 2**31
_DTYPES = {
    *("bool", "string", "float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
}
_MISSING = object()

# a rule raises `BrokenRule` with the place of a value
Rule = Callable[[str, object], None]


class BrokenRule(ValueError):
    """What is wrong in a card, and where."""


def check_card(data: object, newest: int) -> None:
    """Check what an export writes into a card; what its user adds is only looked at for its depth.

    Args:
        data: what the file holds.
        newest: the newest format that is known.

    Raises:
        BrokenRule: naming the place, the rule and the value.
    """
    _check_depth(data)
    card = _mapping("the card", data)
    _integer("format", card.get("format", _MISSING), 1, newest)
    signatures = _mapping("signatures", card.get("signatures", _MISSING))
    for name, signature in signatures.items():
        _check_signature(f"signatures.{name}", signature)
    if "serving_default" not in signatures:
        raise BrokenRule(
            f"signatures must have serving_default. Received: {shown(list(signatures))}"
        )
    for name, rule in _OTHERS.items():
        if name in card:
            rule(name, card[name])


def check_extra_entries(data: object, size: int) -> None:
    """Check that facts which a user adds to a card leave one that can be read again.

    Args:
        data: the facts.
        size: of the facts as text.

    Raises:
        BrokenRule: naming the place, the rule and the value.
    """
    if size > MOST_BYTES // 2:
        raise BrokenRule(f"it must be at most {MOST_BYTES // 2:,} characters. Received: {size:,}")
    _check_depth([data])
    for name, value in _mapping("the card", data).items():
        if name in _OTHERS:
            _OTHERS[name](name, value)


def check_words(place: str, value: object) -> None:
    """Check that a value is a list of different texts."""
    _words(place, value)
    assert isinstance(value, list)
    if len(set(value)) < len(value):
        raise BrokenRule(f"{place} must be different texts. Received: {shown(value)}")


def _check_depth(data: object) -> None:
    inner: list[Any] = [data]
    for _ in range(_MOST_DEPTH):
        deeper: list[Any] = []
        for value in inner:
            if isinstance(value, Mapping):
                deeper += value.values()
            elif isinstance(value, list):
                deeper += value
        inner = deeper
    if inner:
        raise BrokenRule(
            f"the card must be at most {_MOST_DEPTH} levels deep. Received: {shown(inner[0])} deeper"
        )


def _check_signature(place: str, value: object) -> None:
    signature = _mapping(place, value)
    for side in ("inputs", "outputs"):
        tensors = _mapping(f"{place}.{side}", signature.get(side, _MISSING))
        if not tensors:
            raise BrokenRule(f"{place}.{side} must have tensors. Received: {{}}")
        for name, spec in tensors.items():
            _check_tensor(f"{place}.{side}.{name}", spec)


def _check_tensor(place: str, value: object) -> None:
    spec = _mapping(place, value)
    dtype = spec.get("dtype", _MISSING)
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise _broken(f"{place}.dtype", "the name of a dtype", dtype)
    if "given" in spec:
        _text(f"{place}.given", spec["given"])
    shape = spec.get("shape", _MISSING)
    if shape is None:  # any
        return
    if not isinstance(shape, list) or len(shape) > _MOST_AXES:
        raise _broken(f"{place}.shape", f"a list of at most {_MOST_AXES} sizes, or null", shape)
    for size in shape:
        if size is not None:
            _integer(f"{place}.shape", size, 0, _MOST_SIZE)


def _mapping(place: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _broken(place, "an object", value)
    return value


def _integer(place: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise _broken(place, f"an integer from {least} to {most}", value)


def _count(place: str, value: object) -> None:
    _integer(place, value, 0, 2**63)


def _text(place: str, value: object) -> None:
    if not isinstance(value, str):
        raise _broken(place, "a text", value)


def _words(place: str, value: object) -> None:
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise _broken(place, "a list of texts", value)


def _object(place: str, value: object) -> None:
    _mapping(place, value)


def _activations(place: str, value: object) -> None:
    if not isinstance(value, list):
        raise _broken(place, "a list", value)
    for number, entry in enumerate(value):
        here = f"{place}[{number}]"
        slot = _mapping(here, entry)
        for key in ("slot", "layer", "role", "activation"):
            _text(f"{here}.{key}", slot.get(key, _MISSING))
        _mapping(f"{here}.parameters", slot.get("parameters", _MISSING))


def _columns(place: str, value: object) -> None:
    if not isinstance(value, list):
        raise _broken(place, "a list", value)
    for number, entry in enumerate(value):
        here = f"{place}[{number}]"
        column = _mapping(here, entry)
        for key in ("name", "kind"):
            _text(f"{here}.{key}", column.get(key, _MISSING))
        for key in ("done", "input"):
            if column.get(key) is not None:
                _text(f"{here}.{key}", column[key])
        if "categories" in column:
            check_words(f"{here}.categories", column["categories"])
        _mapping(f"{here}.read", column.get("read", {}))


def _broken(place: str, rule: str, value: object) -> BrokenRule:
    received = "nothing"
    if value is not _MISSING:
        received = shown(value)
    return BrokenRule(f"{place} must be {rule}. Received: {received}")


# of what an export writes, where it is there: older ones have not all of it
_OTHERS: dict[str, Rule] = {
    "name": _text,
    "created": _text,
    "parameters": _count,
    "class_names": check_words,
    "preprocessing": _words,
    "files": _words,
    "activations": _activations,
    "columns": _columns,
    "gaps": _words,
    "verification": _object,
    "versions": _object,
}
