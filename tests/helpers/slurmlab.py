"""A real Slurm cluster of one node, private to the tests: munged, slurmctld and slurmd.

Everything lies in one folder, except a link at /etc/slurm/slurm.conf: what Snakemake's plugin
starts inside a job forgets SLURM_CONF, so the cluster must be the machine's default one. Where it
is permitted, the cluster has no network but the loopback.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
DEFAULT_CONF = Path("/etc/slurm/slurm.conf")
SBIN = "/usr/sbin:/sbin"

SLURM_CONF = """\
ClusterName=lab
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={port}
SlurmdPort={node_port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/slurmd.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=0,batch_sched_delay=0,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=256
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
OverTimeLimit=0
KillWait=60
MinJobAge=14400
EnforcePartLimits=ALL
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory={memory} Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=04:00:00 DefaultTime=00:10:00 State=UP
PartitionName=gpu Nodes={host} Default=NO MaxTime=04:00:00 DefaultTime=00:10:00 State=UP
"""
GRES_CONF = """\
AutoDetect=off
NodeName={host} Name=gpu File={folder}/fakegpu[0-1]
"""


def why_not() -> str:
    """Why no cluster can be started here, or ""."""
    path = f"{os.environ['PATH']}:{SBIN}"
    missing = [name for name in PROGRAMS if not shutil.which(name, path=path)]
    if missing:
        return f"Slurm is not installed ({', '.join(missing)}: see .ci/run)"
    if os.geteuid():
        return "starting Slurm's daemons needs root"
    if DEFAULT_CONF.exists() and not _left_over():
        return f"this machine belongs to a cluster already ({DEFAULT_CONF.resolve()})"
    return ""


def _left_over() -> bool:
    """Whether the machine's default cluster is one of ours whose controller has died."""
    pid = DEFAULT_CONF.resolve().parent / "run/slurmctld.pid"
    return DEFAULT_CONF.is_symlink() and pid.exists() and not alive(int(pid.read_text()))


@dataclass(frozen=True)
class SlurmJob:
    """A job as the controller remembers it."""

    id: str
    state: str
    partition: str
    comment: str
    memory: str
    limit: str
    cores: str


@dataclass
class SlurmLab:
    """A cluster; start it, use it, stop it.

    Attributes:
        folder: of its configuration, state and logs.
        isolated: whether it has a network of its own with nothing but the loopback.
    """

    folder: Path
    isolated: bool = False
    _holder: subprocess.Popen | None = field(default=None, repr=False)
    _daemons: list[int] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Start the daemons; raises RuntimeError with their last words if they do not come up."""
        for part in ("munge", "run", "log", "state", "spool"):
            (self.folder / part).mkdir(parents=True)
        self.folder.chmod(0o755)
        self._write_configuration()
        self._leave_network()
        munge = self.folder / "munge"
        (munge / "key").write_bytes(os.urandom(1024))
        (munge / "key").chmod(0o600)
        files = [f"--{k}={munge}/{v}" for k, v in (("socket", "socket"), ("key-file", "key"))]
        files += [f"--{name}-file={munge}/{name}" for name in ("pid", "log", "seed")]
        try:
            self._begin(["munged", *files], munge / "pid")
            self._begin(["slurmctld"], self.folder / "run/slurmctld.pid")
            self._wait("slurmctld", lambda: self._ok("scontrol", "ping"))
            self._begin(["slurmd"], self.folder / "run/slurmd.pid")
            self._wait("slurmd", lambda: "idle" in self.run("sinfo", "-h", "-o", "%t"))
        except RuntimeError:
            self.stop()
            raise

    def stop(self) -> None:
        """Cancel what runs, end the daemons, remove the link."""
        if self._daemons:
            self.run("scancel", "--quiet", "--full", "--user", str(os.geteuid()))
            # A job's keeper (slurmstepd) lives on if it cannot tell the node that the job ended.
            deadline = time.monotonic() + 15
            while self._ok("scontrol", "ping") and time.monotonic() < deadline:
                if not self.run("squeue", "--noheader", "--format", "%i").strip():
                    break
                time.sleep(0.2)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in filter(alive, self._daemons):
                os.kill(pid, number)
            deadline = time.monotonic() + 5
            while any(map(alive, self._daemons)) and time.monotonic() < deadline:
                time.sleep(0.05)
        if self._holder:
            self._holder.terminate()
            self._holder.wait()
        if DEFAULT_CONF.is_symlink() and DEFAULT_CONF.readlink() == self.folder / "slurm.conf":
            DEFAULT_CONF.unlink()

    def wrap(self, *command: str) -> list[str]:
        """The command as it runs beside the cluster, in its network."""
        if self._holder and self.isolated:
            return ["nsenter", "--target", str(self._holder.pid), "--net", "--", *command]
        return list(command)

    def environment(self) -> dict[str, str]:
        """For the commands of Slurm."""
        path = f"{os.environ['PATH']}:{SBIN}"
        return {**os.environ, "PATH": path, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def run(self, *command: str, folder: Path | None = None) -> str:
        """What a command beside the cluster prints."""
        done = subprocess.run(
            self.wrap(*command),
            cwd=folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        return done.stdout

    def jobs(self, prefix: str = "") -> list[SlurmJob]:
        """Jobs that the controller remembers, whose name starts so, in the order of submission."""
        asked = ["%i", "%T", "%P", "%k", "%m", "%l", "%C", "%j"]
        table = self.run("squeue", "--states=all", "--noheader", "--format", "|".join(asked))
        rows = [line.split("|") for line in table.splitlines() if line.count("|") == 7]
        rows = [row for row in rows if row[7].startswith(prefix)]
        found = [SlurmJob(*row[:7]) for row in rows]
        return sorted(found, key=lambda job: int(job.id))

    def logs(self) -> str:
        """The daemons' last words."""
        files = sorted((self.folder / "log").glob("*.log"))
        return "\n".join(f"{f.name}:\n{f.read_text()[-2000:]}" for f in files)

    def _write_configuration(self) -> None:
        host = socket.gethostname().split(".")[0]
        memory = psutil.virtual_memory().total // 2**20 - 512
        ports = free_ports(2)
        values = {
            "folder": self.folder,
            "host": host,
            "user": "root",
            "memory": memory,
            "port": ports[0],
            "node_port": ports[1],
        }
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**values))
        (self.folder / "gres.conf").write_text(GRES_CONF.format(**values))
        for number in (0, 1):
            # Only for a character device does Slurm set CUDA_VISIBLE_DEVICES.
            (self.folder / f"fakegpu{number}").symlink_to("/dev/null")
        DEFAULT_CONF.parent.mkdir(exist_ok=True)
        DEFAULT_CONF.unlink(missing_ok=True)
        DEFAULT_CONF.symlink_to(self.folder / "slurm.conf")

    def _leave_network(self) -> None:
        """Hold a network namespace with the loopback alone, if that is permitted."""
        path = self.environment()["PATH"]
        if not all(shutil.which(name, path=path) for name in ("ip", "unshare", "nsenter")):
            return
        # Slurm binds to nothing without an address beside 127.0.0.1; this one is for documents.
        own = "ip addr add 192.0.2.1/32 dev lo"
        script = f"ip link set lo up && {own} && echo up && exec sleep infinity"
        holder = subprocess.Popen(
            ["unshare", "--net", "sh", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
        )
        self.isolated = holder.stdout.readline() == b"up\n"
        if self.isolated:
            self._holder = holder
        else:
            holder.wait()

    def _begin(self, command: Sequence[str], pid_file: Path) -> None:
        printed = self.run(*command)
        self._wait(command[0], lambda: pid_file.is_file() and pid_file.read_text().strip(), printed)
        self._daemons.append(int(pid_file.read_text()))

    def _ok(self, *command: str) -> bool:
        done = subprocess.run(
            self.wrap(*command), env=self.environment(), capture_output=True, check=False
        )
        return done.returncode == 0

    def _wait(self, name: str, ready, printed: str = "") -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if time.monotonic() > deadline:
                raise RuntimeError(f"{name} does not come up\n{printed}\n{self.logs()}")
            time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one whose end nobody has noted yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
