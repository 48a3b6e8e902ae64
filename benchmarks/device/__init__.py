"""Cost and behaviour of the stream: time, memory, false emotions, a day of audio, every processor."""
