"""The rooms of `search/`.

Who may import whom, that nothing imports in a circle, and which files only calculate.

    python -m tests.test_rooms  # lists the rooms, their files, and what each may import

All imports count, those inside of functions too: late, they are imports all the same. Those under
`TYPE_CHECKING` do not count: nothing happens when the code runs. That a module of a room runs the
room's `__init__` first is no import of it either; what an `__init__` imports is.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

# no version of Keras or TensorFlow changes it
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[1]
SEARCH = ROOT / "search"
MOST_FILES = 25

# from the ground up: what a room may import, itself and `keras_acts` besides
ALLOWED: dict[str, set[str]] = {
    "runtime": set(),
    "report": set(),
    "space": {"report"},
    "frames": {"report", "runtime"},
    "rewrite": {"space", "report", "runtime"},
    "vectorize": {"space", "runtime"},
    "strategy": {"rewrite", "space", "report", "runtime"},
    "tracking": {"strategy", "space", "runtime"},
    "exporting": {"rewrite", "report", "runtime"},
    "population": {"vectorize", "strategy", "rewrite", "space", "runtime"},
    "race": {
        *("population", "vectorize", "tracking", "strategy", "rewrite", "space", "report"),
        "runtime",
    },
    "verdict": {
        *("population", "tracking", "strategy", "rewrite", "space", "report"),
        "runtime",
    },
    "tuner": {
        *("race", "population", "vectorize", "tracking", "strategy", "rewrite", "space"),
        *("report", "runtime"),
    },
}
# the modules at the top of search/
DOORS: dict[str, set[str]] = {
    "status": {"race", "report", "runtime"},
    "evaluation": {"strategy", "rewrite", "runtime"},
    "measures": {"rewrite", "report"},
    "pictures": {"verdict", "strategy", "rewrite", "space", "report"},
    "pages": {"pictures", "verdict", "exporting", "strategy", "rewrite", "report", "runtime"},
    "result": {
        "measures",
        "pages",
        "pictures",
        "verdict",
        "exporting",
        "strategy",
        "space",
        "report",
        "runtime",
    },
    "request": {"tuner", "strategy", "rewrite", "space", "runtime"},
    "plan": {"request", "race", "tuner", "tracking", "strategy", "runtime"},
    "outcome": {
        *("request", "evaluation", "measures", "result"),
        *("verdict", "tracking", "strategy", "rewrite", "space", "runtime"),
    },
    "api": {"request", "plan", "outcome", "result", "tracking", "report", "runtime"},
    "__init__": {*ALLOWED, "api", "result"},
}
# of a room that a room may import, only these modules
ONLY = {
    ("population", "strategy"): {
        # what a score is, and what the user's callbacks are to each training
        *("direction", "objective", "scoring"),
        *("callbacks", "batch_hooks", "appended_logs", "own_data", "data_order"),
        # how a training goes on in the middle of its epochs
        "skipped_epochs",
    },
    ("race", "vectorize"): {"segments"},
    ("tuner", "vectorize"): {"segments"},
    # what progress says: names and numbers in words
    ("strategy", "report"): {"names", "numbers"},
    ("race", "report"): {"names", "numbers"},
    ("tuner", "report"): {"names", "numbers"},
    ("api", "report"): {"numbers"},
    ("tuner", "race"): {"race", "schedule", "surrogate"},  # KerasTuner's oracle races too
}
# what the command line imports besides the public names and the errors
OF_THE_COMMAND_LINE = {
    "exporting.atomic": "a folder that cannot be written is refused before the search",
    "exporting.values": "columns that are not the model's inputs are named",
    "exporting.folder": "what is no export is refused before TensorFlow is loaded",
    "exporting.page": "`report` writes the page of an export anew",
    "exporting.formats": "a format that is not there is, too",
    "exporting.verify": "the process that checks an export loads TensorFlow beside the search",
    "space.learning_rates": "what can be no learning rate is, too",
    "frames.kinds": "of which kind the columns of a file are",
    "frames.notes": "what is odd about a column is said of tables of numbers too",
    "frames.fit": "whether a table needs any, and what an export makes of other rows",
    "frames.scaling": "the built-in models scale columns in any unit, as frames are",
    "rewrite.threshold": "whether an output of one unit is one of two classes",
    "runtime.kept_command": "the options of a command that goes on later are kept",
    "report.numbers": "how near an export is to its model, in words",
    "report.tables": "a table is as wide as the terminal, or as its content",
    "report.values": "`show` draws activations: what a picture tells",
    "report.charts": "the picture",
    "report.svg": "as a file",
    "report.axes": "or by matplotlib",
    "space.shapes": "what it draws",
    "status": "what a kept search has found, and what is left",
    "runtime.cores": "`doctor` says how many cores train here",
    "runtime.costs": "on how many one thread a kernel pays",
    "runtime.device": "what they are",
    "runtime.memory": "and how much memory it has",
    "runtime.ram": "data that do not fit into memory are refused before they are read",
    "runtime.choices": "and what is chosen by hand",
    "runtime.programs": "and where compiled programs are kept",
    "runtime.seeding": "the model of a user's script is built from the seed",
}
# what the command line imports before TensorFlow is loaded, to refuse at once what is wrong; with all
# that these import
BEFORE_TENSORFLOW = {
    "exporting.atomic",
    "exporting.folder",
    "exporting.formats",
    "exporting.values",
    "runtime.cores",
    "runtime.costs",
    "runtime.kept_command",
    "runtime.ram",
    "space.learning_rates",
    "status",
}
# these only calculate, and say what they found: all that they import does so too
PURE = {
    "verdict": {
        "paired",
        "rates",
        "rate_words",
        "sequential",
        "robust",
        "failures",
        "judge",
        "verdict",
        "caveats",
        "runs",
        "learning_curves",
        "words",
        "answer",
        "pages",
        "pictures",
    },
    "race": {"schedule", "race", "rates", "surrogate", "neighbourhood", "history"},
    "strategy": {"rounding", "direction", "labels", "rounds", "curves"},
    "tracking": {"records"},
    "runtime": {"as_json", "calls", "versions"},
    "report": {
        "axes",
        "charts",
        "files",
        "names",
        "notebook",
        "numbers",
        "page",
        "scales",
        "svg",
        "tables",
        "values",
    },
}
# of these packages they take what they need; candidates and assignments are names and numbers to
# them
PURE_PACKAGES = {
    *("numpy", "scipy", "sklearn", "pandas", "rich", "matplotlib", "jinja2", "markupsafe"),
    *sys.stdlib_module_names,
}
VALUES = {"space.candidate", "space.assignment", "space.rated", "space.shapes"}


@cache
def modules() -> dict[str, Path]:
    """The modules of search/ by their names in it, `"space.candidate"`.

    A room is the module of its `__init__`.
    """
    paths = (path for path in SEARCH.rglob("*.py") if path.relative_to(SEARCH).parts[0] != "cli")
    return {
        ".".join(path.relative_to(SEARCH).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def room_of(module: str) -> str:
    """The room of a module, or its own name if it is a door."""
    return module.partition(".")[0]


@cache
def imported(path: Path) -> tuple[tuple[str, str], ...]:
    """What a file imports when it runs.

    (absolute module, name), the name empty for `import module`.
    """
    package = ("keras_acts", "search", *path.relative_to(SEARCH).parent.parts)
    return tuple(_imported(ast.parse(path.read_text(encoding="utf-8")), package))


def _imported(tree: ast.AST, package: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for other in node.orelse:
                yield from _imported(other, package)
        elif isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*parts, *([node.module] if node.module else [])])
            for alias in node.names:
                yield base, alias.name
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, ""
        else:
            yield from _imported(node, package)


def targets(path: Path) -> list[str]:
    """The modules of search/ that a file imports, `"__init__"` for the public names."""
    found = []
    for base, name in imported(path):
        if base != "keras_acts.search" and not base.startswith("keras_acts.search."):
            continue
        inside = base.removeprefix("keras_acts.search").removeprefix(".")
        full = f"{inside}.{name}".strip(".")
        found.append(full if full in modules() else inside or "__init__")
    return found


def forbidden(module: str, target: str) -> bool:
    """Whether a module may not import another."""
    own, other = room_of(module), room_of(target)
    if own == other:
        return False
    allowed = DOORS if own in DOORS else ALLOWED
    if other not in allowed[own]:
        return True
    if (own, other) not in ONLY:
        return False
    return target.partition(".")[2] not in ONLY[own, other]


def circle(edges: dict[str, set[str]]) -> list[str]:
    """A circle, with its beginning at its end; empty if there is none."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, ())):
            if found := walk(target, [*path, module]):
                return found
        done.add(module)
        return []

    return next((found for module in sorted(edges) if (found := walk(module, []))), [])


