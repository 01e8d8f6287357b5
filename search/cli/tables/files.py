"""A file of a table as columns: .csv, .tsv, packed or not, and Parquet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import dates, numbers
from .cells import Cells, How
from .endings import PARQUET, ending_of
from .errors import TableError, UnreadableTable, WrongOption
from .options import BOOLEAN, CATEGORY, DATE, EMPTY, NUMBER, Reading
from .separators import Headed, checked_separator, headed, said, separator_of, word
from .text import read_text

if TYPE_CHECKING:
    import pandas

# what pandas calls a column without a name, so that --drop can name it
_UNNAMED = "Unnamed: {}"
# what pandas and pyarrow raise where a file is no table
_OF_TABLES = (ValueError, OSError, OverflowError, IndexError, MemoryError, RecursionError)


@dataclass(frozen=True)
class Table:
    """A table that was read.

    Attributes:
        frame: columns of numbers, truth values, words (None for a gap) and dates.
        how: how each column was read, by name.
        notes: what a user should know of it.
    """

    frame: pandas.DataFrame
    how: Mapping[str, How]
    notes: tuple[str, ...] = ()


def read_table(
    path: Path,
    reading: Reading,
    free: int,
    *,
    expected: Mapping[str, How] | None = None,
    only: Sequence[str] | None = None,
) -> Table:
    """Return the columns of a file.

    Args:
        path: the file.
        reading: what the user says of it.
        free: how many bytes of memory there are.
        expected: how columns were read in the training's file, by name: the same here.
        only: the columns to return, in order; all by default.

    Raises:
        TableError: what a table must be, and what this one is.
    """
    known = expected or {}
    try:
        if ending_of(path) in PARQUET:
            table = _parquet(path, reading, free, known, only)
        else:
            table = _text(path, reading, free, known, only)
    except TableError:
        raise
    except _OF_TABLES as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise UnreadableTable(reason) from None
    return table


def header(path: Path, reading: Reading, free: int) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        TableError: if it has none.
    """
    if ending_of(path) in PARQUET:
        try:
            return list(map(str, _opened(path).schema_arrow.names))
        except _OF_TABLES as error:
            raise UnreadableTable(str(error).partition("\n")[0]) from None
    text = read_text(path, reading.encoding, free).text
    return _named(headed(text, _separator(path, reading, text)).header)


def _check_names(written: Sequence[str], taken: Sequence[str]) -> None:
    """Check that each column that is taken has a name of its own.

    Another column of the target's name would tell the answers.
    """
    names = _named(written)
    for name, times in Counter(names).items():
        if times > 1 and name in taken:
            raise TableError(f"a name of its own for each column, not {name!r} {times} times")
    for place, name in enumerate(names):
        if not written[place].strip() and name in taken:
            raise TableError(
                f"a name for every column, not none for column {place + 1} of {len(names)}; if it "
                f"numbers the rows, --drop {name!r} leaves it out"
            )


def _separator(path: Path, reading: Reading, text: str) -> str:
    if reading.separator:
        return checked_separator(reading.separator)
    if ending_of(path).startswith(".tsv"):
        return "\t"
    return separator_of(text)


def _named(cells: Sequence[str]) -> list[str]:
    """The names of columns, as pandas names those that have none."""
    names = []
    for place, cell in enumerate(cells):
        names.append(cell.strip() or _UNNAMED.format(place))
    return names


def _text(
    path: Path,
    reading: Reading,
    free: int,
    expected: Mapping[str, How],
    only: Sequence[str] | None,
) -> Table:
    read = read_text(path, reading.encoding, free)
    separator = _separator(path, reading, read.text)
    table_text = headed(read.text, separator)
    names = _named(table_text.header)
    lines = _checked_lines(table_text, separator)
    taken = _taken(names, reading, only)
    _check_names(table_text.header, taken)
    places = [names.index(name) for name in taken]
    body = _body(table_text, separator, places)
    if len(body) != lines.rows:
        raise TableError(
            f"lines that are read in one way only, not {lines.rows} or {len(body)} rows"
        )
    cells = {name: body[place] for name, place in zip(taken, places, strict=True)}
    table = _typed(cells, {}, reading, expected)
    notes = list(table.notes)
    if lines.skipped:
        notes.insert(0, f"Empty lines among the rows are no rows, and not counted: {lines.skipped}")
    if read.note:
        notes.insert(0, read.note)
    return Table(table.frame, table.how, tuple(notes))


