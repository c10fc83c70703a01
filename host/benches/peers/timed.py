"""One command, and what it took."""

import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
import time


@dataclasses.dataclass
class Took:
    """`cpu_ms` is that of the command and of what it started, in user and in system; `peak_mib` is that of the largest of these processes."""

    ms: float
    cpu_ms: float
    exit_code: int
    said: str
    peak_mib: float | None = None


def timed(command, environment, folder, memory=False):
    """Runs it with nothing on its stdin.

    The peak of memory comes from GNU time, which adds most of a millisecond: a child of this interpreter itself would be counted with the
    interpreter's memory, which the kernel takes over in fork and exec.
    """
    with tempfile.TemporaryDirectory() as scratch:
        peak = pathlib.Path(scratch) / "peak"
        if memory:
            command = [shutil.which("time"), "-q", "-f", "%M", "-o", peak, *command]
        with open(pathlib.Path(scratch) / "said", "w+b") as said:
            begin = time.perf_counter()
            process = subprocess.Popen(command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT)
            try:
                _, status, used = os.wait4(process.pid, 0)
            except BaseException:
                process.terminate()
                process.wait()
                raise
            ms = (time.perf_counter() - begin) * 1000
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            text = said.read().decode(errors="replace")
        took = Took(ms, (used.ru_utime + used.ru_stime) * 1000, process.returncode, text)
        if memory:
            took.peak_mib = int(peak.read_text()) / 1024
        return took
