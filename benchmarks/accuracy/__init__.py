"""Accuracy of trained models: within and across corpora, with classical baselines, and in degraded recordings."""
