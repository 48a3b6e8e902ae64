"""Accuracy of trained models: within and across corpora, beside classical baselines, under degraded sound."""
