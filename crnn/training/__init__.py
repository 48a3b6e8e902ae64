"""One training run: task, losses, fit, run folder and report."""
