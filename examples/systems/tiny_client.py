"""A client: the harness asks on stdin, one operation at a time, and is answered on stdout."""
import json
import random
import socket
import sys

init = json.loads(sys.stdin.readline())
limit = init["attempt_ms"] / 1000
connection = None
for line in sys.stdin:
    operation = json.loads(line)
    answer = {"id": operation["id"]}
    sent = False
    try:
        if connection is None:
            answer["node"] = init["node"] or random.choice(list(init["nodes"]))
            host, port = init["nodes"][answer["node"]].split(":")
            connection = socket.create_connection((host, int(port)), timeout=limit)
            lines = connection.makefile("rb")
        sent = True  # from here on nobody knows, unless the node answers
        connection.sendall(line.encode())
        answer.update(json.loads(lines.readline()))
    except (OSError, ValueError) as error:
        answer.update(type="info" if sent else "fail", error=type(error).__name__)
        connection = None
    print(json.dumps(answer), flush=True)
