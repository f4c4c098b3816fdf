"""A job portal on this computer, that behaves as EBRAINS' does; and a machine that runs its jobs.

`Portal` speaks the interface's version 3 over real HTTP, with states, quotas and faults.
`run_job` is the provider: it takes the next job, runs its script in an empty folder as SpiNNaker's
does (``run.py {system}``), and reports log, state and files.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx

STATES = ("submitted", "validated", "running", "mapped", "finished", "error", "removed")
FAULTS = ("500", "502", "422", "cut", "slow", "maintenance", "html", "cut after", "half")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        if not isinstance(sys.exception(), ConnectionError):  # of a client that did not wait
            super().handle_error(request, client_address)


class Portal:
    """The server; use it in a ``with`` block."""

    token, api_key, user = "a-token", "a-key", "somebody"

    def __init__(self):
        self.jobs, self.files, self.faults, self.requests = {}, {}, [], []
        self.platforms = {"SpiNNaker", "Demo"}
        self.collabs = {"my-collab": 1000.0}  # quota left
        self.lock = threading.RLock()
        portal = self

        class Handler(_Handler):
            pass

        Handler.portal = portal
        self.http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"

    def __enter__(self):
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}
        )
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    def serve(self, name, content, status=200):
        """Make a file available; its address."""
        number = len(self.files)
        self.files[f"/files/{number}/{name}"] = (status, content)
        return f"{self.url}/files/{number}/{name}"

    def add(self, **changes):
        """A job that is already there; its number."""
        with self.lock:
            number = len(self.jobs) + 101
            self.jobs[number] = {
                "id": number,
                "user_id": self.user,
                "status": "submitted",
                "code": "import nothing",
                "command": None,
                "collab": "my-collab",
                "hardware_platform": "SpiNNaker",
                "hardware_config": None,
                "input_data": None,
                "tags": [],
                "timestamp_submission": "2026-01-01T00:00:00",
                "timestamp_completion": None,
                "resource_uri": f"/jobs/{number}",
                "output_data": None,
                "provenance": None,
                "resource_usage": None,
                "log": "",
                **changes,
            }
            return number


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    portal = None

    def log_message(self, *_):
        pass

    def _answer(self, status, content, kind="application/json"):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _handle(self):
        portal = self.portal
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        authorization = self.headers.get("Authorization", "")
        portal.requests.append((self.command, parts.path, authorization))
        fault = portal.faults.pop(0) if portal.faults else None
        if fault == "slow":
            time.sleep(1.0)
        elif fault == "cut":
            self.close_connection = True
            self.connection.close()
            return
        elif fault == "maintenance":
            self._answer(503, {"error": "down for maintenance until noon"})
            return
        elif fault == "html":
            self._answer(200, b"<html>a gateway</html>", "text/html")
            return
        elif fault in ("500", "502"):
            self._answer(int(fault), {"detail": f"broken: {authorization}"})
            return
        elif fault == "422":
            problem = {"loc": ["body", "hardware_platform"], "msg": "unknown"}
            self._answer(422, {"detail": [problem]})
            return
        if parts.path in portal.files:
            status, content = portal.files[parts.path]
            if fault == "half":
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2])
                self.close_connection = True
                return
            self._answer(status, content, "application/octet-stream")
            return
        try:
            status, content, *kind = self._route(parts, body)
        except _Refusal as refusal:
            status, content, kind = refusal.status, {"detail": refusal.detail}, []
        if fault == "cut after":  # done, and not said
            self.close_connection = True
            self.connection.close()
            return
        self._answer(status, content, *kind)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815  # the standard library's names

    def _route(self, parts, body):
        portal, path, method = self.portal, parts.path, self.command
        is_provider = self.headers.get("x-api-key") == portal.api_key
        if not is_provider and self.headers.get("Authorization") != f"Bearer {portal.token}":
            raise _Refusal(401, "Invalid or expired token")
        with portal.lock:
            if path == "/userinfo":  # of EBRAINS' identity service
                return 200, {"sub": "1", "preferred_username": portal.user}
            if path == "/jobs/" and method == "POST":
                return 201, self._create(body)
            if path == "/jobs/":
                return 200, self._query(parse_qs(parts.query))
            if match := re.fullmatch(r"/jobs/next/([^/]+)", path):
                return self._next(match[1], is_provider)
            match = re.fullmatch(r"/jobs/(\w+)(/log|/output_data)?", path)
            if not match:
                raise _Refusal(404, "Not Found")
            if not match[1].isdecimal():
                raise _Refusal(422, [{"loc": ["path", "job_id"], "msg": "not an integer"}])
            job = portal.jobs.get(int(match[1]))
            if job is None:
                raise _Refusal(404, f"there is no job {match[1]}, or it is not yours")
            return self._one(job, match[2], parse_qs(parts.query), body, is_provider)

    def _create(self, body):
        portal = self.portal
        try:
            given = json.loads(body)
        except ValueError:
            raise _Refusal(422, [{"loc": ["body"], "msg": "no JSON"}]) from None
        missing = [n for n in ("code", "collab", "hardware_platform") if not given.get(n)]
        if missing:
            raise _Refusal(422, [{"loc": ["body", n], "msg": "Field required"} for n in missing])
        for tag in given.get("tags") or []:
            if not 2 <= len(tag) <= 100:
                raise _Refusal(422, [{"loc": ["body", "tags", 0], "msg": "bad length"}])
        if len(given.get("command") or "") > 500:
            raise _Refusal(500, "Internal Server Error")
        if given["collab"] not in portal.collabs:
            raise _Refusal(403, "You do not have permission to submit to this collab")
        if given["hardware_platform"] not in portal.platforms:
            raise _Refusal(403, f"no quota for {given['hardware_platform']}")
        if portal.collabs[given["collab"]] <= 0:
            raise _Refusal(403, "There is not enough quota left in your collab")
        names = ("code", "command", "collab", "hardware_platform", "hardware_config", "tags")
        number = portal.add(**{n: given.get(n) for n in names})
        hidden = ("log", "output_data", "provenance", "timestamp_completion", "resource_usage")
        return {n: v for n, v in portal.jobs[number].items() if n not in hidden}

    def _query(self, query):
        found = sorted(self.portal.jobs.values(), key=lambda job: -job["id"])
        for name in ("status", "collab", "hardware_platform", "user_id"):
            if name in query:
                found = [job for job in found if job[name] in query[name]]
        if "tags" in query:
            found = [job for job in found if set(query["tags"]) <= set(job["tags"] or [])]
        start, size = int(query.get("from_index", [0])[0]), int(query.get("size", [10])[0])
        return [{**job, "log": None} for job in found[start : start + size]]

    def _next(self, platform, is_provider):
        if not is_provider:
            raise _Refusal(403, "providers only")
        waiting = [
            job
            for job in self.portal.jobs.values()
            if job["status"] == "submitted" and job["hardware_platform"] == platform
        ]
        if not waiting:
            raise _Refusal(404, "there are no jobs waiting")
        waiting[0]["status"] = "validated"
        return 200, waiting[0]

    def _one(self, job, what, query, body, is_provider):
        if self.command == "DELETE":
            job["status"] = "removed"
            return 200, None
        if self.command == "PUT":
            if not is_provider:
                raise _Refusal(403, "providers only")
            given = json.loads(body)
            if what == "/log":
                job["log"] = given["content"] if isinstance(given, dict) else given
            else:
                job.update({n: v for n, v in given.items() if v is not None})
                if job["status"] in ("finished", "error"):
                    job["timestamp_completion"] = "2026-01-01T01:00:00"
            return 200, job
        if what == "/log":
            return 200, job["log"].encode(), "text/plain"
        if what == "/output_data":
            if job["output_data"] is None:
                raise _Refusal(500, "Internal Server Error")
            return 200, job["output_data"]
        with_log = query.get("with_log", ["false"])[0] == "true"
        return 200, job if with_log else {**job, "log": None}


class _Refusal(Exception):  # noqa: N818
    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


def run_job(portal, folder: Path, *, system="nest", python=(sys.executable,), environment=None):
    """The provider: take the next job, run it, report what it did."""
    with httpx.Client(base_url=portal.url, headers={"x-api-key": portal.api_key}) as http:
        job = http.get("/jobs/next/SpiNNaker").raise_for_status().json()
        put = f"/jobs/{job['id']}"
        http.put(put, json={"status": "running"}).raise_for_status()
        script = folder / "run.py"
        script.write_text(job["code"], encoding="utf-8")
        before = set(folder.rglob("*"))
        done = subprocess.run(
            [*python, "run.py", system],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=500, check=False,
        )  # fmt: skip
        new = sorted(p for p in set(folder.rglob("*")) - before if p.is_file())
        files = [  # flattened to their base names, and without a path
            {"url": portal.serve(p.name, p.read_bytes()), "path": None, "size": p.stat().st_size}
            for p in new
        ]
        http.put(f"{put}/log", json={"content": done.stdout + done.stderr}).raise_for_status()
        outputs = {"repository": "SpiNNaker Manchester", "files": files}
        status = "error" if done.returncode else "finished"
        http.put(put, json={"status": status, "output_data": outputs}).raise_for_status()
    return done
