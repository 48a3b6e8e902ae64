"""Samples in, answers out: the exact stream and what it decides. NumPy and one runtime."""
