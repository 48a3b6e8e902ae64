"""What the model is and how it learns.

``features``, ``labels`` and ``config`` need NumPy only and run on the device; everything else may use torch.
"""
