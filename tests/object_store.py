"""A real object store on the loopback interface: moto's server, which speaks S3."""

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from urllib.error import URLError
from urllib.parse import quote
from urllib.request import Request, urlopen

KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
"""What the environment must have beside AWS_ENDPOINT_URL."""

_SECONDS = 30.0
_SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, "
    "Signature=0"
)
_NEVER = 10**9


def _send(method: str, url: str, content: bytes | None = None) -> bytes:
    # It would take a form for another request, and one without a signature for a stranger's.
    headers = {"Content-Type": "application/octet-stream", "Authorization": _SIGNATURE}
    with urlopen(Request(url, content, headers, method=method), timeout=_SECONDS) as answer:
        body: bytes = answer.read()
        return body


@dataclass(frozen=True)
class Bucket:
    """A bucket.

    Attributes:
        name: Its name.
        store: The store that it is in.
    """

    name: str
    store: "ObjectStore"

    @property
    def url(self) -> str:
        """Its URL."""
        return f"s3://{self.name}"

    def put(self, key: str, content: bytes) -> str:
        """Write an object, and return its URL."""
        _send("PUT", self._address(key), content)
        return f"{self.url}/{key}"

    def upload(self, folder: Path, prefix: str) -> str:
        """Write all files of a folder, and return the URL of the folder."""
        for file in filter(Path.is_file, folder.rglob("*")):
            self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())
        return f"{self.url}/{prefix}"

    def get(self, key: str) -> bytes:
        """Return the content of an object."""
        return _send("GET", self._address(key))

    def delete(self, key: str) -> None:
        """Delete an object."""
        _send("DELETE", self._address(key))

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of its objects, at most 1,000."""
        listed = _send("GET", f"{self._address('')}?list-type=2&prefix={quote(prefix)}").decode()
        return [unescape(key) for key in re.findall("<Key>(.*?)</Key>", listed)]

    def _address(self, key: str) -> str:
        return f"{self.store.endpoint}/{self.name}/{quote(key)}"


@dataclass(frozen=True)
class ObjectStore:
    """The store.

    Attributes:
        endpoint: Its address.
    """

    endpoint: str

    def bucket(self, name: str) -> Bucket:
        """Create a bucket."""
        _send("PUT", f"{self.endpoint}/{name}")
        return Bucket(name, self)

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Let it check credentials for the duration of a block; otherwise, it takes any."""
        _send("POST", f"{self.endpoint}/moto-api/reset-auth", b"0")
        try:
            yield
        finally:
            _send("POST", f"{self.endpoint}/moto-api/reset-auth", str(_NEVER).encode())


@contextmanager
def running() -> Iterator[ObjectStore]:
    """Run the store in a process of its own for the duration of a block."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        store = ObjectStore(f"http://127.0.0.1:{port}")
        _wait(store)
        yield store
    finally:
        process.terminate()
        process.wait()


def _wait(store: ObjectStore) -> None:
    end = time.monotonic() + _SECONDS
    while True:
        try:
            _send("GET", f"{store.endpoint}/moto-api/data.json")
            return
        except URLError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
