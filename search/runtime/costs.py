"""What was measured: from how many members, steps or values on one way to train costs less than another.

Each number stands with the command that shows it, and with the machine and the day of its commit
where they are known. On another machine it is a guess of the right size: by a wrong one nothing
becomes wrong, only slower. What is chosen or counted, not measured, stands where it is used.

"2 cores" are CPU cores. Those of 24 November 2026 are an earlier machine whose CPU nobody wrote down;
from 26 November on it is the AMD EPYC with AVX2 of `docs/benchmarks.md` (TensorFlow 2.21, Keras 3.15.1).
"""

from __future__ import annotations

from typing import NamedTuple

# ---- XLA. The MLP 64-64 with 8 activations on letters, 2 cores: whole trainings with and without by
# `python -m benchmarks.population --mlp letters.csv letter --jit yes` (or no); no command prints the
# parts, which were taken from such runs.


class Compilation(NamedTuple):
    """What XLA's compilation of a whole training step costs and saves, in milliseconds."""

    compiling: float
    saved_a_step: float
    saved_a_step_and_member: float

    def pays(self, steps: float, members: int) -> bool:
        """Whether it saves, over so many steps, more than it takes to compile."""
        saved_a_step = self.saved_a_step + self.saved_a_step_and_member * members
        return steps * saved_a_step >= self.compiling


# with oneDNN; 24 November 2026
XLA_STEP_WITH_ONEDNN = Compilation(1600, 1.1, 0.015)
# without; 26 November 2026. A step of 32 members takes 10 ms there, of which XLA saves 5
XLA_STEP_WITHOUT_ONEDNN = Compilation(5000, 0.3, 0.17)
# steps; 24 November 2026. To compile the update of the weights alone takes 0.5 s and saves 2.7 ms a
# step of 32 members: it pays from so many on
XLA_UPDATE_LEAST_STEPS = 200
# members; 24 November 2026. Fewer do not earn a compilation back
XLA_LEAST_MEMBERS = 8


# ---- Dense layers without oneDNN, one product a member instead of a batched one. 2 cores, 26 November
# 2026: TensorFlow's batched product of 32 matrices, 128 x 64 x 64, takes 0.8 to 1.1 ms, 32 products of
# two 0.4 to 0.5. No command prints that; whole trainings do, `TF_ENABLE_ONEDNN_OPTS=0 python -m
# benchmarks.population --mlp letters.csv letter`.

# values of a member's kernel: smaller products are not worth their place in the graph
PRODUCT_A_MEMBER_LEAST_VALUES = 1024
# members: more products take longer to trace than they save
PRODUCT_A_MEMBER_MOST_MEMBERS = 64


# ---- Convolutions on JAX: `KERAS_BACKEND=jax python -m benchmarks.convolutions`, JAX 0.11.2, 27 November
# 2026. Values of a window, its pixels times its channels; with so many, products of patches are not
# the fastest any more.

PATCHES_TOO_MANY_VALUES_ON_CPU = 256  # 2 cores
PATCHES_TOO_MANY_VALUES_ON_GPU = 512  # NVIDIA H200


# ---- Lanes: `TF_NUM_INTRAOP_THREADS=1 python -m benchmarks.step --rates`, 2 cores with AVX-512 and
# oneDNN, 29 November 2026; with KERAS_ACTS_CHOICES=lanes=1 in one lane. A step of 32 CNNs takes 9.1 to
# 9.5 ms in one and 7.7 in two, of 32 MLPs 1.9, and 1.6 to 1.9; four lanes are no faster. Of 2, 4 and 8
# CNNs (`--members`) 0.90, 1.37 and 2.24 ms in one, 0.86, 1.11 and 1.86 in two; of MLPs 0.35, 0.44 and
# 0.57, and 0.43, 0.40 and 0.56

LANES = 2


# ---- How large a population is, and how often it comes back to Python

