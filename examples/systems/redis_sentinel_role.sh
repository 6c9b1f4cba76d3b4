#!/bin/bash
# A node leads if its server says that it is a master and its sentinel thinks so too. The term is the epoch of that choice.
set -eu
file=$HARNESS_DATA/sentinel.conf
role=$(redis-cli -p "$HARNESS_PROBE_PORT" role | head -n 1)
epoch=$(awk '/^sentinel config-epoch cluster/ { print $4 }' "$file")
if [ "$role" = master ] && grep -q "^sentinel monitor cluster $HARNESS_KNOWN_AS " "$file"; then
  role=leader
else
  role=follower
fi
echo "{\"role\":\"$role\",\"term\":${epoch:-0}}"
