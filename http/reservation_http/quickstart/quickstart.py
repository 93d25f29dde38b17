#: begin
# Needs httpx: pip install httpx
import json
import time
import uuid

import httpx

me = str(uuid.uuid4())
api = httpx.Client(
    base_url="http://127.0.0.1:3000",
    headers={"X-User-UUID": me},
    follow_redirects=True,
)


def post(path, body):
    answer = api.post(path, json=body)
    if answer.is_error:
        raise RuntimeError(answer.json()["detail"])
    return answer.json()


#: create
event = post("/events/create", {"name": "Opening night", "totalSeats": 500})
print(event["id"])
#: hold
seat = {"id": f"{event['id']}-12", "UUID": me}
queued = post("/seats/hold", seat)


#: follow
def follow(queued):
    """Asks until the job has ended."""
    while True:
        answer = api.get(queued["statusEndpoint"], params={"wait": 3})
        job = answer.raise_for_status().json()
        if job["status"] in ("completed", "failed"):
            return job["result"]
        time.sleep(0.2)  # where too many wait


print(follow(queued))
#: refresh
held = post("/seats/refresh", seat)
print((held["expiresAt"] - held["serverTime"]) / 1000, "seconds left")
#: reserve
queued = post("/seats/reserve", seat)
print(follow(queued))
#: watch
with api.stream("GET", f"/events/{event['id']}/stream", timeout=30) as feed:
    for line in feed.iter_lines():
        if line.startswith("data: "):
            print(json.loads(line.removeprefix("data: ")))
