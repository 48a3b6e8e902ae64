"""Hostile inputs for every reader of files that others may have written."""
