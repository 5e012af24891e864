"""Download images from the one Label Studio that the operator named."""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from headstart.errors import OptionError, reason_of

URL, KEY = "LABEL_STUDIO_URL", "LABEL_STUDIO_API_KEY"
"""The environment variables with the address of Label Studio and a user's token."""

SECONDS = 20.0
"""A download takes at most so long."""

_PORTS = {"http": 80, "https": 443}
_IMAGES = ("/data/", "/storage-data/")
_MOST_REDIRECTS = 3
_CHUNK = 2**16
_SAFE = "/?&=%+:@,;~!$'()*"  # The rest of a path is percent-encoded.
_TOKEN_BYTES = 100_000


class Unavailable(Exception):
    """An image that is not read, and why."""


Origin = tuple[str, str, int]
"""Scheme, host and port."""


@dataclass(frozen=True)
class Host:
    """A Label Studio.

    Attributes:
        url: Its address.
        key: The token of a user; "" for none.
    """

    url: str
    key: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self | None:
        """Return what the environment names; None if it names none.

        Raises:
            OptionError: The address is not one.
        """
        url = environment.get(URL, "").strip()
        if not url:
            return None
        if origin_of(url) is None:
            raise OptionError(
                f"The environment variable {URL} is '{url}'. It must be an address such as "
                "http://localhost:8080."
            )
        return cls(url.rstrip("/"), environment.get(KEY, "").strip())

    def path(self, url: str) -> str | None:
        """Return the path of a URL of this Label Studio, with its query; None for other URLs."""
        within = self._folder
        if origin_of(url) != origin_of(self.url):
            return None
        path = path_of(urlsplit(url))
        return path.removeprefix(within) if path.startswith(f"{within}/") else None

    def image(self, path: str, limit: int) -> bytes:
        """Return an image, which has a path below /data/ or /storage-data/.

        Raises:
            Unavailable: It has another path, or as `get`.
        """
        place = unquote(path.partition("?")[0])
        if not place.startswith(_IMAGES) or ".." in place.split("/"):
            raise Unavailable("it is not below /data/ of Label Studio")
        return self.get(path, limit)

    def get(self, path: str, limit: int) -> bytes:
        """Return what is at a path.

        Redirects are followed only to this Label Studio.

        Raises:
            Unavailable: It cannot be reached, refuses, sends another host's address, or sends more
                than `limit` bytes.
        """
        until, headers = time.monotonic() + SECONDS, self._headers()
        for _ in range(_MOST_REDIRECTS + 1):
            location, data = self._send("GET", path, None, headers, limit, until)
            if location is None:
                return data
            target = self.path(urljoin(f"{self.url}{path}", location))
            if target is None:
                raise Unavailable("Label Studio redirects to another host, which is not asked")
            path = target
        raise Unavailable("Label Studio redirects too often")

    @property
    def _folder(self) -> str:
        """The path below which it is; "" for the root."""
        return urlsplit(self.url).path.rstrip("/")

    def _headers(self) -> dict[str, str]:
        if not self.key:
            return {}
        if re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", self.key):  # A personal token, used indirectly.
            return {"Authorization": f"Bearer {self._access_token()}"}
        return {"Authorization": f"Token {self.key}"}

    def _access_token(self) -> str:
        body = json.dumps({"refresh": self.key}).encode()
        until = time.monotonic() + SECONDS
        headers = {"Content-Type": "application/json"}
        answer = self._send("POST", "/api/token/refresh", body, headers, _TOKEN_BYTES, until)
        try:
            return str(json.loads(answer[1])["access"])
        except (ValueError, KeyError, TypeError):
            raise Unavailable(f"Label Studio does not accept the token in {KEY}") from None

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: dict[str, str],
        limit: int,
        until: float,
    ) -> tuple[str | None, bytes]:
        """Send a request; return where it is redirected to, or the body of the answer."""
        origin = origin_of(self.url)
        assert origin is not None
        scheme, host, port = origin
        kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
        connection = kind(host, port, timeout=max(0.1, until - time.monotonic()))
        try:
            connection.request(method, f"{self._folder}{quote(path, safe=_SAFE)}", body, headers)
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return answer.getheader("Location", ""), b""
            if answer.status != 200:
                raise Unavailable(f"Label Studio answers with status {answer.status}")
            return None, _body(answer, limit, until)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"Label Studio cannot be reached: {reason_of(error)}") from None
        finally:
            connection.close()


def _body(answer: http.client.HTTPResponse, limit: int, until: float) -> bytes:
    data = bytearray()
    while chunk := answer.read1(_CHUNK):
        data += chunk
        if len(data) > limit:
            raise Unavailable(f"it has more than {limit / 1e6:,.0f} MB, which is the limit")
        if time.monotonic() > until:
            raise Unavailable(f"its download takes longer than {SECONDS:g} seconds")
    if answer.length:
        raise Unavailable("its download was cut off")
    return bytes(data)


def origin_of(url: str) -> Origin | None:
    """Return the origin of an http(s) URL; None for anything else."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    scheme = parts.scheme.lower()
    if scheme not in _PORTS or not parts.hostname or parts.username or parts.password:
        return None
    return scheme, parts.hostname, port or _PORTS[scheme]


def path_of(parts: SplitResult) -> str:
    """Return the path of a URL, with its query."""
    return f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
