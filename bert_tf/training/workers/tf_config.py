"""TF_CONFIG in, this process's place among the workers of a run out.

    {"cluster": {"worker": ["alpha:2222", "beta:2222"]}, "task": {"type": "worker", "index": 0}}

is what `alpha` has of two machines. Kubernetes' training operator, Vertex AI and Ray Train set it.
"""

from dataclasses import dataclass
from typing import Any

from bert_tf.system.json_files import decode_json

# Jobs whose tasks train, the chief's first: so TensorFlow numbers them.
TRAINING_JOBS = ("chief", "worker")

_EXAMPLE = (
    'Set it as {"cluster": {"worker": ["HOST:PORT", "HOST:PORT"]}, '
    '"task": {"type": "worker", "index": 0}}, or unset it to train on this machine alone.'
)


@dataclass(frozen=True)
class Worker:
    """One process among those that train together, or one that trains alone."""

    jobs: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """The addresses, HOST:PORT, of each job; none where the process is alone."""
    job: str = "worker"
    task: int = 0
    """The process's number in its job."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all workers, by their numbers."""
        return tuple(address for _, addresses in self.jobs for address in addresses)

    @property
    def num_workers(self) -> int:
        return max(1, len(self.addresses))

    @property
    def number(self) -> int:
        """From 0; the chief's is 0."""
        return self.number_of(self.job, self.task)

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what the run leaves."""
        return self.number == 0

    def number_of(self, job: str, task: int) -> int:
        """Of any task of the cluster."""
        names = [name for name, _ in self.jobs]
        before = self.jobs[: names.index(job)] if job in names else ()
        return sum(len(addresses) for _, addresses in before) + task

    def name_of(self, number: int) -> str:
        """For messages."""
        return f"worker {number} ({self.addresses[number]})"


ALONE = Worker()


def parse_tf_config(text: str | None) -> Worker:
    """The worker that TF_CONFIG names; `ALONE` where it is not set or names no cluster.

    Raises:
        ValueError: it is malformed, or the task is not one that trains.
    """
    if not text or not text.strip():
        return ALONE
    try:
        tree = decode_json(text)
    except ValueError as error:
        raise ValueError(f"TF_CONFIG must be JSON. Received: {error}. {_EXAMPLE}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"TF_CONFIG must be a JSON object. Received: {text}. {_EXAMPLE}")
    if not tree.get("cluster"):
        return ALONE
    jobs, (job, task) = _jobs(tree["cluster"]), _task(tree.get("task"))
    if job not in TRAINING_JOBS:
        raise ValueError(
            f"TF_CONFIG: only tasks of type {' and '.join(TRAINING_JOBS)} train. Received: "
            f"{job!r}. Start the command on those only; `bert-tf evaluate` needs no cluster."
        )
    num_tasks = len(dict(jobs).get(job, ()))
    if task >= num_tasks:
        raise ValueError(
            f"TF_CONFIG: task.index must be one of the cluster's {num_tasks} {job} tasks, from 0. "
            f"Received: {task}. {_EXAMPLE}"
        )
    return Worker(jobs, job, task)


def _jobs(cluster: Any) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The jobs that train and their addresses, checked."""
    if not isinstance(cluster, dict):
        raise ValueError(
            f"TF_CONFIG: cluster must be an object of jobs. Received: {cluster!r}. {_EXAMPLE}"
        )
    if cluster.get("ps"):
        raise ValueError(
            "TF_CONFIG: the cluster must be one without parameter servers: every worker holds all "
            f"weights. Received: {len(cluster['ps'])} of type 'ps'. {_EXAMPLE}"
        )
    unknown = cluster.keys() - {*TRAINING_JOBS, "evaluator", "ps"}
    if unknown or not any(cluster.get(job) for job in TRAINING_JOBS):
        raise ValueError(
            f"TF_CONFIG: the cluster's jobs must be {' and '.join(TRAINING_JOBS)}, or one of them. "
            f"Received: {sorted(cluster)}. {_EXAMPLE}"
        )
    jobs = tuple((job, tuple(cluster[job])) for job in TRAINING_JOBS if cluster.get(job))
    addresses = [address for _, addresses in jobs for address in addresses]
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not host or not port.isdecimal() or not 0 < int(port) < 2**16:
            raise ValueError(
                f"TF_CONFIG: an address must be HOST:PORT. Received: {address!r}. {_EXAMPLE}"
            )
    num_chiefs = len(dict(jobs).get("chief", ()))
    if num_chiefs > 1 or len(set(addresses)) < len(addresses):
        raise ValueError(
            "TF_CONFIG: there must be one chief at most, and no address twice. Received: "
            f"{addresses}. {_EXAMPLE}"
        )
    return jobs


def _task(task: Any) -> tuple[str, int]:
    index = task.get("index", 0) if isinstance(task, dict) else None
    if isinstance(index, str) and index.isdecimal():  # some launchers write it as text
        index = int(index)
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ValueError(
            "TF_CONFIG: task must have a type and an index, a whole number from 0. Received: "
            f"{task!r}. {_EXAMPLE}"
        )
    return str(task.get("type")), index
