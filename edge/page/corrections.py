"""The Correct tab: the recordings that the loop was least sure of, and a person's corrections.

The folder is named on the command line. From a browser come only a recording's name, an emotion and a speaker, and each
is checked before it becomes part of a file name (edge.feedback.store).
"""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from crnn.errors import InputError, require
from edge.feedback.sidecar import Answer, time_of
from edge.feedback.store import Corrected, RecordingStore, StoredRecording
from edge.page import html as words
from edge.stream.results import Segment

DELETE = "delete"
SHOWN = 200
"""Corrected recordings listed at most, the newest"""


class Corrections:
    """The tab's content, and the correction or deletion of a recording.

    Args:
        folder: as `stream_infer.py --keep-unsure` was given.
        emotions: of the models on the page. A recording's own model may have others.

    Raises what RecordingStore raises.
    """

    def __init__(self, folder: Path, emotions: Sequence[str]) -> None:
        self._folder, self._emotions = RecordingStore(folder), tuple(emotions)

    def listing(self) -> dict[str, str]:
        """`rows` (HTML): stored recordings, the least sure first, then corrected ones; `note`: counts and folder."""
        stored, _ = self._folder.scan()
        asked = sorted((item for item in stored if item.answer and item.complete), key=lambda item: item.sure)
        corrected = self._folder.corrected()
        counts = Counter(item.emotion for item in corrected)
        each = ", ".join(f"{count} {emotion}" for emotion, count in sorted(counts.items()))
        note = (
            f"{len(asked)} to correct, {len(corrected)} corrected{f' ({each})' if each else ''}, in {self._folder.path}"
        )
        rows = [self._stored_row(item, item.answer) for item in asked if item.answer]
        rows += [self._corrected_row(item) for item in corrected[:SHOWN]]
        return {"rows": "".join(rows), "note": note}

    def sound(self, name: str) -> bytes:
        """A WAV file. Raises InputError if `listing` has none of that name."""
        self._known(name)
        return self._folder.sound(name)

    def act(self, name: str, body: bytes) -> dict[str, str]:
        """Apply `{"emotion": ..., "speaker": ...}` or `{"delete": true}` to a recording; returns the new listing.

        Raises InputError for anything else.
        """
        try:
            values = json.loads(body)
            delete = values.get(DELETE) is True
            emotion, speaker = ("", "") if delete else (values["emotion"], values["speaker"])
        except (ValueError, KeyError, AttributeError, RecursionError) as error:
            raise InputError("a correction is an emotion and a speaker; reload the page") from error
        self._known(name)
        if delete:
            self._folder.forget(name)
        else:
            if not (isinstance(emotion, str) and isinstance(speaker, str)):
                raise InputError("a correction is an emotion and a speaker, as text; reload the page")
            if emotion not in self._choices(name):
                raise InputError(f"{emotion!r} is not one of the emotions offered; reload the page")
            self._folder.correct(name, emotion, speaker)
        return self.listing()

    def _known(self, name: str) -> None:
        """Raises InputError unless the folder lists the name, so that links and foreign files are never touched."""
        names = {item.name for item in self._folder.scan()[0]} | {item.name for item in self._folder.corrected()}
        require(name in names, "this recording is no longer here; reload the page")

    def _choices(self, name: str) -> tuple[str, ...]:
        answer = next((item.answer for item in self._folder.scan()[0] if item.name == name), None)
        return tuple(answer.probs) if answer else self._emotions

    def _stored_row(self, item: StoredRecording, answer: Answer) -> str:
        segment = Segment(0.0, answer.seconds, answer.emotion, answer.verdict, item.sure, answer.probs)
        shown = f"{words.badge(segment)}{words.bars(answer.probs)}"
        return self._row(item.name, "", shown, tuple(answer.probs), "", "")

    def _corrected_row(self, item: Corrected) -> str:
        choices = tuple(dict.fromkeys((*self._emotions, item.emotion)))
        shown = f'<span class="ser-badge ser-none">corrected: {words.escaped(item.emotion)}</span>'
        return self._row(item.name, f", {words.escaped(item.speaker)}", shown, choices, item.emotion, item.speaker)

    def _row(self, name: str, who: str, shown: str, emotions: Sequence[str], chosen: str, speaker: str) -> str:
        options = "".join(
            f"<option{' selected' if emotion == chosen else ''}>{words.escaped(emotion)}</option>"
            for emotion in emotions
        )
        empty = '<option value="">it was ...</option>' if not chosen else ""
        return (
            f'<tr data-name="{name}" data-speaker="{words.escaped(speaker)}">'
            f"<td>{time_of(name):%Y-%m-%d %H:%M} UTC{who}"
            f'<audio controls preload="none" src="/recordings/{name}"></audio></td><td>{shown}</td>'
            f'<td><div class="ser-live"><select aria-label="Emotion">{empty}{options}</select>'
            '<button class="ser-delete">Not speech: delete</button></div></td></tr>'
        )


def tab() -> str:
    """HTML of the empty tab."""
    head = "<thead><tr><th>sound</th><th>answer</th><th>correction</th></tr></thead>"
    return (
        '<div class="ser-live" id="ser-correct"><label>Who speaks <input id="ser-speaker" value="me" maxlength="30" '
        'autocomplete="off"></label><button id="ser-list">Refresh</button></div>'
        '<p id="ser-correct-error" class="ser-error" role="alert" hidden></p>'
        '<p id="ser-correct-note" class="ser-note">Nothing is listed yet.</p>'
        f'<table class="ser-table">{head}<tbody id="ser-recordings"></tbody></table>'
    )
