"""Benchmarks that print a table; no test asserts a time.

Each has ``--quick``, which only shows whether it runs; that of `regret` is a small table, some
minutes a task.
"""
