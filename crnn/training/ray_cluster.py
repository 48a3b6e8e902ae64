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
        options: dict[str, Any] = {"num_cpus": workers, "include_dashboard": False} if address == LOCAL else {}
        handler = signal.getsignal(signal.SIGTERM)  # which ray.init replaces
        try:
            ray.init(None if address == LOCAL else address, log_to_driver=False, logging_level="ERROR", **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            problem = " ".join(str(error).split())[:200]
            raise InputError(f"--on {address}: no Ray cluster answers there ({problem})") from error
        finally:
            signal.signal(signal.SIGTERM, handler)
        self.processors = int(ray.cluster_resources().get("CPU", 0))
        require(self.processors >= 1, f"--on {address}: the cluster has no processor")
        self._train = ray.remote(num_cpus=1)(train_here)

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
