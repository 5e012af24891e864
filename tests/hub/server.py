"""A local server that speaks the part of the hub's protocol that reads and writes models.

Writing: create a repository, preupload, LFS batch, upload and commit as NDJSON. Reading: the list
of files, and files by commit with their hash as ETag. Content whose hash or size is not the one
that was announced is refused, as is a commit on another parent than the newest commit.
"""

import base64
import hashlib
import json
import re
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import yaml

from tests.local_server import LocalServer

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    """A repository: its commits with all files of each, the oldest first."""

    private: bool = False
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    def commit(self, files: dict[str, bytes], message: str = "Initial commit") -> str:
        """Add a commit, and return its hash."""
        hashes = sorted((name, _oid(name, content)) for name, content in files.items())
        oid = hashlib.sha1(f"{len(self.commits)} {hashes}".encode()).hexdigest()
        self.commits.append((oid, files))
        self.messages.append(message)
        return oid

    def files(self, revision: str = "main") -> tuple[str, dict[str, bytes]] | None:
        """Return the hash and the files of a commit; None if there is no such commit."""
        if revision == "main":
            return self.commits[-1]
        return next((one for one in self.commits if one[0] == revision), None)


@dataclass
class ModelHub(LocalServer):
    """A hub on the loopback interface.

    Attributes:
        repositories: By OWNER/NAME.
        writable: The owners that the token may write to.
        objects: Uploaded content by its sha256.
        requests: Method and path of every request.
        spoil: What an upload is changed to before it arrives, to see that it is refused.
    """

    repositories: dict[str, Repository] = field(default_factory=dict)
    writable: tuple[str, ...] = ("me",)
    objects: dict[str, bytes] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    spoil: Any = None
    url: str = ""

    def add(self, name: str, files: dict[str, bytes], *, private: bool = False) -> Repository:
        """Create a repository with files."""
        self.repositories[name] = Repository(private)
        self.repositories[name].commit({".gitattributes": b"*.safetensors filter=lfs\n", **files})
        return self.repositories[name]


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: ModelHub

    def do_HEAD(self) -> None:
        self._dispatch()

    def do_GET(self) -> None:
        self._dispatch()

    def do_POST(self) -> None:
        self._dispatch()

    def do_PUT(self) -> None:
        self._dispatch()

    def _dispatch(self) -> None:
        path = self.path.partition("?")[0]
        self.state.requests.append((self.command, path))
        self.body = self._read_body()
        try:
            for method, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method:
                    return answer(self, *found.groups())
            raise _Refused(404, message="no such address")
        except _Refused as refusal:
            headers = {"X-Error-Code": refusal.code} if refusal.code else {}
            headers["X-Error-Message"] = refusal.message
            self._send(refusal.status, json.dumps({"error": refusal.message}).encode(), headers)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _json(self) -> Any:
        return json.loads(self.body)

    def _send(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def _check_write(self, name: str) -> None:
        if not self._authorised():
            raise _Refused(401, message="Invalid credentials in Authorization header")
        if name.split("/")[0] not in self.state.writable:
            raise _Refused(403, message="You don't have the rights to create a model there")

    def _repository(self, name: str) -> Repository:
        found = self.state.repositories.get(name)
        if found is None or (found.private and not self._authorised()):
            raise _Refused(404 if self._authorised() else 401, "RepoNotFound", "not found")
        return found

    def _files(self, name: str, revision: str) -> tuple[str, dict[str, bytes]]:
        found = self._repository(name).files(revision)
        if found is None:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return found

    def root(self) -> None:
        self._send(200)

    def create(self) -> None:
        asked = self._json()
        name = f"{asked['organization']}/{asked['name']}"
        self._check_write(name)
        body = json.dumps({"url": f"{self.state.url}/{name}"}).encode()
        if name in self.state.repositories:
            return self._send(409, body)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.state.add(name, {}, private=private)
        return self._send(200, body)

    def info(self, name: str, revision: str | None = None) -> None:
        oid, files = self._files(name, revision or "main")
        self._send(
            200,
            json.dumps(
                {
                    "id": name,
                    "modelId": name,
                    "sha": oid,
                    "private": self._repository(name).private,
                    "tags": [],
                    "siblings": [{"rfilename": file} for file in files],
                }
            ).encode(),
        )

    def validate(self) -> None:
        text = self._json()["content"]
        parts = text.split("---\n")
        values = yaml.safe_load(parts[1]) if text.startswith("---\n") else {}
        warnings = [] if values else [{"message": "empty or missing yaml metadata in repo card"}]
        known = values.get("license", "mit") in ("mit", "apache-2.0", "other")
        errors = [] if known else [{"message": '"license" must be one of the known identifiers'}]
        answer = {"errors": errors, "warnings": warnings}
        self._send(400 if errors else 200, json.dumps(answer).encode())

    def preupload(self, name: str, _revision: str) -> None:
        self._check_write(name)
        _, files = self._files(name, "main")
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
                "oid": _oid(file["path"], files[file["path"]]) if file["path"] in files else None,
            }
            for file in self._json()["files"]
        ]
        self._send(200, json.dumps({"files": modes}).encode())

    def batch(self, name: str) -> None:
        self._check_write(name)
        objects = []
        for one in self._json()["objects"]:
            upload = {"href": f"{self.state.url}/upload/{one['oid']}/{one['size']}"}
            actions = {} if one["oid"] in self.state.objects else {"actions": {"upload": upload}}
            objects.append({"oid": one["oid"], "size": one["size"], **actions})
        self._send(200, json.dumps({"transfer": "basic", "objects": objects}).encode())

    def upload(self, oid: str, size: str) -> None:
        content = self.state.spoil(self.body) if self.state.spoil else self.body
        if hashlib.sha256(content).hexdigest() != oid or len(content) != int(size):
            raise _Refused(400, message="The content has another hash than was announced")
        self.state.objects[oid] = content
        self._send(200)

    def commit(self, name: str, _revision: str) -> None:
        self._check_write(name)
        repository = self._repository(name)
        oid, files = repository.commits[-1]
        lines = [json.loads(line) for line in self.body.splitlines()]
        header = lines[0]["value"]
        if header.get("parentCommit", oid) != oid:
            raise _Refused(412, message="A commit has happened since")
        added = {line["value"]["path"]: self._content(line) for line in lines[1:]}
        new = repository.commit(files | added, header["summary"])
        url = f"{self.state.url}/{name}/commit/{new}"
        body = {"success": True, "commitOid": new, "commitUrl": url}
        self._send(200, json.dumps(body).encode())

    def _content(self, line: dict[str, Any]) -> bytes:
        value = line["value"]
        if line["key"] == "file":
            return base64.b64decode(value["content"])
        content = self.state.objects.get(value["oid"])
        if content is None or len(content) != value["size"]:
            raise _Refused(400, message=f"LFS object {value['oid']} was not uploaded")
        return content

    def resolve(self, name: str, revision: str, file: str) -> None:
        oid, files = self._files(name, revision)
        if file not in files:
            raise _Refused(404, "EntryNotFound", f"{file} does not exist")
        headers = {"X-Repo-Commit": oid, "ETag": f'"{_oid(file, files[file])}"'}
        self._send(200, files[file], headers)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _oid(name: str, content: bytes) -> str:
    """Return the hash of a file as the hub gives it: sha256 for LFS, otherwise that of git."""
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


_NAME, _REVISION = r"([\w.-]+/[\w.-]+)", r"([\w.-]+)"
_ROUTES = (
    (("HEAD", "GET"), "/?", _Handler.root),
    (("POST",), "/api/repos/create", _Handler.create),
    (("POST",), "/api/validate-yaml", _Handler.validate),
    (("GET",), f"/api/models/{_NAME}", _Handler.info),
    (("GET",), f"/api/models/{_NAME}/revision/{_REVISION}", _Handler.info),
    (("POST",), f"/api/models/{_NAME}/preupload/{_REVISION}", _Handler.preupload),
    (("POST",), f"/{_NAME}\\.git/info/lfs/objects/batch", _Handler.batch),
    (("PUT",), r"/upload/(\w+)/(\d+)", _Handler.upload),
    (("POST",), f"/api/models/{_NAME}/commit/{_REVISION}", _Handler.commit),
    (("HEAD", "GET"), f"/{_NAME}/resolve/{_REVISION}/(.+)", _Handler.resolve),
)


ModelHub.handler = _Handler
