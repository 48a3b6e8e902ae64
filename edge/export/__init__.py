"""From a trained model to a verified bundle: export, quantize, compare, assemble."""
