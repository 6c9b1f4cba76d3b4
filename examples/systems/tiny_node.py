"""One node: python3 tiny_node.py ADDRESS ADDRESS_OF_THE_FIRST FILE. Requests and answers are lines of JSON."""
import json
import os
import socket
import socketserver
import sys
import threading

address, first, path = sys.argv[1:]
values, lock = {}, threading.Lock()


def keep(key, value):
    log.write(json.dumps([key, value]) + "\n")
    log.flush()
    os.fsync(log.fileno())
    values[key] = value


def perform(request):
    """Only on the first node, one request at a time."""
    key, value = request["key"], request.get("value")
    if request["f"] == "read":
        return {"type": "ok", "value": values.get(key)}
    if request["f"] == "cas":
        if values.get(key) != value[0]:
            return {"type": "fail", "error": "mismatch"}
        value = value[1]
    keep(key, value)  # a delete has no value
    return {"type": "ok"}


class Connection(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            if address == first:
                with lock:
                    answer = json.dumps(perform(json.loads(line))).encode() + b"\n"
            else:
                with socket.create_connection((first, 7000)) as leader:
                    leader.sendall(line)
                    answer = leader.makefile("rb").readline()
            self.wfile.write(answer)


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A connection that was cut: whoever called finds out."""


log = open(path, "a+")
log.seek(0)
for line in log:
    if line.endswith("\n"):
        key, value = json.loads(line)
        values[key] = value
for port in (7000, 7001):
    threading.Thread(target=Server((address, port), Connection).serve_forever).start()
