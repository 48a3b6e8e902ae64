"""Measures a bundle on test clips, through the whole listening loop (`python -m edge.evaluate`)."""