# steps in one call of Keras' train function: less Python an epoch. With 125 instead of one, 32 MLPs took
# 6 s instead of 9 (a machine and day nobody wrote down); `python -m benchmarks.population` has 125
# in all rows
MOST_STEPS_PER_EXECUTION = 100
# members of a population of several seeds, 4 activations x 4 rates on the digits of the command line, 2 busy
# cores, 29 November 2026: 64 at once take 14 % less CPU time than twice 32 (CNN: 5 epochs 6.2 to 6.9 s instead
# of 7.5 to 8.0), or 23 % (MLP: 10 epochs 2.4 to 2.5 s instead of 2.8 to 3.4). Ctrl-C loses more of them
SEEDS_TOGETHER_MOST_MEMBERS = 64
# values that the layers of such a population put out a member and batch: `python -m benchmarks.seeds`,
# 2 cores, 26 November 2026. With 0.6 million seeds together were 1.3 times faster, with 1.7 and 2.5
# million between 0.8 and 1.3 (CNNs, folded and member after member)
SEEDS_TOGETHER_MOST_OUTPUTS = 2**20
# members of a population in a race: `python -m benchmarks.population --plot growth.png`, 2 cores, 24
# November 2026. Beyond, an epoch takes as long as it has members
RACE_MOST_MEMBERS = 128
# steps that a smaller population must save to be worth making: `python -m benchmarks.population`, 2
# cores, 26 November 2026. What is not "in steps" there, to build and to trace it, takes two to four
# seconds: so many steps of 32 MLPs, or fewer of CNNs (7 and 30 ms)
SMALLER_POPULATION_LEAST_STEPS = 400


# ---- What a search takes, for `search/race/planner.py`: `python -m benchmarks.plans --costs`, 2 cores,
# 28 November 2026, in seconds of this process' own CPU time, as others worked on the machine too. MLPs
# and CNNs with 8 and 32 members; on a GPU nothing was measured

# to build, trace and begin a population, with its validation: 1.4 with 8 MLPs, 2.0 with 32; of CNNs 1.4
# and 2.8
PROGRAM_SECONDS = 0.8
PROGRAM_SECONDS_A_LAYER = 0.1
MEMBER_START_SECONDS = 0.03
# of a training step: 2.6 ms with 8 MLPs 64-64 at batches of 128, 5.7 with 32; of CNNs 6.9 and 18.3
STEP_SECONDS = 0.002
# multiplications with weights in a forward pass, for which a step takes so long in all: 7e9 with small
# layers, 2e10 with dense layers of 512
PRODUCTS_A_SECOND = 1e10

# ---- What a search misses of the best candidate, as a share of what the median candidate misses:
# `python -m benchmarks.plans`, 10 and 20 trials of letters, optdigits (an MLP and a CNN) and Friedman's
# function, 30 and 40 searches each, 28 November 2026; docs/racing.md has the tables

RACE_REGRET = 0.16
# half of the epochs for all, and the rest for half of them: as one seed of all to the end, as both keep the
# same run in 97 to 100 of 100 searches, and what is found differs by 0.01 at most. `python -m
# benchmarks.short_races`, the same tables, and these as if trainings ended after 5, 6 and 8 epochs, 10 to
# 20 trials, 200 searches each, 29 November 2026
SHORT_RACE_REGRET = 0.18
# all to the end: with one, two and three seeds a candidate, each without and with a round of proposals
# from what the activations have shown
TOGETHER_REGRET = ((0.18, 0.174), (0.135, 0.123), (0.1, 0.085))
# the standard error of such a share: what differs by less is taken for equal
REGRET_ERROR = 0.01
# no measurements. More seeds for all, which surely tell more, may take so many times what one seed of all
# candidates takes as one population
LONGER_THAN_TOGETHER = 1.1
# and a race this share of it: as these seconds are counted, what seems hardly faster may be slower
RACE_OF_TOGETHER = 0.9
