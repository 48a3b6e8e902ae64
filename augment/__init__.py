"""What happens to speech on its way to training. Imports neither `crnn` nor `edge`."""