def _body(table: Headed, separator: str, places: Sequence[int]) -> pandas.DataFrame:
    """The cells of some columns below the header, as they are written."""
    import pandas  # not above: what is refused before a table is read need not wait for it

    width = len(table.header)
    if not table.rows.strip():
        return pandas.DataFrame({place: [] for place in places}, dtype=str)
    return pandas.read_csv(
        io.StringIO(table.rows),
        sep=separator,
        # what stands above: pandas would make other names of some
        header=None,
        names=list(range(width)),
        usecols=places,
        dtype=str,
        na_filter=False,
        index_col=False,
        low_memory=False,
        skip_blank_lines=width > 1,
    )


@dataclass(frozen=True)
class _Lines:
    """How many rows a text has, and how many empty lines among them are none."""

    rows: int
    skipped: int


def _checked_lines(table: Headed, separator: str) -> _Lines:
    """Count the rows, all of as many cells as the header: pandas would add empty ones."""
    width = len(table.header)
    lines = csv.reader(io.StringIO(table.rows), delimiter=separator)
    rows = 0
    empty = 0  # since the last row
    skipped = 0
    try:
        for cells in lines:
            # `""` is an empty cell, but the reader shows it as it shows a line of spaces
            is_empty = not cells or (len(cells) == 1 and not cells[0].strip())
            # of one column, it is a row with an empty cell
            if is_empty and width > 1:
                empty += 1
                continue
            if len(cells) != width and not is_empty:
                raise TableError(
                    f"as many cells in each line as the header has, {width}, separated by "
                    f"{word(separator)} (--separator), not {len(cells)} in line "
                    f"{table.first + lines.line_num}"
                )
            rows += 1
            skipped += empty
            empty = 0
    except csv.Error as error:
        line = table.first + lines.line_num
        raise TableError(f"cells that can be read, not {said(error)} in line {line}") from None
    return _Lines(rows, skipped)


def _taken(names: Sequence[str], reading: Reading, only: Sequence[str] | None) -> list[str]:
    for name in (*reading.drop, *reading.kinds):
        if name not in names and only is None:
            raise WrongOption(
                f"--drop and --column must name columns: {', '.join(names)}. Received: {name!r}"
            )
    if only is not None:
        return [name for name in only if name in names]
    return [name for name in names if name not in reading.drop]


def _opened(path: Path):  # type: ignore[no-untyped-def]
    try:
        from pyarrow import parquet
    except ImportError:
        raise UnreadableTable('Parquet needs pyarrow: pip install "keras-acts[parquet]"') from None
    return parquet.ParquetFile(path)


def _parquet(
    path: Path,
    reading: Reading,
    free: int,
    expected: Mapping[str, How],
    only: Sequence[str] | None,
) -> Table:
    file = _opened(path)
    size = sum(
        file.metadata.row_group(index).total_byte_size for index in range(file.num_row_groups)
    )
    if size > free // 2:
        raise UnreadableTable(
            f"{size:,} bytes once it is unpacked, more than half of the {free:,} that are free"
        )
    names = list(map(str, file.schema_arrow.names))
    taken = _taken(names, reading, only)
    _check_names(names, taken)
    # whole numbers stay whole beside a gap: as words they are 1, not 1.0
    whole = file.read(columns=taken).to_pandas(ignore_metadata=True, integer_object_nulls=True)
    words: dict[str, pandas.Series] = {}
    typed: dict[str, pandas.Series] = {}
    for name in taken:
        column = whole[name]
        if _is_words(column) or name in reading.kinds:
            words[name] = column
        else:
            typed[name] = _plain(column)
    table = _typed(words, typed, reading, expected)
    return Table(table.frame[taken], table.how, table.notes)


