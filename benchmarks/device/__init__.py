"""What the stream costs and how it behaves: time, memory, false emotions, a day of audio, every processor."""
