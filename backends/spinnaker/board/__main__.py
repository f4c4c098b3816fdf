"""The process of an emulated board: settings as JSON on its command line, see `board`."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

from portable_cortex.errors import PortableCortexError

from .geometry import geometry
from .server import Server


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def main(settings: dict[str, Any]) -> None:
    """Serve until the standard input ends."""
    try:
        server = Server(
            geometry(settings["version"], settings["width"], settings["height"]),
            settings["version"],
            address=settings["address"],
            threads=settings["threads"],
            real_time=settings["real_time"],
        )
    except (PortableCortexError, MemoryError) as error:
        _say({"error": str(error)})
        return

    def command() -> None:
        line = os.read(0, 4096)
        if not line:
            server.stop()
        elif line.startswith(b"report"):
            _say({"cpu_s": time.process_time()} | server.monitor.report())

    server.watch(0, command)
    _say({"addresses": server.addresses})
    try:
        server.serve()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
