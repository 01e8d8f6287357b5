"""Search for the activation that suits a Keras model best.

In one call (`search_activations`), as a KerasTuner tuner (`ActivationTuner`), or piece by piece.

The house, from the ground up. A room imports only rooms above it in this list, and no two import
each other (``tests/test_rooms.py``). Each room's docstring says which file to open first.

- `runtime`: seeds, devices, memory, folders that are ours.
- `space`: *what* is tried: candidates, and the space they come from.
- `rewrite`: *where* it goes: the activation slots of a user's model, and the model with others.
- `vectorize`: *how* one layer runs for many members at once, such as a convolution for 32 models.
- `strategy`: what all ways to search share: what ranks, what is checked, what is shown.
- `population`: many models as one Keras model, `PopulationModel`.
- `race`: a way to search: who falls behind leaves.
- `tuner`: a way to search: KerasTuner's trials, one by one or together.
- `tracking`: who follows a search: callbacks, TensorBoard, MLflow, Weights & Biases.
- `verdict`: *how sure* it is that one is better; here "keep relu" is said (`verdict/judge.py`).
- `exporting`: what one takes home: a SavedModel that loads without this package.
- `frames`: a table's columns as numbers, by layers inside the export.

`api.py` is the front door: `request.py` checks, `plan.py` chooses the way, `outcome.py` judges and
keeps, `result.py` is what one gets. `cli/` is the command line, installed as ``keras_acts_cli``.
"""

from .api import search_activations
from .exporting.export import export
from .exporting.load import LoadedModel, load
from .frames.preprocessing import TablePreprocessing
from .population.best_weights import BestWeights
from .population.model import PopulationModel
from .result import SearchResult
from .rewrite.clone import with_activations
from .rewrite.slots import Slot, slots
from .runtime.choices import let_memory_grow
from .runtime.programs import keep_on_disk
from .space.assignment import Assignment
from .space.candidate import Candidate
from .space.space import ActivationSpace
from .tracking.callback import SearchCallback
from .tracking.to_mlflow import MLflowLogger
from .tracking.to_tensorboard import TensorBoardLogger
from .tracking.to_wandb import WandbLogger
from .tuner.hypermodel import ActivationHyperModel, activation_choice
from .tuner.oracle import ActivationOracle
from .tuner.racing_oracle import RacingOracle
from .tuner.tuner import ActivationTuner
from .vectorize.registry import vectorizes
from .verdict.compare import compare_activations
from .verdict.verdict import Verdict

# TensorFlow and JAX look at both once, when they first compile and first use a GPU
keep_on_disk()
let_memory_grow()

__all__ = [
    "ActivationHyperModel",
    "ActivationOracle",
    "ActivationSpace",
    "ActivationTuner",
    "Assignment",
    "BestWeights",
    "Candidate",
    "LoadedModel",
    "MLflowLogger",
    "PopulationModel",
    "RacingOracle",
    "SearchCallback",
    "SearchResult",
    "Slot",
    "TablePreprocessing",
    "TensorBoardLogger",
    "Verdict",
    "WandbLogger",
    "activation_choice",
    "compare_activations",
    "export",
    "load",
    "search_activations",
    "slots",
    "vectorizes",
    "with_activations",
]
