"""Test clips through the whole listening loop of a bundle (`python -m edge.evaluate`)."""
