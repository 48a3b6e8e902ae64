"""Shared parts of the benchmarks: training runs, corpora, result files, pooling, plots."""
