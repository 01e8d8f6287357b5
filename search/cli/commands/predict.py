"""`keras-acts predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..options import examples, overwriting
from ..running import interruptible, loading, one_line_errors
from ..tables import command_options


@click.command(
    short_help="Print the predictions of an export for the rows of a file, or for images.",
    epilog=examples(
        "keras-acts predict saved_models/price new.csv",
        "keras-acts predict saved_models/digits-cnn images.npz --out predictions.csv",
    ),
)
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--out",
    default=None,
    type=click.Path(path_type=Path),
    help="A file instead of standard output.",
)
@overwriting()
@click.option(
    "--allow-nan",
    is_flag=True,
    help="Predict rows with gaps too: the model knows what to do with NaN.",
)
@command_options.of_file
def predict(
    path: Path, data: Path, out: Path | None, overwrite: bool, allow_nan: bool, **table: Any
) -> None:
    """Print the predictions of the export in the folder PATH for each row of DATA, as CSV.

    DATA is a table with a header line (.csv, .tsv, packed or not, or .parquet), of which the
    columns that the model was trained with are taken, a .npz with an array x, or an image or a
    folder of images. Of a folder of
    versions the newest is used. A row with a gap is refused in a column that had none in the
    training.
    """
    with interruptible():
        with one_line_errors():
            from .. import checks, jobs

            reading = checks.reading_of(table)
            job = jobs.prepare_predict(
                path, data, reading, out=out, overwrite=overwrite, allow_nan=allow_nan
            )
        with loading():
            from .. import exports
        with one_line_errors():
            exports.predict(job)
