"""Reports cost nothing until one is made: what they draw with is imported then."""

import subprocess
import sys

import pytest

# Keras imports matplotlib by itself where it is installed: so it is hidden
CODE = """
import sys
sys.modules["matplotlib"] = sys.modules["jinja2"] = None
{load}
"""


@pytest.mark.once
@pytest.mark.slow
@pytest.mark.parametrize(
    "load",
    [
        "import keras_acts.search",
        "from click.testing import CliRunner; import keras_acts_cli as c; "
        "assert CliRunner().invoke(c.main, ['search', '--help']).exit_code == 0",
        # a page needs no matplotlib
        "del sys.modules['jinja2']; from tests.helpers.reports import verdict; "
        "from keras_acts.search.verdict.pages import page; assert page(verdict()).to_html()",
    ],
)
def test_what_draws_is_not_needed_before(load):
    command = [sys.executable, "-c", CODE.format(load=load)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.once
def test_who_has_no_matplotlib_is_told_what_to_install(monkeypatch):
    from keras_acts.errors import SearchError
    from tests.helpers.reports import result, verdict

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    search = result(verdict())
    with pytest.raises(SearchError, match=r"pip install \"keras-acts\[plots\]\""):
        search.plot.race()
    with pytest.raises(SearchError, match="need matplotlib"):
        search.plot.parameters()
