"""`keras-acts predict`."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import examples
from ..running import interruptible, loading, one_line_errors


@click.command(
    short_help="Print the predictions of an export for the rows of a file.",
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
@click.option(
    "--allow-nan",
    is_flag=True,
    help="Predict rows with gaps too: the model knows what to do with NaN.",
)
def predict(path: Path, data: Path, out: Path | None, allow_nan: bool) -> None:
    """Print the predictions of the export in the folder PATH for each row of DATA, as CSV.

    DATA is a .csv with a header line, of which the columns that the model was trained with are
    taken, or a .npz with an array x. Of a folder of versions the newest is used. A row with an
    empty cell is refused.
    """
    with interruptible():
        with one_line_errors():
            from .. import jobs

            job = jobs.prepare_predict(path, data, out=out, allow_nan=allow_nan)
        with loading():
            from .. import exports
        with one_line_errors():
            exports.predict(job)
