"""Counters for Prometheus, in a registry of their own. They hold no address, no emotion and nothing of the audio."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """What the service counts."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Counter("ser_requests", "HTTP requests", ["route", "status"], registry=self._registry)
        self.streams = Counter("ser_streams", "WebSocket connections that have ended", ["end"], registry=self._registry)
        self.audio = Counter("ser_audio_seconds", "Seconds of audio recognized", ["kind"], registry=self._registry)
        self.segments = Counter("ser_segments", "Segments reported", ["kind"], registry=self._registry)
        self.latency = Histogram(
            "ser_stream_latency_seconds",
            "From the arrival of samples to the end of their processing, waiting for a thread included",
            buckets=SECONDS,
            registry=self._registry,
        )

    def watch(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """A gauge that is read when it is asked for."""
        Gauge(name, meaning, registry=self._registry).set_function(value)

    def text(self) -> bytes:
        """All of them, in Prometheus' text format."""
        return generate_latest(self._registry)
