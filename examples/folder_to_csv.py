"""All recordings below a folder as a table with columns of your choice: python examples/folder_to_csv.py FOLDER out.csv

For one row per segment, and a table that continues after an interruption, there is a command:
python stream_infer.py FOLDER/*.wav --csv out.csv
"""

import csv
import sys
from pathlib import Path

from crnn.errors import InputError
from edge import open_model

folder, table = map(Path, sys.argv[1:])
model = open_model()
with table.open("w", newline="", encoding="utf-8") as file:
    rows = csv.writer(file)
    rows.writerow(["file", "seconds", "emotion", "confidence", *model.labels])
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".wav", ".flac", ".mp3", ".ogg")):
        try:
            result = model.recognize(path)
        except InputError as error:  # a damaged recording must not stop the others
            print(error, file=sys.stderr)
            continue
        probabilities = [f"{result.probs.get(label, 0):.3f}" for label in model.labels]
        answer = result.emotion or result.verdict
        rows.writerow(
            [path.relative_to(folder), f"{result.seconds:.2f}", answer, f"{result.confidence:.3f}", *probabilities]
        )
