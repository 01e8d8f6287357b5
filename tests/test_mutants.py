"""The breaks of `tests.mutants` fit the code as it is, and their tests exist.

They themselves run by hand.
"""

import pytest

from tests.mutants import MUTANTS, ROOT, places


@pytest.mark.once
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_break_fits(mutant):
    assert len(places(mutant, (ROOT / mutant.file).read_text(encoding="utf-8"))) == 1
    assert mutant.new != mutant.old
    for test in mutant.tests.split():
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8")
