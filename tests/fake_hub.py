"""A Hugging Face hub on 127.0.0.1, as far as huggingface_hub asks one for files of models: a real HTTP server.

Written after the hub's own answers (docs of huggingface_hub: "understand caching", HTTP headers of /resolve): HEAD and
GET of /OWNER/NAME/resolve/REVISION/FILE with ETag and X-Repo-Commit; 404 with X-Error-Code for what is not there.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote


class FakeHub:
    """Models by name, each with commits (hash -> folder of files) and branches (name -> commit)."""

    def __init__(self) -> None:
        self.commits: dict[str, dict[str, Path]] = {}
        self.branches: dict[str, dict[str, str]] = {}
        self.gated: set[str] = set()
        self.broken: str = ""
        """"login page" or "error 500": what every request is answered with"""
        self.asked: list[tuple[str, str]] = []
        """Method and path of every request"""
        self.agents: set[str] = set()
        """What said who asks"""
        self.url = ""

    def commit(self, name: str, folder: Path, branch: str = "main") -> str:
        """Publish a folder as the newest commit of a branch; returns its hash, which depends on the contents."""
        digest = hashlib.sha1(b"".join(p.name.encode() + p.read_bytes() for p in sorted(folder.iterdir())))
        self.commits.setdefault(name, {})[digest.hexdigest()] = folder
        self.branches.setdefault(name, {})[branch] = digest.hexdigest()
        return digest.hexdigest()

    def fetched(self) -> list[str]:
        """The names of the files whose content was sent, in order."""
        return [path.rpartition("/")[2] for method, path in self.asked if method == "GET"]

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.broken == "error 500":
            return 500, {}, b"down"
        if self.broken:
            return 200, {"Content-Type": "text/html"}, b"<form>log in</form>"
        name, resolve, rest = path.lstrip("/").partition("/resolve/")
        if not resolve or name not in self.branches:
            return 404, {"X-Error-Code": "RepoNotFound"}, b""
        if name in self.gated:
            return 403, {"X-Error-Code": "GatedRepo"}, b""
        revision, file = map(unquote, rest.split("/", 1))
        commit = self.branches[name].get(revision, revision)
        if commit not in self.commits[name]:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        headers, place = {"X-Repo-Commit": commit}, self.commits[name][commit] / file
        if not place.is_file():
            return 404, headers | {"X-Error-Code": "EntryNotFound"}, b""
        data = place.read_bytes()
        return 200, headers | {"ETag": f'"{hashlib.sha1(data).hexdigest()}"'}, data


@contextmanager
def serving() -> Iterator[FakeHub]:
    """A hub that listens on a free port of 127.0.0.1 until the block ends."""
    hub = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send("HEAD")

        def do_GET(self) -> None:
            self.send("GET")

        def send(self, method: str) -> None:
            hub.asked.append((method, self.path))
            hub.agents.add(self.headers.get("User-Agent", ""))
            code, headers, data = hub.answer(self.path)
            self.send_response(code)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(key, value)
            self.end_headers()
            if method == "GET":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
