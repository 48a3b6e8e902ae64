"""The exact stream: samples in, logits out, and how they become an answer. NumPy and one runtime."""
