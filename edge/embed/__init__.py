"""Embeddings of recordings: written, drawn and probed."""
