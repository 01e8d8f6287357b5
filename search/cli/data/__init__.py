"""The data of `keras-acts search`: what an option names, read and in three parts.

`loading.py` tells by a name or an ending what it is: a set that comes with scikit-learn
(`bundled.py`), arrays (`arrays.py`), a table (`tables.py`), a folder of images (`images.py`: which
files by `image_folders.py`, their pixels by `pixels.py`). Each makes a `Dataset`
(`dataset.py`) of arrays with labels (`labels.py`). Nothing here loads Keras or TensorFlow.
"""

from ..places import BUNDLED
from .dataset import Dataset, Pair, Parts, Rows
from .loading import load

__all__ = ["BUNDLED", "Dataset", "Pair", "Parts", "Rows", "load"]
