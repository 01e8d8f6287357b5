"""Search for the activation that suits a Keras model best.

In one call, as a KerasTuner tuner, or piece by piece.
"""

from .api import search_activations
from .exporting.export import export
from .exporting.load import LoadedModel, load
from .population.best_weights import BestWeights
from .population.model import PopulationModel
from .result import SearchResult
from .rewrite.clone import with_activations
from .rewrite.slots import Slot, slots
from .space.assignment import Assignment
from .space.candidate import Candidate
from .space.space import ActivationSpace
from .tuner.hypermodel import ActivationHyperModel, activation_choice
from .tuner.oracle import ActivationOracle
from .tuner.racing_oracle import RacingOracle
from .tuner.tuner import ActivationTuner
from .vectorize.registry import vectorizes
from .verdict.compare import compare_activations
from .verdict.verdict import Verdict

__all__ = [
    "ActivationHyperModel",
    "ActivationOracle",
    "ActivationSpace",
    "ActivationTuner",
    "Assignment",
    "BestWeights",
    "Candidate",
    "LoadedModel",
    "PopulationModel",
    "RacingOracle",
    "SearchResult",
    "Slot",
    "Verdict",
    "activation_choice",
    "compare_activations",
    "export",
    "load",
    "search_activations",
    "slots",
    "vectorizes",
    "with_activations",
]
