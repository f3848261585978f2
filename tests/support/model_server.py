"""A server on loopback that speaks OpenAI's interface, or misbehaves as it is told."""

import json
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress


def chat(text, finish_reason="stop"):
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return json.dumps({"object": "chat.completion", "choices": [choice]})


def response(status, body, *headers, length=None, kind="application/json"):
    """The bytes of an HTTP response; `length`, where it is given, is a lie."""
    content = body if isinstance(body, bytes) else body.encode()
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", *headers, f"Content-Length: {length or len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


class ModelServer(socketserver.ThreadingTCPServer):
    """`behaviour(request, number)` gives the bytes to send, or a list of them between which it waits a little; `number`
    counts from 0. A request is its headers, path and JSON body."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, behaviour):
        self.behaviour, self.requests, self.lock = behaviour, [], threading.Lock()
        self.ended = threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(socketserver.StreamRequestHandler):
    def handle(self):
        head = self.rfile.readline().decode()
        headers = {}
        while (line := self.rfile.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        request = {"path": head.split()[1] if head else "", "headers": headers, "body": json.loads(body or b"null")}
        with self.server.lock:
            number = len(self.server.requests)
            self.server.requests.append(request)
        sent = self.server.behaviour(request, number)
        for part in sent if isinstance(sent, list) else [sent]:
            if part is None:
                self.server.ended.wait(30)  # say nothing more
                return
            try:
                self.wfile.write(part)
                self.wfile.flush()
            except OSError:
                return
            if isinstance(sent, list):
                self.server.ended.wait(0.1)
        with suppress(OSError):  # the client has gone already
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(behaviour):
    with ModelServer(behaviour) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
            thread.join()
