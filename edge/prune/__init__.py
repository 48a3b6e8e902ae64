"""Structured pruning: channels and LSTM units are removed in steps, each followed by training."""
