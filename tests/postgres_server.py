"""A real PostgreSQL server for tests: in a temporary directory, on a socket, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

INSTALLED = Path("/usr/lib/postgresql")
"""Where Debian puts the server's programs, which it keeps off the PATH."""
HOW_TO_GET_IT = "no PostgreSQL server here (Debian: apt-get install postgresql)"
CARELESS = "-c fsync=off -c full_page_writes=off"
"""Nothing has to survive a test."""
ACCESS = "local all locked scram-sha-256\nlocal all all trust\n"
"""pg_hba.conf: the role `locked` needs its password, all others are let in."""


def find_programs() -> Path | None:
    """The directory with initdb and pg_ctl; None when there is no server to start."""
    known = shutil.which("initdb")
    candidates = [Path(known).resolve().parent] if known else []
    candidates += sorted(INSTALLED.glob("*/bin"), key=lambda path: -float(path.parent.name))
    return next((path for path in candidates if (path / "pg_ctl").exists()), None)


def server_account() -> str | None:
    """Whom to run it as: PostgreSQL refuses root. None = whoever we are."""
    if os.geteuid() != 0:
        return None
    known = {one.pw_name for one in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@contextmanager
def running_server(programs: Path, settings: str = CARELESS) -> Iterator[Path]:
    """The directory of the server's socket. Its superuser is `seglab`, without a password."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="seglab-pg-") as folder:
        home = Path(folder)
        if account is not None:
            shutil.chown(home, account)
        data = home / "data"
        _run(account, programs / "initdb", "-D", data, *("-U", "seglab", "-E", "UTF8"), "-N")
        (data / "pg_hba.conf").write_text(ACCESS)
        options = f"-k {home} -h '' -c max_connections=200 {settings}"
        control = (programs / "pg_ctl", "-D", data, "-w")
        _run(account, *control, *("-l", home / "log", "-o", options), "start")
        try:
            yield home
        finally:
            _run(account, *control, *("-m", "immediate"), "stop")


def _run(account: str | None, *command: str | Path) -> None:
    # Its output goes nowhere: a server that inherits a pipe keeps whoever reads it waiting.
    subprocess.run(
        list(map(str, command)),
        user=account,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=120,
    )
