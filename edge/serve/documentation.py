"""The schema of the answers, and the page at /docs, made from OpenAPI here: it loads nothing, from nowhere."""

import json
from html import escape
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

STREAM = (
    "WebSocket /stream (OpenAPI cannot describe it): send samples as binary messages, 16 kHz mono int16 little-endian "
    'unless the query says otherwise (rate, channels, format, decisions=true), and {"type": "end"} as text after the '
    "last. Every event comes as a text message, one JSON object. A connection that is refused gets an event of type "
    '"error" and a close code: 1003 text, 1007 no samples, 1008 token, parameter or time, 1009 message above 256 KiB, '
    "1013 try again later."
)
STYLE = (
    "body{font:16px system-ui;max-width:60em;margin:2em auto;padding:0 1em}"
    "pre{overflow:auto;background:#8882;padding:1em}"
)
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"


class Segment(BaseModel):
    """One utterance, as `stream_infer.py --json` gives it."""

    model_config = ConfigDict(extra="forbid")
    type: Literal["segment"]
    seconds: float
    start_seconds: float
    end_seconds: float
    emotion: str | None
    verdict: str | None
    confidence: float | None
    probs: dict[str, float | None]
    arousal: float | None = None


class Answer(BaseModel):
    """What a recording is answered."""

    model_config = ConfigDict(extra="forbid")
    segments: list[Segment]
    seconds: float
    """Length of the recording, s"""


class Problem(BaseModel):
    """Why there is no answer, in one line."""

    model_config = ConfigDict(extra="forbid")
    error: str


class Health(BaseModel):
    """That the service runs, and with what."""

    model_config = ConfigDict(extra="forbid")
    status: Literal["ok"]
    model: str
    """Identity of the bundle"""
    runtime: str
    vad: str


def page(openapi: dict[str, Any]) -> str:
    """OpenAPI as HTML, without scripts."""
    parts = [f"<h1>{escape(openapi['info']['title'])}</h1><p>{escape(openapi['info']['description'])}</p>"]
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            parts.append(
                f"<h2>{method.upper()} {escape(path)}</h2><p>{escape(operation.get('description', ''))}</p><ul>"
            )
            for status, answer in operation["responses"].items():
                parts.append(f"<li>{escape(status)}: {escape(answer['description'])}</li>")
            parts.append("</ul>")
    schemas = json.dumps(openapi.get("components", {}).get("schemas", {}), indent=1)
    parts.append(f"<h2>Schemas</h2><pre>{escape(schemas)}</pre><p>The same for programs: /openapi.json</p>")
    head = f'<meta charset="utf-8"><title>{escape(openapi["info"]["title"])}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>'
