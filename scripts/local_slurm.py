"""A Slurm of one node on this machine, for tests and for trying sweeps out; nothing but the loopback is used.

    apt-get install slurm-wlm munge           # Debian and Ubuntu; nothing has to be configured
    eval "$(python scripts/local_slurm.py start)"
    smile -m sampler=smile,sgld scale=smoke hydra/launcher=slurm_cpu hydra.launcher.mem_gb=null
    squeue
    python scripts/local_slurm.py stop

Configuration, state, logs and sockets lie in one folder (--folder). There are no cgroups and no accounting.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo")

SLURM_CONF = """\
ClusterName=smile
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={slurmd_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
# After a requeue, Slurm waits for so many seconds (two minutes by default) before a job starts again.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
SlurmdParameters=config_overrides
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,bf_interval=2,sched_interval=5,defer
ReturnToService=2
KillWait=3
OverTimeLimit=1
PropagateResourceLimits=NONE
# With config_overrides, CPUs may be more than there are: on a small machine, a third run waits for nobody.
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=local Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> list[str]:
    """Programs that are not installed."""
    return [name for name in PROGRAMS if _program(name) is None]


def start(folder: Path, cpus: int) -> Path:
    """Starts the daemons and waits for the node.

    Args:
        folder: for everything they write; made if it does not exist. Its path must be short, because of a socket in it.
        cpus: how many the node says it has.

    Returns:
        The path of ``slurm.conf``, for the environment variable ``SLURM_CONF``.

    Raises:
        PermissionError: where the folder is another user's, or others may write into it.
    """
    folder = _own(folder)
    for name in ("state", "spool"):
        (folder / name).mkdir(exist_ok=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.unlink(missing_ok=True)
    with open(os.open(key, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(os.urandom(128))
    conf = folder / "slurm.conf"
    ctld_port, slurmd_port = _free_ports(2)
    conf.write_text(
        SLURM_CONF.format(
            host=socket.gethostname().partition(".")[0],
            ctld_port=ctld_port,
            slurmd_port=slurmd_port,
            user=getpass.getuser(),
            folder=folder,
            cpus=cpus,
            memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        )
    )
    environment = os.environ | {"SLURM_CONF": str(conf)}
    munge = [
        f"--{name}={folder}/munge.{end}"
        for name, end in (
            ("key-file", "key"), ("socket", "socket"), ("pid-file", "pid"), ("log-file", "log"), ("seed-file", "seed"),
        )
    ]  # fmt: skip
    _call("munged", "--force", "--num-threads=2", *munge, env=environment)
    _call("slurmctld", "-c", env=environment)
    _call("slurmd", "-c", env=environment)
    _wait_for_node(folder, environment)
    return conf


def stop(folder: Path) -> None:
    """Ends the daemons and what runs under them; the folder stays, for its logs."""
    folder = _own(folder)
    if shutil.which("scancel"):
        environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf")}
        cancel = ["scancel", "--full", f"--user={getpass.getuser()}"]
        subprocess.run(cancel, env=environment, capture_output=True, timeout=30, check=False)
    for name in ("slurmd", "slurmctld", "munge"):
        try:
            pid = int((folder / f"{name}.pid").read_text())
        except (OSError, ValueError):
            continue
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                break
            _wait_for_end(pid)


def _own(folder: Path) -> Path:
    """A folder that nobody else can have put something into: in /tmp, a name that is known can be somebody else's."""
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o755)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(
            f"{folder} must be a folder of yours that others cannot write; --folder names another"
        )
    return folder.resolve()


def _program(name: str) -> str | None:
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _call(name: str, *arguments: str, env: dict[str, str]) -> None:
    program = _program(name)
    assert program is not None
    subprocess.run([program, *arguments], env=env, check=True, stdout=sys.stderr, timeout=30)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _wait_for_node(folder: Path, env: dict[str, str], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = subprocess.run(
            ["sinfo", "-h", "-o", "%T"], env=env, capture_output=True, text=True, check=False
        )
        if answer.stdout.strip() in ("idle", "mixed", "allocated"):
            return
        time.sleep(0.2)
    logs = "".join(f"\n--- {log.name}\n{log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))
    raise RuntimeError(f"the node did not come up within {seconds:.0f} s{logs}")


def _wait_for_end(pid: int, seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("start", "stop"))
    default = Path(tempfile.gettempdir()) / f"smile-slurm-{getpass.getuser()}"
    parser.add_argument("--folder", type=Path, default=default, help=f"default: {default}")
    parser.add_argument("--cpus", type=int, default=os.cpu_count())
    options = parser.parse_args()
    if absent := missing():
        print(f"not installed: {', '.join(absent)}; apt-get install slurm-wlm munge", file=sys.stderr)
        return 2
    try:
        if options.action == "stop":
            stop(options.folder)
        else:
            print(f"export SLURM_CONF={start(options.folder, options.cpus)}")
    except PermissionError as error:
        print(f"local_slurm: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
