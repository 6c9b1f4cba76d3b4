"""A client of Redis for the harness: operations on stdin, answers on stdout, JSON lines (docs/your-system.md).
A request is only sent to what said that it is a master. What it refuses with a word of REFUSED it has not done."""
import json, random, socket, sys, time

REFUSED = ("READONLY", "MASTERDOWN", "LOADING", "MISCONF", "NOREPLICAS", "OOM", "BUSY")
# A script without flags counts as a write: a replica refuses it, so reads are a master's, too.
READ = "#!lua\nreturn redis.call('GET', KEYS[1])"
CAS = READ.replace("return", "if") + """ ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2]) return 1"""

class Refused(Exception):
    """An error that the server itself told, its first word."""

class Connection:
    def __init__(self, name, address, limit):
        self.name, (host, port) = name, address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=limit)
        self.file = self.socket.makefile("rb")

    def ask(self, *words):
        parts = ("$%d\r\n%s\r\n" % (len(str(word)), word) for word in words)
        self.socket.sendall(("*%d\r\n" % len(words) + "".join(parts)).encode())
        return self.answer()

    def answer(self):
        line = self.whole(self.file.readline())
        kind, rest = line[:1], line[1:].decode()
        if kind == b"-":
            raise Refused(rest.split()[0])
        if kind == b"*":
            return [self.answer() for _ in range(int(rest))]
        if kind == b"$":
            return None if rest == "-1" else self.whole(self.file.read(int(rest) + 2)).decode()
        return rest

    def whole(self, line):
        if not line.endswith(b"\r\n"):
            raise OSError("cut")
        return line[:-2]

def master(names, nodes, limit):
    """A connection to the first master that these are or name. None if there is no time to ask one more."""
    end = time.monotonic() + limit
    for name in list(names):
        names.append(names.pop(0))
        for _ in range(3):  # a replica may name one that is itself a replica by now
            if time.monotonic() > end:
                return None
            try:
                connection = Connection(name, nodes[name], limit)
                role = connection.ask("ROLE")
            except (OSError, Refused):
                break
            if role[0] == "master":
                return connection
            name = "n" + role[1].rsplit(".", 1)[1]  # the last number of its address is a node's

def perform(connection, f, key, value):
    if f == "read":
        found = connection.ask("EVAL", READ, 1, key)
        return {"type": "ok", "value": None if found is None else int(found)}
    if f == "cas" and connection.ask("EVAL", CAS, 1, key, *value) == "0":
        return {"type": "fail", "error": "mismatch"}
    if f in ("write", "delete"):
        connection.ask(*(("SET", key, value) if f == "write" else ("DEL", key)))
    return {"type": "ok"}

init = json.loads(sys.stdin.readline())
names = [init["node"]] if init["node"] else random.sample(sorted(init["nodes"]), len(init["nodes"]))
limit, connection = init["attempt_ms"] / 1000, None
for op in map(json.loads, sys.stdin):
    connection, answer = connection or master(names, init["nodes"], limit), {"type": "fail", "error": "no-master"}
    asked = connection and connection.name
    try:
        answer = perform(connection, op["f"], op["key"], op.get("value")) if connection else answer
    except (Refused, OSError) as error:
        word = str(error) if isinstance(error, Refused) else "cut"
        answer, connection = {"type": "fail" if word in REFUSED else "info", "error": word}, None
    print(json.dumps({"id": op["id"], "node": asked, **answer}), flush=True)
