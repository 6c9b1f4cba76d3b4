#!/bin/bash
# One node: a server and its sentinel in one process group. The end of either is the end of the node. Both say of themselves
# the address at which others know them, which is another than theirs where nodes share a network.
set -eu
first=${HARNESS_NODES%% *}
all=($HARNESS_NODES)
quorum=$((${#all[@]} / 2 + 1))
cd "$HARNESS_DATA"

# Both write into their files what they learn, so these are made once.
if [ ! -e server.conf ]; then
  cat >server.conf <<CONF
bind $HARNESS_ADDRESS
bind-source-addr $HARNESS_ADDRESS
port 6379
protected-mode no
dir "$HARNESS_DATA"
appendonly yes
save ""
repl-diskless-sync-delay 0
replica-announce-ip $HARNESS_KNOWN_AS
CONF
  if [ "${first#*=}" != "$HARNESS_KNOWN_AS" ]; then
    echo "replicaof ${first#*=} 6379" >>server.conf
  fi
  cat >sentinel.part <<CONF
bind $HARNESS_ADDRESS
bind-source-addr $HARNESS_ADDRESS
port 26379
protected-mode no
dir "$HARNESS_DATA"
sentinel announce-ip $HARNESS_KNOWN_AS
sentinel monitor cluster ${first#*=} 6379 $quorum
sentinel down-after-milliseconds cluster 500
sentinel failover-timeout cluster 3000
CONF
  mv sentinel.part sentinel.conf
fi

redis-server server.conf &
server=$!
redis-sentinel sentinel.conf &
sentinel=$!
# The whole group is told to stop; what was told so ends by itself.
trap 'wait; exit 0' TERM
code=0
wait -n || code=$?
echo "the server or the sentinel of $HARNESS_NODE ended with code $code" >&2
kill -KILL "$server" "$sentinel" 2>/dev/null || true
wait
exit $((code == 0 ? 1 : code))