def test_each_module_has_its_room():
    rooms = {path.name for path in SEARCH.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert rooms - {"cli"} == set(ALLOWED)
    doors = {path.stem for path in SEARCH.glob("*.py")}
    assert doors <= set(DOORS)
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for room in ALLOWED:
        assert f'"keras_acts.search.{room}"' in pyproject, f"the wheel would lack {room}"
        assert ast.get_docstring(
            ast.parse((SEARCH / room / "__init__.py").read_text(encoding="utf-8"))
        )


def test_rooms_import_only_what_lies_below():
    wrong = [
        f"{module} -> {target}"
        for module, path in modules().items()
        for target in targets(path)
        if forbidden(module, target)
    ]
    assert not wrong


def test_nothing_is_imported_in_a_circle():
    assert circle({module: set(targets(path)) for module, path in modules().items()}) == []


def test_the_core_does_not_know_the_search():
    for path in (ROOT / "keras_acts").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith("keras_acts.search") for name in named), path


def test_the_command_line_knows_the_public_names():
    found = {target for path in (SEARCH / "cli").rglob("*.py") for target in targets(path)}
    others = {target for target in found if room_of(target) not in ("__init__", "cli")}
    assert others == set(OF_THE_COMMAND_LINE)


def test_what_the_command_line_checks_first_needs_no_keras():
    waiting = sorted(BEFORE_TENSORFLOW)
    seen = set(waiting)
    while waiting:
        module = waiting.pop()
        packages = {base.partition(".")[0] for base, _ in imported(modules()[module])}
        assert not packages & {"keras", "tensorflow", "keras_tuner"}, module
        for target in set(targets(modules()[module])) - seen:
            seen.add(target)
            waiting.append(target)
    assert "__init__" not in seen


