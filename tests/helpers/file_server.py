"""A real HTTP server on loopback that serves files, and misbehaves as it is told."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest.mock import patch

HTML = b"<!DOCTYPE html><html><body>Down for maintenance</body></html>"


@dataclass
class Request:
    """What a client asked."""

    path: str
    range: str
    if_range: str


@dataclass
class FileServer:
    """Files by name, what to do at each request, and what was asked.

    ``plan[name]`` is a list of faults, one a request; when it is used up, the server behaves.
    Faults: "404" and other codes, "mute" (no answer), "hang" (no body), "stall" (half a body),
    "cut", "cut_again" (from the start and cut), "trickle", "ignore_range", "wrong_range", "html",
    "bare_html", "wrong" (another body of the right length), "longer", "shorter", "redirect:URL",
    "chunked", "chunked_cut".
    """

    files: dict[str, bytes] = field(default_factory=dict)
    plan: dict[str, list[str]] = field(default_factory=dict)
    etag: str = '"1"'
    asked: list[Request] = field(default_factory=list)
    url: str = ""
    patience: float = 30.0
    gate: threading.Event = field(default_factory=threading.Event)


def _handler(server: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            asked, wanted = self.headers.get("Range", ""), self.headers.get("If-Range", "")
            server.asked.append(Request(name, asked, wanted))
            self.close_connection = True
            faults = server.plan.get(name, [])
            fault = faults.pop(0) if faults else ""
            if fault.isdigit():
                self.reply(int(fault), b"no")
            elif fault == "mute":
                server.gate.wait(server.patience)
            elif fault.startswith("redirect:"):
                self.reply(302, b"", Location=fault.removeprefix("redirect:"))
            elif fault in ("html", "bare_html"):
                kind = "text/html; charset=utf-8" if fault == "html" else "application/x-tar"
                self.reply(200, HTML, **{"Content-Type": kind})
            elif name not in server.files:
                self.reply(404, HTML, **{"Content-Type": "text/html"})
            else:
                self.serve(server.files[name], asked, wanted, fault)

        def serve(self, body: bytes, asked: str, wanted: str, fault: str) -> None:
            if fault == "wrong":
                body = body.translate(bytes(value ^ 1 for value in range(256)))
            start = 0
            fresh = not wanted or wanted == server.etag
            if asked and fresh and fault not in ("ignore_range", "cut_again"):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body) > 0:
                self.reply(416, b"", **{"Content-Range": f"bytes */{len(body)}"})
                return
            rest = body[start:]
            self.send_response(206 if start else 200)
            if start:
                first = start + 1 if fault == "wrong_range" else start
                self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
            if server.etag:
                self.send_header("ETag", server.etag)
            if fault.startswith("chunked"):
                self.send_header("Transfer-Encoding", "chunked")
            else:
                extra = {"longer": 7, "shorter": -7}.get(fault, 0)
                self.send_header("Content-Length", str(len(rest) + extra))
            self.end_headers()
            self.send_body(rest, fault)

        def send_body(self, rest: bytes, fault: str) -> None:
            half = rest[: len(rest) // 2]
            if fault in ("stall", "hang"):
                self.wfile.write(half if fault == "stall" else b"")
                self.wfile.flush()
                server.gate.wait(server.patience)
            elif fault == "trickle":
                for byte in rest[:200]:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(0.1)
            elif fault.startswith("cut"):
                self.wfile.write(half)
            elif fault.startswith("chunked"):
                part = half if fault == "chunked_cut" else rest
                self.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
                self.wfile.write(b"" if fault == "chunked_cut" else b"0\r\n\r\n")
            else:
                self.wfile.write(rest)

        def reply(self, code: int, body: bytes, **headers: str) -> None:
            self.send_response(code)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(body)

    return Handler


@contextmanager
def file_server(files: dict[str, bytes] | None = None) -> Iterator[FileServer]:
    """Run a server until the block ends."""
    served = FileServer(files=dict(files or {}))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(served))
    server.daemon_threads = True
    server.handle_error = lambda *_: None
    served.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    direct = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    try:
        with patch.dict(os.environ, direct):
            yield served
    finally:
        served.gate.set()
        server.shutdown()
        server.server_close()
        thread.join()
