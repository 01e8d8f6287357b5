"""`python -m keras_acts_cli`."""

from . import main

main(prog_name="keras-acts")
