"""From a trained model to a verified bundle: prune, export, quantize, verify, assemble (`edge.export.pipeline`)."""