def test_what_only_calculates_imports_no_tensorflow():
    calculating = {f"{room}.{name}" for room, names in PURE.items() for name in names}
    for module in sorted(calculating):
        path = modules()[module]
        for base, _ in imported(path):
            package = base.partition(".")[0]
            assert package in {"keras_acts", *PURE_PACKAGES}, f"{module} imports {base}"
        others = set(targets(path)) - calculating - VALUES
        assert not others, f"{module} imports {others}"


def test_a_folder_can_be_read_at_a_glance():
    counts = {
        path: len(list(path.glob("*.py")))
        for path in [SEARCH, *(p for p in SEARCH.iterdir() if p.is_dir())]
    }
    assert {path.name: count for path, count in counts.items() if count > MOST_FILES} == {}


def test_what_is_forbidden_is_found():
    assert forbidden("space.candidate", "rewrite.slots")
    assert forbidden("population.model", "strategy.progress")
    assert not forbidden("population.model", "strategy.scoring")
    assert forbidden("race.runner", "tuner.tuner")
    assert forbidden("exporting.export", "result")
    assert forbidden("strategy.resume", "tuner.tuner")
    assert forbidden("verdict.judge", "__init__")
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    code = "if TYPE_CHECKING:\n    from .a import x\ndef f():\n    from ..b import y\n    import keras\n"
    found = list(_imported(ast.parse(code), ("keras_acts", "search", "race")))
    assert found == [("keras_acts.search.b", "y"), ("keras", "")]


def listing() -> Iterator[str]:
    """The rooms from the ground up: what they are for, their files, and what they may import."""
    for room, allowed in [*ALLOWED.items(), *DOORS.items()]:
        path = modules().get(room)
        if path is None:
            continue
        text = path.read_text(encoding="utf-8")
        first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
        files = sorted(
            name.partition(".")[2] for name in modules() if room_of(name) == room and name != room
        )
        yield f"{room}{'/' if files else '.py'}  {first}"
        if files:
            yield f"    files    {', '.join(files)}"
        told = [
            f"{other} ({', '.join(sorted(ONLY[room, other]))})" if (room, other) in ONLY else other
            for other in sorted(allowed)
        ]
        yield f"    imports  {', '.join(told) or 'keras_acts only'}"


if __name__ == "__main__":
    print("\n".join(listing()))
