"""The commands of `keras-acts`: their options and help pages, and in which order they do what.

Each checks first what needs no TensorFlow, then loads it, then works; the work itself is in the
modules around this folder. Only what `--help` needs is imported at the top of a module here.
"""
