"""Values that nobody means, for hypothesis: what is refused must be refused with an error of ours.

The examples are the same each time. More, others each time, by hand:

    KERAS_ACTS_EXAMPLES=20000 pytest -n 0 tests/core/test_hostile.py
"""

import fractions
import os
from decimal import Decimal

import keras
import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import keras_acts as ka

_FEW = 100
_EXAMPLES = int(os.environ.get("KERAS_ACTS_EXAMPLES", _FEW))

examples = settings(
    max_examples=_EXAMPLES,
    derandomize=_EXAMPLES == _FEW,
    database=None,
    deadline=None,  # no test asserts a time
    suppress_health_check=list(HealthCheck),
)


ODD = [
    *(10**400, -(10**400), 10**4000, fractions.Fraction(10**400), Decimal("1e999"), 1e308, -0.0),
    *(float("nan"), float("inf"), 1j, True, None, b"mish", "", "\0", "mish" * 10_000, ...),
    *([], (), {}, set(), object(), int, np.nan, np.float16(7), np.int64(3), np.array(1.0)),
    *(np.zeros(3), np.array(["a"]), np.datetime64("2026-01-01")),
    *(keras.layers.Dense, keras.ops.convert_to_tensor([1.0]), print, lambda x: x),
]

numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([0, 1, -1, 0.5, "trained", "trained(0.1)", "threshold", "keras"]),
)
leaves = st.one_of(st.sampled_from(ODD), numbers, st.text(max_size=20), st.binary(max_size=5))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.text(max_size=5), st.integers()), inner, max_size=3),
    ),
    max_leaves=8,
)

# what is almost written as an activation is
_NAMES = st.one_of(
    st.sampled_from([*ka.names(), "gelu", "swish", "glu", "get", "os.system", "keras_acts>Mish"]),
    st.text(max_size=10),
)
_KEYS = st.sampled_from(["alpha", "theta", "axis", "mode", "x", "**", "", "alpha=1, alpha", "self"])
_WRITTEN = st.one_of(
    st.builds(repr, st.one_of(st.integers(), st.floats(), st.text(max_size=9))),
    st.sampled_from(
        [
            *("trained", "trained(0.1)", "trained(trained)", "trained(", "1e999", "0x_f", "1if 2"),
            *(
                "-" * 90 + "1",
                "-" * 10_000 + "1",
                "9" * 400,
                "9" * 5000,
                "()",
                "(" * 150 + ")" * 150,
            ),
            *(
                "[" * 10_000,
                "{[]: 1}",
                "{1: 2}",
                "f'{1}'",
                "lambda: 0",
                "__import__('os')",
                "1 + 1j",
            ),
            *("None", "True", "...", "'\\d'", "b'1'", "'a' 'b'", "(yield)", "x := 3", "*a", "\n"),
        ]
    ),
    st.text(max_size=30),
)


@st.composite
def written(draw):
    """Almost an activation as it is written."""
    pairs = draw(st.lists(st.tuples(_KEYS, _WRITTEN), max_size=3))
    arguments = ", ".join(f"{key}={value}" for key, value in pairs)
    return draw(_NAMES) + draw(st.sampled_from(["({})", "({}", "{}", " ( {} ) ", "({})()"])).format(
        arguments
    )


parameters = st.dictionaries(
    st.sampled_from(["alpha", "theta", "axis", "mode", "x"]), values, max_size=3
)
