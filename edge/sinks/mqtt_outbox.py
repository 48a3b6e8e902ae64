"""What waits for an MQTT broker, bounded in number and in age.

A state is what a topic retains. Only the newest waits: home automation must not receive an hour of old states at once.
An event happens once and is not retained. It is sent while there is a connection, or not at all: one that arrives an
hour late would start an automation at the wrong time.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_EVENTS = 16
"""Events that wait for a slow broker; the oldest is dropped"""


@dataclass(frozen=True)
class Message:
    """One message for the broker."""

    topic: str
    payload: str
    retain: bool


class Outbox:
    """Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._latest: dict[str | int, Message] = {}  # states, by topic, to be sent again on every connection
        self._waiting: dict[str | int, Message] = {}  # states by topic; steps and events by number
        self._number = itertools.count()
        self._open = False
        self.replaced = 0
        """States that a newer one replaced before they were sent"""
        self.dropped = 0
        """Events that were not sent"""
        self._reported = (0, 0)

    @property
    def waiting(self) -> int:
        """Messages that wait."""
        return len(self._waiting)

    def put_state(self, topic: str, payload: str) -> None:
        """A new state of a topic, in place of one that waits."""
        self.replaced += topic in self._waiting
        self._waiting[topic] = self._latest[topic] = Message(topic, payload, retain=True)

    def put_event(self, topic: str, payload: str) -> None:
        """An event; dropped where there is no connection, and the oldest where too many wait."""
        if not self._open:
            self.dropped += 1
            return
        events = [key for key, message in self._waiting.items() if not message.retain]
        if len(events) >= MOST_EVENTS:
            del self._waiting[events[0]]
            self.dropped += 1
        self._waiting[next(self._number)] = Message(topic, payload, retain=False)

    def put_steps(self, steps: Sequence[tuple[str, str]]) -> None:
        """Messages to retain, topic and payload, which are all sent, in this order and on this connection alone. States
        of their topics that wait are not sent before them."""
        for topic, payload in steps:
            self._waiting.pop(topic, None)
            self._waiting[next(self._number)] = Message(topic, payload, retain=True)

    def take(self) -> Message:
        """The message that has waited longest. Raises KeyError if none waits."""
        return self._waiting.pop(next(iter(self._waiting), -1))

    def open(self, greeting: Mapping[str, str]) -> str:
        """There is a connection: `greeting` (topic -> payload) and every newest state wait, in this order.

        Returns what was lost since the last connection, in words; empty if nothing was.
        """
        self._open = True
        first: dict[str | int, Message] = {topic: Message(topic, text, retain=True) for topic, text in greeting.items()}
        self._waiting = first | self._latest | self._waiting
        replaced, dropped = self.replaced - self._reported[0], self.dropped - self._reported[1]
        self._reported = (self.replaced, self.dropped)
        parts = [f"{replaced} messages replaced by newer ones"] if replaced else []
        return ", ".join(parts + ([f"{dropped} events not sent"] if dropped else []))

    def shut(self) -> None:
        """The connection is lost: steps and events that wait are dropped."""
        self._open = False
        self.dropped += sum(not message.retain for message in self._waiting.values())
        self._waiting = {key: message for key, message in self._waiting.items() if isinstance(key, str)}
