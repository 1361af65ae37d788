"""details: facts about a book, from a JSON file. Standard library only."""

import json
import os
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# The headers that belong to a request's whole way, not to one hop. A service passes them on with every call it makes;
# this one makes none, and only reports which of them reached it.
CONTEXT_HEADERS = ("baggage", "traceparent", "tracestate", "x-dev-env")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 5  # seconds an idle connection is kept; also how long a shutdown waits for one
    wbufsize = -1  # head and body in one write: as two, the second waits 40 ms for the client's delayed ACK
    version = "local"
    books = {}

    def do_GET(self):
        kind, _, name = self.path.lstrip("/").partition("/")
        if self.path == "/healthz":
            self.answer(200, {"status": "ok"})
        elif kind == "details" and name in self.books:
            self.answer(200, {"version": self.version, "received": self.received(), "book": self.books[name]})
        else:
            self.answer(404, {"version": self.version, "error": f"no such page: {self.path}"})

    def received(self):
        found = {name: self.headers.get_all(name) for name in CONTEXT_HEADERS}
        return {name: ",".join(values) for name, values in found.items() if values}

    def answer(self, status, body):
        body = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code="-", size="-"):
        if self.path != "/healthz":
            super().log_request(code, size)


class Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() waits for requests in flight
    request_queue_size = 128
    stopping = False

    def stop(self):
        self.stopping = True
        self.shutdown()


def main():
    with open(os.environ.get("BOOKS", "books.json"), encoding="utf-8") as file:
        Handler.books = json.load(file)
    Handler.version = os.environ.get("DEV_VERSION", "local")
    host, _, port = os.environ.get("LISTEN", ":9080").rpartition(":")
    server = Server((host, int(port)), Handler)
    # shutdown() waits for serve_forever(), which this thread is in.
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop).start())
    print(f"details {Handler.version} listens on {host}:{port}", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
