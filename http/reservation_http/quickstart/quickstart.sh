#!/bin/sh
#: begin
# Needs curl and jq.
API='http://127.0.0.1:3000'
ME='0b9f5a52-7c1e-4f0b-9d3e-2f6a1c8e4d70'  # a random UUID
JSON='Content-Type: application/json'
#: create
EVENT=$(curl -sS "$API/events/create" -H "$JSON" \
  -d '{"name": "Opening night", "totalSeats": 500}' | jq -r .id)
echo "$EVENT"
#: hold
SEAT='{"id": "'$EVENT'-12", "UUID": "'$ME'"}'
JOB=$(curl -sS "$API/seats/hold" -H "$JSON" -d "$SEAT" |
  jq -r .statusEndpoint)
#: follow
follow() {  # asks until the job has ended, and prints it
  until curl -sS "$API$1?wait=10" -H "X-User-UUID: $ME" |
    jq -e 'select(.status != "waiting" and .status != "active")'
  do sleep 0.2; done
}
follow "$JOB"
#: refresh
curl -sS "$API/seats/refresh" -H "$JSON" -d "$SEAT" | jq .
#: reserve
JOB=$(curl -sS "$API/seats/reserve" -H "$JSON" -d "$SEAT" |
  jq -r .statusEndpoint)
follow "$JOB"
#: watch
curl -sSNL "$API/events/$EVENT/stream"  # Ctrl-C ends it
