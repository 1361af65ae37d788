"""python3 -m unittest, in this directory."""

import http.client
import json
import threading
import unittest

from details import Handler, Server


class DetailsTest(unittest.TestCase):
    def setUp(self):
        class Quiet(Handler):
            version = "blue"
            books = {"moby-dick": {"title": "Moby-Dick"}}

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Quiet)
        thread = threading.Thread(target=self.server.serve_forever)
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)
        self.client = http.client.HTTPConnection(*self.server.server_address, timeout=5)
        self.addCleanup(self.client.close)

    def get(self, path, headers=()):
        self.client.putrequest("GET", path)
        for name, value in headers:
            self.client.putheader(name, value)
        self.client.endheaders()
        answer = self.client.getresponse()
        return answer, json.load(answer)

    def test_book_and_version(self):
        answer, body = self.get("/details/moby-dick")
        self.assertEqual(answer.status, 200)
        self.assertEqual(body, {"version": "blue", "received": {}, "book": {"title": "Moby-Dick"}})

    def test_reports_context_headers(self):
        headers = [("Baggage", "dev-env=ann"), ("baggage", "a=1"), ("x-dev-env", "ann"), ("accept", "*/*")]
        _, body = self.get("/details/moby-dick", headers)
        self.assertEqual(body["received"], {"baggage": "dev-env=ann,a=1", "x-dev-env": "ann"})

    def test_unknown_book(self):
        answer, _ = self.get("/details/nothing")
        self.assertEqual(answer.status, 404)

    def test_closes_connections_while_stopping(self):
        self.server.stopping = True
        answer, _ = self.get("/healthz")
        self.assertEqual(answer.getheader("Connection"), "close")


if __name__ == "__main__":
    unittest.main()
