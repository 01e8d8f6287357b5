"""The errors that keras_acts raises on bad input.

Each is a `ValueError`, so `except ValueError` catches them all.
"""


class KerasActsError(ValueError):
    """Bad input to keras_acts.

    The message names the rule that was broken and the value received.
    """


class ActivationError(KerasActsError):
    """An unknown activation, or a parameter outside its valid range."""


class ModelError(KerasActsError):
    """A model whose activations cannot be searched or replaced."""


class DataError(KerasActsError):
    """Data that cannot be read or does not fit the model."""


class SearchError(KerasActsError):
    """Contradictory or impossible settings of a search, or one in which nothing could be trained."""


class ExportError(KerasActsError):
    """A model that cannot be exported to the place asked for, or whose export differs from it."""


# of a value in a message
_MOST_SHOWN = 200


def shown(value: object) -> str:
    """Return a value as a message shows it: as Python writes it, but short, and whatever it is."""
    try:
        text = repr(value)
    except Exception:  # a number of thousands of digits, a list in a list in a list …
        return f"a {type(value).__name__} that cannot be shown"
    if len(text) <= _MOST_SHOWN:
        return text
    return f"{text[:_MOST_SHOWN]}… ({len(text):,} characters)"