def _plain(column: pandas.Series) -> pandas.Series:
    """A column whose numbers are Python's, such as decimals, as one of NumPy's."""
    filled = column[column.notna()]
    if column.dtype != object or not all(isinstance(each, Real | Decimal) for each in filled):
        return column
    values = column.astype("float64")
    if len(filled) == len(column) and (values == np.floor(values)).all():
        return values.astype("int64")
    return values


def _is_words(column: pandas.Series) -> bool:
    import pandas

    if isinstance(column.dtype, pandas.CategoricalDtype):
        return False
    filled = column[column.notna()]
    is_text = pandas.api.types.is_string_dtype(column.dtype) or column.dtype == object
    return is_text and all(isinstance(value, str) for value in filled)


def _typed(
    words: Mapping[str, pandas.Series],
    typed: Mapping[str, pandas.Series],
    reading: Reading,
    expected: Mapping[str, How],
) -> Table:
    """The columns of words as what they say, beside those that are typed already."""
    import pandas

    cells = {name: Cells(name, column, reading.gaps) for name, column in words.items()}
    kinds = {name: _kind(each, reading, expected.get(name)) for name, each in cells.items()}
    of_numbers = [cells[name] for name, kind in kinds.items() if kind == NUMBER]
    decimals = _decimals(of_numbers, reading.decimal, expected)
    columns: dict[str, object] = {}
    how: dict[str, How] = {}
    notes: list[str] = []
    for name, each in cells.items():
        sign = decimals.get(name, _Sign("", True))
        columns[name], how[name] = _column(each, kinds[name], sign.decimal)
        _check_sign(each, how[name], expected.get(name))
        notes += _notes(each, how[name], sign)
        if kinds[name] == CATEGORY and name not in reading.kinds and name not in expected:
            notes += _mostly_numbers(each)
            notes += _mostly_dates(each)
    columns.update(typed)
    for name in typed:
        how[name] = How("typed")
    return Table(pandas.DataFrame(columns), how, tuple(notes))


def _kind(cells: Cells, reading: Reading, expected: How | None) -> str:
    """The kind of a column; the format where a user says how its dates are written."""
    given = reading.kinds.get(cells.name)
    if given is not None:
        return given
    if expected is None or expected.kind in (EMPTY, "typed"):
        return cells.kind()
    if expected.kind == DATE:
        return _date_like(cells, expected)
    return expected.kind


def _date_like(cells: Cells, expected: How) -> str:
    """Dates as they were written in the training's file, or in another way that is clear."""
    # nothing else is written as year-month-day is
    if expected.written == dates.ISO or dates.is_iso(cells.numeric()):
        return DATE
    return expected.written


@dataclass(frozen=True)
class _Sign:
    """The decimal sign of a column, and whether anything says so."""

    decimal: str
    sure: bool


def _decimals(
    columns: Sequence[Cells], given: str, expected: Mapping[str, How]
) -> dict[str, _Sign]:
    """The decimal sign of each column of numbers."""
    possible = {each.name: numbers.decimals_of(each.numerals()) for each in columns}
    # what other columns of the file are written with
    of_file = {signs[0] for signs in possible.values() if len(signs) == 1}
    return {name: _sign(name, signs, of_file, given, expected) for name, signs in possible.items()}


def _sign(
    name: str,
    possible: Sequence[str],
    of_file: Collection[str],
    given: str,
    expected: Mapping[str, How],
) -> _Sign:
    if given:
        return _Sign(given, True)
    if len(possible) == 1:
        return _Sign(possible[0], True)
    if name in expected and expected[name].decimal:
        return _Sign(expected[name].decimal, True)
    if len(of_file) == 1:
        return _Sign(next(iter(of_file)), True)
    return _Sign(".", False)


def _column(cells: Cells, kind: str, decimal: str) -> tuple[object, How]:
    """The values of a column, and how they were read."""
    if kind == NUMBER:
        used = _used(cells, decimal)
        return cells.as_numbers(decimal), How(kind, used, "", cells.gaps_seen(), cells.sign)
    if kind == BOOLEAN:
        return cells.as_truths(), How(kind, "", "", cells.gaps_seen())
    if kind == CATEGORY:
        return cells.as_words(), How(kind)
    if kind == EMPTY:
        return cells.as_words(), How(kind)
    written = kind
    if kind == DATE:
        written = dates.format_of(cells.name, cells.numeric()) or dates.ISO
    return cells.as_dates(written), How(DATE, "", written, cells.gaps_seen())


