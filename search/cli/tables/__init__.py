"""Tables as people have them: files to columns of numbers, words, truth values and dates.

`files.py` reads a file, `options.py` says how a user may have it read, `labelled.py` takes the target
out. Nothing here loads Keras or TensorFlow: what is wrong with a file is known within a second.
"""
