"""Recognize the emotion of one recording: python examples/recognize.py recording.wav"""

import sys

from edge import open_model

model = open_model()  # the model that ships; open_model("bundles/mine") opens yours
result = model.recognize(sys.argv[1])
print(result.emotion or result.verdict, f"{result.confidence:.2f}")
for segment in result.segments:
    print(f"{segment.start_seconds:6.2f} to {segment.end_seconds:6.2f} s  {segment.emotion or segment.verdict}")