def _check_sign(cells: Cells, how: How, expected: How | None) -> None:
    """Refuse dollars where the training had euros.

    Raises:
        TableError: naming both signs.
    """
    if expected is None or expected.kind != NUMBER or how.kind != NUMBER:
        return
    signs = {how.sign, expected.sign}
    # a file may well leave a currency out, but 12 without % may be another number
    is_left_out = "" in signs and not signs & numbers.SHARES
    if len(signs) == 1 or is_left_out or not cells.numeric():
        return
    first = cells.numeric()[0]
    wanted = expected.sign or "no sign"
    raise TableError(
        f"numbers with {wanted} in the column {cells.name!r}, as the training's file has them, "
        f"not {first!r} in row {cells.row(first)}"
    )


def _used(cells: Cells, decimal: str) -> str:
    """The decimal sign, if any number needs one to be read."""
    if any("." in word or "," in word for word in cells.numeric()):
        return decimal
    return ""


def _notes(cells: Cells, how: How, sign: _Sign) -> list[str]:
    notes = []
    if how.kind == NUMBER and how.sign:
        first = cells.numeric()[0]
        read = numbers.values(cells.numerals()[:1], sign.decimal)[0]
        notes.append(
            f"{cells.name!r} is read as numbers without the sign {how.sign}: {first!r} is {read:.15g}"
        )
        notes += _in_brackets(cells, sign)
    if how.kind == NUMBER and not sign.sure:
        notes += _ambiguous(cells, how)
    if how.kind == CATEGORY:
        alike = cells.alike()
        if alike is not None:
            first, second = alike
            notes.append(f"{first!r} and {second!r} are two categories of {cells.name!r}")
    return notes


def _in_brackets(cells: Cells, sign: _Sign) -> list[str]:
    """A note on numbers that are below zero because of the brackets around them."""
    words = list(filter(numbers.is_in_brackets, cells.numeric()))
    if not words:
        return []
    read = numbers.values([numbers.without_sign(words[0])], sign.decimal)[0]
    return [
        f"Brackets in {cells.name!r} are a minus, as accountants write it: {words[0]!r} is {read:.15g}"
    ]


def _mostly_numbers(cells: Cells) -> list[str]:
    """Notes on a column of numbers that a few words, or their signs, make one of words."""
    if not cells.is_mostly_numbers():
        return []
    notes = []
    signs = numbers.signs_in(cells.numeric())
    if len(signs) > 1:
        told = " and ".join(sign or "none" for sign in sorted(signs))
        notes.append(
            f"{cells.name!r} is read as words, because its numbers have different signs beside them: "
            f"{told}"
        )
    words = cells.words_among_numbers()
    if words:
        notes.append(_word_among(cells, "numbers", words[0]))
    return notes


def _mostly_dates(cells: Cells) -> list[str]:
    """A note on a column of dates that a few words, or other ways to write them, make one of words."""
    if not cells.is_mostly_dates():
        return []
    words = cells.words_among_dates()
    if words:
        return [_word_among(cells, "dates", words[0])]
    return [f"{cells.name!r} is read as words, because its dates are not all written in one way"]


def _word_among(cells: Cells, what: str, word: str) -> str:
    return (
        f"{cells.name!r} is read as words, though most of it is {what}: {word!r} stands in "
        f"{cells.count(word)} of its rows; --gaps {word!r} takes it for a gap"
    )


def _ambiguous(cells: Cells, how: How) -> list[str]:
    """A note on numbers that may be thousands, or decimals."""
    found = numbers.either(cells.numerals())
    if not found:
        return []
    other = "."
    if how.decimal == ".":
        other = ","
    read = numbers.values([found], how.decimal)[0]
    else_read = numbers.values([found], other)[0]
    return [
        f"{found!r} in {cells.name!r} is read as {read:g}; with --decimal {other} it is "
        f"{else_read:g}"
    ]
