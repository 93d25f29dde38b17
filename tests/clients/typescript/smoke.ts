// What a program does with a generated client: creates an event, holds a seat, follows the job, reserves, is refused.
// Its types are compiled strictly, and it runs against a service.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import type { components, paths } from "./generated/api.js";

type Job = components["schemas"]["Job"];
type QueueResponse = components["schemas"]["QueueResponse"];

function client(token: string | undefined) {
  return createClient<paths>({ baseUrl: process.env["API"] ?? "", headers: { Authorization: `Bearer ${token}` } });
}

const me = client(process.env["TOKEN"]);
const other = client(process.env["OTHER_TOKEN"]);

async function ended(answer: Job | QueueResponse): Promise<Job> {
  const job_id = "jobId" in answer ? answer.jobId : answer.id;
  for (;;) {
    const { data: job, error } = await me.GET("/seats/job/{job_id}/status", {
      params: { path: { job_id }, query: { wait: 10 } },
    });
    if (!job) throw new Error(error.detail);
    if (job.status === "completed" || job.status === "failed") return job;
  }
}

const made = await me.POST("/events/create", { body: { name: "Opening night", totalSeats: 20 } });
assert(made.data, made.error?.detail);
const id = `${made.data.id}-1`;

const held = await me.POST("/seats/hold", { body: { id, priority: "standard" } });
assert(held.data, held.error?.detail);
assert.equal((await ended(held.data)).result?.seats?.[0]?.status, "On hold");

const taken = await other.POST("/seats/hold", { body: { ids: [id, `${made.data.id}-2`] } });
assert(taken.error && taken.response.status === 409);
const conflict: components["schemas"]["Conflict"] | undefined = taken.error.conflicts?.[0];
assert.deepEqual([taken.error.type, conflict], ["/problems/seat-held", { seatId: id, status: "On hold" }]);

const reserved = await me.POST("/seats/reserve", {
  params: { header: { "Idempotency-Key": `"${randomUUID()}"`, Prefer: "wait=10" } },
  body: { id, reference: "order 4711" },
});
assert(reserved.data, reserved.error?.detail);
const job = await ended(reserved.data);
assert.equal(job.type satisfies "HOLD_SEAT" | "RESERVE_SEAT", "RESERVE_SEAT");
assert.equal(job.result?.seat?.reference, "order 4711");

// What must not compile, does not.
// @ts-expect-error a seat, or several, but not none
const nothing: components["schemas"]["Holding"] = { priority: "vip" };
const status: components["schemas"]["SeatStatus"] = "Reserved";
// @ts-expect-error no such status
const wrong: components["schemas"]["SeatStatus"] = "Sold";
console.log(status, [nothing, wrong].length);
