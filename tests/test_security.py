"""What SECURITY.md promises."""

import ast
import functools
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import pytest

import keras_acts
from keras_acts.errors import ActivationError
from keras_acts.search import export
from tests.cli.test_cli import command
from tests.helpers.sources import FILES, ROOT, parsed

SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
# what runs what it reads, or opens a port
FORBIDDEN = {
    *("pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"),
    *("yaml", "socket", "socketserver", "http", "urllib", "ftplib", "xmlrpc", "requests"),
    *("asyncio", "code", "codeop", "runpy"),
}
# a file that the process itself has written a moment ago, in a folder that only its user can read
OWN_FILES = {
    "search/exporting/export.py": "formats=['keras'] is loaded again, to be compared",
    "search/exporting/precision.py": "the copy of a model in float32",
    "search/exporting/other_backends.py": "a model of JAX or PyTorch, for a process on TensorFlow",
}


def nodes():
    """All that is in the package's files, each with the name of its file."""
    for path in FILES:
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(parsed(path)):
            yield name, node


@functools.cache
def calls():
    """Each call in the package: file, function as it is written, keywords."""
    found = []
    for name, node in nodes():
        if isinstance(node, ast.Call):
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            found.append((name, ast.unparse(node.func), keywords))
    return found


@pytest.mark.once
def test_nothing_that_is_read_is_run():
    imported = set()
    for name, node in nodes():
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        if isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module]
        imported |= {(name, module.partition(".")[0]) for module in modules}
    assert [pair for pair in imported if pair[1] in FORBIDDEN] == []
    assert len(imported) > 500  # the search has found the imports
    running = re.compile(r"(builtins\.)?(eval|exec|compile|__import__)|os\.(system|popen)")
    assert [call[:2] for call in calls() if running.fullmatch(call[1])] == []
    for name, function, keywords in calls():
        assert keywords.get("shell", "False") == "False", (name, function)
        assert keywords.get("allow_pickle", "False") == "False", (name, function)
        assert "enable_unsafe_deserialization" not in function, name


@pytest.mark.once
def test_safe_mode_is_off_for_own_files_only():
    off = set()
    for name, function, keywords in calls():
        if keywords.get("safe_mode", "True") != "True":
            off.add(name)
        if name.startswith("search/cli/") and function.endswith("load_model"):
            assert keywords["safe_mode"] == "True", name
    assert off == set(OWN_FILES)


@pytest.mark.once
def test_the_tests_that_are_named_are_there():
    named = set(re.findall(r"`(tests/[a-z_/]+\.py)`", SECURITY))
    assert len(named) >= 8
    assert all((ROOT / name).is_file() for name in named)


def code_in_a_file(path, trace):
    """A .keras file with code in it, which makes a file if it is run."""
    source = f"lambda x: (open({str(trace)!r}, 'w').close(), x)[1]"
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(eval(source))])
    model.save(path)
    trace.unlink(missing_ok=True)  # tracing the layer has run it


@pytest.mark.parametrize(
    "arguments",
    [["export", "hostile.keras", "out"], ["search", "--data", "iris", "--model", "hostile.keras"]],
)
def test_code_in_a_keras_file_is_refused(tmp_path, arguments):
    trace = tmp_path / "it-was-run"
    code_in_a_file(tmp_path / "hostile.keras", trace)
    done = command(tmp_path, *arguments)
    assert done.exit_code == 2
    assert "that Keras can load. Received: 'hostile.keras' (" in done.stderr
    assert "unsafe" in done.stderr or "lambda" in done.stderr.lower()
    assert not trace.exists()


def test_a_keras_file_that_unpacks_to_too_much_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("config.json", "w", force_zip64=True) as file,
    ):
        for _ in range(300):
            file.write(bytes(2**20))
    done = command(tmp_path, "export", "bomb.keras", "out")
    assert done.exit_code == 2
    assert "a member at most 200 times as large as in the file" in done.stderr


def test_code_in_a_config_is_refused(tmp_path):
    trace = tmp_path / "it-was-run"
    code_in_a_file(tmp_path / "hostile.keras", trace)
    with zipfile.ZipFile(tmp_path / "hostile.keras") as archive:
        config = json.loads(archive.read("config.json"))
    (layer,) = [one for one in config["config"]["layers"] if one["class_name"] == "Lambda"]
    for hostile in (layer, layer["config"]["function"]):
        with pytest.raises(ActivationError, match="must be a serialized Keras object"):
            keras_acts.get(hostile)
    assert not trace.exists()


LISTENS = """
import sys
import psutil
opened = []
def hook(event, arguments):
    # urllib3, which KerasTuner imports, looks so whether there is IPv6
    if event == "socket.bind" and arguments[-1] == ("::1", 0):
        return
    if event in ("socket.bind", "socket.connect", "socket.getaddrinfo", "urllib.Request"):
        opened.append((event, str(arguments[-1])))
sys.addaudithook(hook)
import keras
from keras_acts.search import export, load, search_activations
from tests.helpers.models import blobs, mlp
x, y = blobs()
seen = []
class Looks(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        seen.append(psutil.Process().net_connections("inet"))
options = {"trials": 2, "epochs": 1, "verbose": 0, "learning_rates": None, "test_data": (x, y)}
for strategy, verdict in (("race", 2), ("random", 0)):
    result = search_activations(
        mlp(), x, y, activations=["relu", "mish"], strategy=strategy, verdict=verdict,
        directory=sys.argv[1] + "/" + strategy, **options,
    )
mlp().fit(x, y, verbose=0, callbacks=[Looks()])
result.export(sys.argv[1] + "/model")
load(sys.argv[1] + "/model").predict(x)
seen.append(psutil.Process().net_connections("inet"))
print(opened, [each for each in seen if each], len(seen))
"""


@pytest.mark.slow
def test_no_port_is_opened(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LISTENS, tmp_path],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "[] [] 2"


@pytest.mark.skipif(os.name == "nt", reason="it needs users and their permissions")
def test_own_files_lie_where_only_their_user_can_write(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    loads = keras.models.load_model
    seen = []

    def load_model(path, **options):
        # pytest's own folders are private, a user's need not be
        folders = set(Path(path).parents) - {tmp_path, *tmp_path.parents}
        seen.append(min(folder.stat().st_mode & 0o077 for folder in folders))
        return loads(path, **options)

    monkeypatch.setattr(keras.models, "load_model", load_model)
    dtype = keras.DTypePolicy("mixed_bfloat16")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype=dtype)])
    export(model, tmp_path / "model", formats=["keras"])
    assert len(seen) == 2
    assert set(seen) == {0}
