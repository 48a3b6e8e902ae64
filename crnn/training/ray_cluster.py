"""Runs spread over the machines of a Ray cluster, or a local Ray's workers.

Every node has this project installed and reaches the run folders and the recordings under the same paths (a shared
disk). A run whose node is lost is started again elsewhere, where it resumes.
"""

import logging
import signal
import time
from collections.abc import Sequence
from typing import Any

from crnn.cli.installed import install
from crnn.errors import InputError, require
from crnn.training.jobs import PAUSE, Processes, TrainingJob

log = logging.getLogger("crossval")

LOCAL = "ray"
"""Address of a Ray that is started here, for these runs alone"""
TRIES = 3
"""Of starting a local Ray, which gives its own processes 30 s: too few on a busy machine"""
ENDING = 60.0
"""s that cancelled runs have to end"""


def train_here(job: TrainingJob, threads: int) -> int:
    """Train on the node that calls this; its exit code. Whatever interrupts the call ends the run."""
    place = Processes(threads)
    process = place.start(job)
    try:
        while (code := place.exit_code(process)) is None:
            time.sleep(PAUSE)
        return code
    finally:
        place.end([process])


class RayCluster:
    """Runs on a Ray cluster, one processor each; a `crnn.training.jobs.Place`.

    Args:
        address: `LOCAL`, or that of a cluster: ray://HOST:10001, or HOST:6379 from one of its nodes.
        workers: of a local Ray; None: one per processor.

    Raises InputError if Ray is not installed or the cluster cannot be reached.
    """

    def __init__(self, address: str, workers: int | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError(f"--on {address} needs {error.name}: {install('ray')}") from error
        self._ray = ray
        handler = signal.getsignal(signal.SIGTERM)  # which ray.init replaces
        try:
            self._open(address, workers)
        finally:
            signal.signal(signal.SIGTERM, handler)
        self.processors = int(ray.cluster_resources().get("CPU", 0))
        require(self.processors >= 1, f"--on {address}: the cluster has no processor")
        self._train = ray.remote(num_cpus=1)(train_here)

    def _open(self, address: str, workers: int | None) -> None:
        where: dict[str, Any] = {"address": address}
        if address == LOCAL:  # also where RAY_ADDRESS names a cluster
            where = {"address": "local", "num_cpus": workers, "include_dashboard": False}
        for left in reversed(range(TRIES if address == LOCAL else 1)):
            try:
                self._ray.init(log_to_driver=False, logging_level=logging.ERROR, **where)
                return
            except Exception as error:  # noqa: BLE001 - Ray raises plain Exceptions, for instance where a node times out
                problem = " ".join(str(error).split())[:200]
                failed = InputError(f"--on {address}: no Ray cluster answers there or can be started ({problem})")
                if not left:
                    raise failed from error
                log.warning("Ray: %s; trying again", problem)

    def start(self, job: TrainingJob) -> Any:
        return self._train.remote(job, 1)

    def exit_code(self, started: Any) -> int | None:
        ready, _ = self._ray.wait([started], timeout=0)
        if not ready:
            return None
        try:
            return self._ray.get(started)
        except self._ray.exceptions.RayError as error:
            log.warning("Ray: %s", str(error).strip().splitlines()[-1])
            return 1

    def end(self, started: Sequence[Any]) -> None:
        for each in started:
            self._ray.cancel(each)
        if started:
            self._ray.wait(list(started), num_returns=len(started), timeout=ENDING)

    def close(self) -> None:
        """Leave the cluster; a local Ray ends."""
        self._ray.shutdown()
