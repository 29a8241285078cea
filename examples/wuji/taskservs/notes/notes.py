"""PUT /NAME keeps a text, GET /NAME gives it back, GET / lists the names. A text is kept whole or not at all."""

import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOME = Path(sys.argv[2])
NAME = re.compile(r"/([a-z0-9][a-z0-9-]{0,62})")
BYTES_MAX = 64 * 1024


class Notes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        found = NAME.fullmatch(self.path)
        if self.path == "/":
            self.answer(200, "".join(f"{file.name}\n" for file in sorted(HOME.iterdir()) if "." not in file.name))
        elif found and (HOME / found[1]).is_file():
            self.answer(200, (HOME / found[1]).read_text())
        else:
            self.answer(404, "no such note\n")

    def do_PUT(self) -> None:
        found = NAME.fullmatch(self.path)
        size = self.headers.get("Content-Length", "")
        if not found or not size.isdecimal() or int(size) > BYTES_MAX:
            return self.answer(400, f"PUT /name, at most {BYTES_MAX} bytes\n")
        part = HOME / f"{found[1]}.part"
        part.write_bytes(self.rfile.read(int(size)))
        part.replace(HOME / found[1])
        return self.answer(200, "kept\n")

    def answer(self, status: int, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("", int(sys.argv[1])), Notes).serve_forever()
