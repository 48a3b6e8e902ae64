"""Structured pruning: channels and units leave, the rest is trained further."""
