"""A real archive for tests, with artificial patients only: Orthanc, and the programs of DCMTK as its clients."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROGRAMS = ("Orthanc", "storescu", "findscu", "getscu")
_HOST, _TITLE = "127.0.0.1", "ARCHIVE"
_VIEWER = Path("/usr/share/orthanc/plugins/libOrthancWebViewer.so")  # of Debian's package orthanc-webviewer
# Without it, DCMTK on both sides waits at each object (Nagle's algorithm and delayed acknowledgments).
_ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
_PATIENCE = 120  # seconds until it answers


@dataclass(frozen=True)
class Archive:
    """A running Orthanc.

    Attributes:
        dicom, http: its ports on the loopback interface.
    """

    dicom: int
    http: int

    @property
    def url(self) -> str:
        """Return the address of its web interface."""
        return f"http://{_HOST}:{self.http}"

    @property
    def has_viewer(self) -> bool:
        """Return whether the viewer of its web interface is installed."""
        return _VIEWER.exists()

    def get(self, path: str, accept: str = "") -> bytes:
        """Return what the web interface answers."""
        request = urllib.request.Request(f"{self.url}{path}", headers={"Accept": accept} if accept else {})
        with urllib.request.urlopen(request) as answer:
            content: bytes = answer.read()
            return content

    def instances(self) -> dict[str, str]:
        """Return the names that the web interface gives to the stored objects, by their UIDs."""
        found = json.loads(self.get("/instances?expand"))
        return {each["MainDicomTags"]["SOPInstanceUID"]: each["ID"] for each in found}

    def send(self, folder: Path) -> None:
        """Send all files below a folder with storescu, which stops at the first file that is refused."""
        self._run("storescu", (folder,), "-R", "+sd", "+r")

    def find(self, level: str, *keys: str) -> str:
        """Return what findscu prints of a query at a level, such as STUDY, with keys such as ``PatientID=4711``."""
        return self._run("findscu", (), "-S", *_query(level, *keys))

    def fetch(self, study: str, folder: Path) -> None:
        """Fetch all objects of a study with getscu into a new folder."""
        folder.mkdir()
        self._run("getscu", (), "-S", "-od", folder, *_query("STUDY", f"StudyInstanceUID={study}"))

    def _run(self, program: str, last: tuple[object, ...], *options: object) -> str:
        """Run a program of DCMTK against the archive, and return what it prints."""
        given = [program, "-v", "-aec", _TITLE, *options, _HOST, self.dicom, *last]
        command = [str(each) for each in given]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=_ENVIRONMENT, check=False)
        output = done.stdout + done.stderr
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}\n{output}")
        return output


def _query(level: str, *keys: str) -> list[str]:
    return [part for key in (f"QueryRetrieveLevel={level}", *keys) for part in ("-k", key)]


@contextmanager
def running_archive(folder: Path) -> Iterator[Archive]:
    """Run Orthanc with an empty storage in a folder; AssertionError if it does not answer."""
    archive = Archive(_free_port(), _free_port())
    (folder / "orthanc.json").write_text(json.dumps(_configuration(archive, folder)), encoding="utf-8")
    with (folder / "orthanc.log").open("w", encoding="utf-8") as log:
        program = shutil.which("Orthanc") or "Orthanc"
        process = subprocess.Popen(
            [program, str(folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT, env=_ENVIRONMENT
        )
        try:
            _wait(archive, process, folder / "orthanc.log")
            yield archive
        finally:
            process.terminate()
            process.wait(timeout=_PATIENCE)


def _configuration(archive: Archive, folder: Path) -> dict[str, Any]:
    return {
        "Name": "Test",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "Plugins": [str(_VIEWER)] if _VIEWER.exists() else [],
        "WebViewer": {"CachePath": str(folder / "cache")},
        "HttpPort": archive.http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAet": _TITLE,
        "DicomPort": archive.dicom,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowStore": True,
        "DicomCheckCalledAet": True,
        "HttpThreadsCount": 2,
    }


def _free_port() -> int:
    with socket.socket() as each:
        each.bind((_HOST, 0))
        return int(each.getsockname()[1])


def _wait(archive: Archive, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            archive.get("/system")
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise AssertionError(f"Orthanc does not answer:\n{log.read_text(errors='replace')[-3000:]}")
