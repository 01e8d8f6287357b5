"""The version, alone in a file so that building the package imports neither Keras nor TensorFlow."""

__version__ = "0.1.0"
