"""Augmentation of training recordings. Imports neither `crnn` nor `edge`."""
