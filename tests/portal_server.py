"""A job portal on this computer, that behaves as EBRAINS' does; and a machine that runs its jobs.

`Portal` speaks the interface's version 3 over real HTTP, with states, quotas and faults, and fails
where the real one fails: 404 for a collab that one may not edit, 500 without a reason for a token
without the scopes ``openid`` and ``roles``, for a collab of more than 40 characters, for numbers
beyond 32 bits and for removing somebody else's job; it lists no job that was removed.
`run_job` is the provider: it takes the next job, runs its script in an empty folder as SpiNNaker's
does (``run.py {system}``), and reports log, state, files and usage; to the log of a job that has
failed it adds stack traces of its own.
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
FAULTS = (
    "500", "502", "422", "429", "cut", "slow", "maintenance", "read-only", "html", "moved",
    "not found", "cut after", "half",
)  # fmt: skip
UNITS = {"SpiNNaker": "core-hours", "Demo": "hours"}
JAVA = """java.lang.Exception: Python exited with a non-zero code (1)
\tat uk.ac.manchester.cs.spinnaker.jobprocess.PyNNJobProcess.execute(PyNNJobProcess.java:1)
\tat uk.ac.manchester.cs.spinnaker.jobprocessmanager.JobProcessManager.main(Main.java:2)
"""


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
        self.collabs = {"my-collab": 1000.0}  # those that the user may edit: quota left
        self.viewed = {"seen-collab"}  # those that the user may only look at
        self.scopes = {"openid", "roles"}  # of the token
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

    def _answer(self, status, content, kind="application/json", headers=()):
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in headers:
            self.send_header(name, value)
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
        elif fault == "read-only" and self.command in ("POST", "PUT", "PATCH"):
            self._answer(503, {"error": "read-only"})
            return
        elif fault == "moved":
            self._answer(301, b"<html>", "text/html", [("Location", "https://new.example/")])
            return
        elif fault == "not found":  # by a proxy, while the portal is started again
            self._answer(404, b"<html>", "text/html")
            return
        elif fault == "429":
            self._answer(429, b"slow down", "text/plain")
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
        except _Failure:
            status, content, kind = 500, b"Internal Server Error", ["text/plain; charset=utf-8"]
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
            raise _Refusal(401, "Token may have expired")
        if not is_provider and "openid" not in portal.scopes:
            raise _Failure
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
            if int(match[1]) >= 2**31:
                raise _Failure
            job = portal.jobs.get(int(match[1]))
            seen = is_provider or (
                job is not None and (job["user_id"] == portal.user or self._can_view(job["collab"]))
            )
            if job is None or not (seen or method == "DELETE"):
                raise _Refusal(
                    404, f"Either there is no job with id {match[1]}, or you do not have access"
                )
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
        if len(given.get("command") or "") > 500 or "roles" not in portal.scopes:
            raise _Failure
        if given["collab"] not in portal.collabs:
            raise _Refusal(
                404, "You do not have access to this collab or there is no collab with this id"
            )
        quota = portal.collabs[given["collab"]]
        if given["hardware_platform"] not in portal.platforms or quota <= 0:
            raise _Refusal(403, "You do not have sufficient compute quota to submit this job")
        if len(given["collab"]) > 40:
            raise _Failure
        names = ("code", "command", "collab", "hardware_platform", "hardware_config", "tags")
        number = portal.add(**{n: given.get(n) for n in names})
        hidden = ("log", "output_data", "provenance", "timestamp_completion", "resource_usage")
        return {n: v for n, v in portal.jobs[number].items() if n not in hidden}

    def _query(self, query):
        found = sorted(self.portal.jobs.values(), key=lambda job: -job["id"])
        found = [job for job in found if job["status"] != "removed"]
        for collab in query.get("collab", ()):
            if not self._can_view(collab):
                raise _Refusal(403, f"You do not have permission to view collab {collab}")
        if "collab" not in query:
            found = [job for job in found if job["user_id"] == self.portal.user]
        for name in ("status", "collab", "hardware_platform", "user_id"):
            if name in query:
                found = [job for job in found if job[name] in query[name]]
        if "tags" in query:
            found = [job for job in found if set(query["tags"]) <= set(job["tags"] or [])]
        start, size = int(query.get("from_index", [0])[0]), int(query.get("size", [10])[0])
        return [{**job, "log": None} for job in found[start : start + size]]

    def _can_view(self, collab):
        if "roles" not in self.portal.scopes:
            raise _Failure
        return collab in self.portal.collabs or collab in self.portal.viewed

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
            if job["user_id"] != self.portal.user:
                raise _Failure
            job["status"] = "removed"
            return 200, None
        if self.command == "PUT":
            if not is_provider:
                raise _Refusal(403, "providers only")
            if what == "/log":
                job["log"] = body.decode()
            else:
                given = json.loads(body)
                usage = given.get("resource_usage")
                if usage and usage["units"] != UNITS[job["hardware_platform"]]:
                    raise _Refusal(400, "Invalid units for resource usage")
                job.update({n: v for n, v in given.items() if v is not None})
                if job["status"] in ("finished", "error"):
                    job["timestamp_completion"] = "2026-01-01T01:00:00"
            return 200, job
        if what == "/log":
            return 200, job["log"].encode(), "text/plain"
        if what == "/output_data":
            if job["output_data"] is None:
                raise _Failure
            return 200, job["output_data"]
        with_log = query.get("with_log", ["false"])[0] == "true"
        return 200, job if with_log else {**job, "log": None}


class _Refusal(Exception):  # noqa: N818
    def __init__(self, status, detail):
        super().__init__(detail)
        self.status, self.detail = status, detail


class _Failure(Exception):  # noqa: N818
    """Where the real portal has a fault of its own."""


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
        log = done.stdout + done.stderr
        if done.returncode:
            log += f"{JAVA}\n\n==================\nError:\n{JAVA}"
        http.put(f"{put}/log", content=log.encode()).raise_for_status()
        report = {
            "status": "error" if done.returncode else "finished",
            "output_data": {"repository": "SpiNNaker Manchester", "files": files},
            "resource_usage": {"value": 12.5, "units": UNITS[job["hardware_platform"]]},
        }
        http.put(put, json=report).raise_for_status()
    return done
