//: begin
// A browser's console, or Node.js 20.18 and later.
const api = "http://127.0.0.1:3000";
const me = crypto.randomUUID();

async function call(path, body) {
  const answer = await fetch(api + path, {
    method: body ? "POST" : "GET",
    headers: { "Content-Type": "application/json", "X-User-UUID": me },
    body: JSON.stringify(body),
  });
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.detail);
  return told;
}
//: create
const event = await call("/events/create", {
  name: "Opening night",
  totalSeats: 500,
});
console.log(event.id);
//: hold
const seat = { id: `${event.id}-12`, UUID: me };
const hold = await call("/seats/hold", seat);
//: follow
async function follow({ statusEndpoint }) {  // asks until the job has ended
  for (;;) {
    const job = await call(`${statusEndpoint}?wait=10`);
    if (job.status === "completed" || job.status === "failed") return job.result;
    await new Promise((resume) => setTimeout(resume, 200));  // where too many wait
  }
}
console.log(await follow(hold));
//: refresh
const held = await call("/seats/refresh", seat);
console.log((held.expiresAt - held.serverTime) / 1000, "seconds left");
//: reserve
const reservation = await call("/seats/reserve", seat);
console.log(await follow(reservation));
//: watch
// Node.js: node --experimental-eventsource quickstart.mjs
const feed = new EventSource(`${api}/events/${event.id}/stream`);
for (const kind of ["snapshot", "change", "reset"])
  feed.addEventListener(kind, ({ data }) => console.log(kind, JSON.parse(data)));
