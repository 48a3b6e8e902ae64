"""The service beside one process per stream: connections held in real time, latency, memory, dropped connections.

    python -m benchmarks.device.service [BUNDLE] [--connections 8 32 64] [--seconds 20]

Each connection sends speech as a microphone does, a tenth of a second at a time, and gets every decision. The latency
of a decision counts from the moment when its last sample was due; it includes this program, which runs on the same
processors. A number of connections is held if the 95th percentile of the latency is at most the interval between two
decisions. The service and the processes (`stream_infer.py -`) take turns in one run. Writes
benchmarks/results/service.json.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import numpy as np

from benchmarks.device.stream_systems import RATE
from benchmarks.device.streaming import SPEECH
from benchmarks.harness.environment import measured
from benchmarks.harness.process_status import rss_mb, status
from benchmarks.harness.results import add_row
from crnn.cli.command import command
from crnn.errors import require
from edge.audio.sources import from_file
from edge.bundle import PRETRAINED, Bundle
from edge.preflight import needed

ROOT = Path(__file__).resolve().parents[2]
CHUNK_SECONDS, CHUNK_BYTES = 0.1, 3200
TICKS = os.sysconf("SC_CLK_TCK")
PATIENCE = 120.0
"""s until something counts as never happening"""
END = b'{"type": "end"}'
ROUNDS = 5
"""Of dropped connections"""


async def feed(send: Callable[[bytes], Awaitable[None]], audio: bytes, begin: float, seconds: float) -> None:
    """Send `audio`, repeated, in real time from `begin` on."""
    for k in range(round(seconds / CHUNK_SECONDS)):
        await asyncio.sleep(max(0.0, begin + (k + 1) * CHUNK_SECONDS - time.monotonic()))
        at = k * CHUNK_BYTES % len(audio)
        await send((audio[at : at + CHUNK_BYTES] + audio)[:CHUNK_BYTES])


async def read(lines: AsyncIterator[str | bytes], begin: float, latencies: list[float]) -> None:
    """The latency of every decision, s."""
    async for line in lines:
        event = json.loads(line)
        if event["type"] == "hop" and "probs" in event:
            due = begin + math.ceil(event["seconds"] / CHUNK_SECONDS - 1e-6) * CHUNK_SECONDS
            latencies.append(time.monotonic() - due)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def row(
    system: str, n: int, seconds: float, latencies: list[float], memory: float, each: float, cpu: float, interval: float
) -> dict:
    require(len(latencies) > 0, f"{system}: no decision came; play more --seconds")
    p50, p95 = (1000 * float(np.percentile(latencies, part)) for part in (50, 95))
    return {
        "what": "load",
        "system": system,
        "connections": n,
        "seconds": seconds,
        "decisions": len(latencies),
        "latency_ms_p50": round(p50, 1),
        "latency_ms_p95": round(p95, 1),
        "held": p95 <= 1000 * interval,
        "rss_mb": round(memory, 1),
        "rss_mb_per_connection": round(each, 2),
        "cpu_s_per_hour": round(3600 * cpu / (n * seconds), 1),
        "processors": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 1),
    }


class Service:
    """`python -m edge.serve` in a process of its own."""

    def __init__(self, bundle: Path, most: int) -> None:
        limits = ("--max-streams", str(most), "--max-per-minute", "1000000")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edge.serve", str(bundle), "--port", "0", "--vad", "energy", *limits],
            cwd=ROOT, env=measured(), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.url = self.process.stdout.readline().strip()
        require(self.url.startswith("http"), "the service did not start")

    @property
    def pid(self) -> int:
        return self.process.pid

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
        return next((float(line.split()[-1]) for line in lines if line.startswith(name + " ")), 0.0)

    def connect(self):
        from websockets.asyncio.client import connect

        url = self.url.replace("http", "ws") + "/stream?decisions=true"
        return connect(url, compression=None, open_timeout=PATIENCE, ping_interval=None)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


async def load_service(service: Service, audio: bytes, n: int, seconds: float, interval: float) -> dict:
    latencies: list[float] = []
    async with contextlib.AsyncExitStack() as stack:
        before = rss_mb("VmRSS", service.pid)
        lines = [await stack.enter_async_context(service.connect()) for _ in range(n)]
        start, cpu = time.monotonic() + 0.5, cpu_s(service.pid)
        begins = [start + k * CHUNK_SECONDS / n for k in range(n)]
        readers = [asyncio.create_task(read(line, begin, latencies)) for line, begin in zip(lines, begins, strict=True)]
        await asyncio.gather(*(feed(line.send, audio, at, seconds) for line, at in zip(lines, begins, strict=True)))
        memory, cpu = rss_mb("VmRSS", service.pid), cpu_s(service.pid) - cpu
        for line in lines:
            await line.send(END.decode())
        await asyncio.gather(*readers)
    return row("service", n, seconds, latencies, memory, (memory - before) / n, cpu, interval)


async def load_processes(bundle: Path, audio: bytes, n: int, seconds: float, interval: float) -> dict:
    latencies: list[float] = []
    arguments = [str(ROOT / "stream_infer.py"), str(bundle), "-", "--json", "--decisions", "--vad", "energy"]
    pipe = subprocess.PIPE
    made = [
        await asyncio.create_subprocess_exec(sys.executable, *arguments, env=measured(), stdin=pipe, stdout=pipe)
        for _ in range(n)
    ]
    await settled([process.pid for process in made])

    async def send(process: asyncio.subprocess.Process, data: bytes) -> None:
        process.stdin.write(data)
        await process.stdin.drain()

    start, cpu = time.monotonic() + 0.5, sum(cpu_s(process.pid) for process in made)
    begins = [start + k * CHUNK_SECONDS / n for k in range(n)]
    readers = [
        asyncio.create_task(read(process.stdout, begin, latencies)) for process, begin in zip(made, begins, strict=True)
    ]
    pairs = zip(made, begins, strict=True)
    await asyncio.gather(
        *(feed(lambda data, process=process: send(process, data), audio, at, seconds) for process, at in pairs)
    )
    memory = sum(rss_mb("VmRSS", process.pid) for process in made)
    cpu = sum(cpu_s(process.pid) for process in made) - cpu
    for process in made:
        process.stdin.close()
    await asyncio.gather(*readers, *(process.wait() for process in made))
    return row("processes", n, seconds, latencies, memory, memory / n, cpu, interval)


async def settled(pids: list[int]) -> None:
    """Until the processes have loaded and wait for audio: their processor time no longer grows."""
    before, end = -1.0, time.monotonic() + PATIENCE
    while (now := sum(map(cpu_s, pids))) != before:
        require(time.monotonic() < end, f"{len(pids)} processes did not start within {PATIENCE:g} s")
        before = now
        await asyncio.sleep(1.0)


async def drop(service: Service, audio: bytes, n: int) -> dict:
    """`n` connections at a time, each dropped at a random point: what the service holds before and after."""
    drawn = random.Random(0)

    async def one(pause: float) -> None:
        async with service.connect() as line:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await feed(line.send, audio, time.monotonic(), 60)
            line.transport.abort()

    def held() -> dict:
        names = {"open_streams": "ser_streams_open", "descriptors": "process_open_fds"}
        found = {key: round(service.metric(name)) for key, name in names.items()}
        return found | {"threads": status("Threads", service.pid), "rss_mb": round(rss_mb("VmRSS", service.pid), 1)}

    await asyncio.gather(*(one(0.1) for _ in range(4)))  # starts the threads of the pool
    await asyncio.sleep(1)
    before = await asyncio.to_thread(held)
    after = []
    for _ in range(ROUNDS):  # memory that was used once stays with the process; it must not grow from round to round
        await asyncio.gather(*(one(drawn.uniform(0.1, 2)) for _ in range(n)))
        end = time.monotonic() + PATIENCE
        while (left := await asyncio.to_thread(held))["open_streams"] and time.monotonic() < end:
            await asyncio.sleep(0.5)
        after.append(left)
    return {"what": "dropped", "system": "service", "connections": n, "before": before, "after": after}


async def measure(args: argparse.Namespace) -> list[dict]:
    samples = np.concatenate(list(from_file(SPEECH, RATE)))
    audio = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
    manifest = Bundle.open(args.bundle).manifest
    interval = manifest.geometry.interval_samples / manifest.features.sample_rate
    found = []
    service = Service(args.bundle, max(*args.connections, args.dropped))
    try:
        await load_service(service, audio, 2, 8, interval)  # the first connections load what all use
        for n in args.connections:
            found.append(await load_service(service, audio, n, args.seconds, interval))
            if n in args.processes:
                found.append(await load_processes(args.bundle, audio, n, args.seconds, interval))
        found.append(await drop(service, audio, args.dropped))
    finally:
        service.stop()
    return found


@command
def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", nargs="?", type=Path, default=PRETRAINED, help="default: the int8 model that ships")
    parser.add_argument("--connections", type=int, nargs="+", default=[8, 32, 64, 128], help="default: 8 32 64 128")
    parser.add_argument(
        "--processes", type=int, nargs="*", default=[8, 32], help="those also as processes (default: 8 32)"
    )
    parser.add_argument("--seconds", type=float, default=20, help="of audio per connection (default: 20)")
    parser.add_argument("--dropped", type=int, default=200, help="connections to drop (default: 200)")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/service.json"))
    args = parser.parse_args(argv)
    Bundle.open(args.bundle)
    with needed("the service", "serve"):
        import prometheus_client  # noqa: F401
        import websockets  # noqa: F401
    for made in asyncio.run(measure(args)):
        add_row(args.out, made, ("what", "system", "connections"))
        sys.stdout.write(json.dumps(made) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
