"""moto in this process, behind a layer that counts calls by name and may hold each back for a while.

    counting.py PORT

It answers four addresses of its own beside the API: `POST /bench/delay?ms=80` holds every call back from now on,
`POST /bench/reset` forgets the counts, `GET /bench/calls` tells them as JSON, and `POST /bench/recall?on=1` answers what was
asked before in the same words from memory: then moto's own time, which is long for long listings, is no part of what is
measured.
"""

import json
import sys
import threading
import time
from collections import Counter
from urllib.parse import parse_qs

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple

LOCK = threading.Lock()
CALLS: Counter = Counter()
DELAY = [0.0]
RECALL = [False]
ANSWERS: dict = {}


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log(self, *_args, **_kwargs):
        pass


class Counting:
    """Counts and delays what goes to the application behind it."""

    def __init__(self, behind):
        self.behind = behind

    def __call__(self, environ, start_response):
        path = environ.get("PATH_INFO", "")
        if path.startswith("/bench/"):
            return self.own(path, parse_qs(environ.get("QUERY_STRING", "")), start_response)
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = __import__("io").BytesIO(body)
        api = parse_qs(body.decode("utf-8", "replace")).get("Action", [path])[0]
        with LOCK:
            CALLS[api] += 1
        time.sleep(DELAY[0])
        if not RECALL[0]:
            return self.behind(environ, start_response)
        # The service and the region are in the scope of the signature, whose date and end differ from call to call.
        scope = environ.get("HTTP_AUTHORIZATION", "").split("Credential=")[-1].split(",")[0].split("/")[2:4]
        key = (tuple(scope), environ.get("HTTP_X_AMZ_TARGET", ""), path, body)
        if key not in ANSWERS:
            told = []
            whole = b"".join(self.behind(environ, lambda status, headers, _=None: told.append((status, headers))))
            ANSWERS[key] = (*told[0], whole)
        status, headers, whole = ANSWERS[key]
        start_response(status, headers)
        return [whole]

    @staticmethod
    def own(path, query, start_response):
        with LOCK:
            if path == "/bench/delay":
                DELAY[0] = int(query["ms"][0]) / 1000
            elif path == "/bench/recall":
                RECALL[0] = query["on"][0] == "1"
            elif path == "/bench/reset":
                CALLS.clear()
            body = json.dumps(CALLS).encode()
        start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]


if __name__ == "__main__":
    application = Counting(DomainDispatcherApplication(create_backend_app))
    run_simple("127.0.0.1", int(sys.argv[1]), application, threaded=True, request_handler=Quiet)
