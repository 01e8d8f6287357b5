"""Benchmarks that print a table; no test asserts a time."""
