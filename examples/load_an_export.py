"""Load an exported model: TensorFlow is all it needs.

python examples/load_an_export.py [saved_models/example]
"""

import sys

import numpy as np
import tensorflow as tf

loaded = tf.saved_model.load(sys.argv[1] if len(sys.argv) > 1 else "saved_models/example")
(name, spec), *_ = loaded.signatures["serving_default"].structured_input_signature[1].items()
x = np.zeros([1 if size is None else size for size in spec.shape], spec.dtype.as_numpy_dtype)
print(name, x.shape, "->", loaded.serve(x).numpy())
