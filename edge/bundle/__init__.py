"""A bundle is all a device needs: its manifest, model files, speaker statistics and golden values."""
