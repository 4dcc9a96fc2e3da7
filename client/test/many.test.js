// Tests a page with many sockets that reconnects after its server restarts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeSocket, fakeBrowser } from "./fake.js";

/**
 * A server that gives a login a number of tickets at once, and a number per
 * second afterwards.
 */
class LimitedServer {
  early = 0; // requests before the time in the last refusal
  ticketTimes = []; // times of all requests for a ticket
  tokens;
  at = Date.now();
  until = 0;

  constructor(burst, rate) {
    Object.assign(this, { burst, rate, tokens: burst });
  }

  fetch = async (url) => {
    if (url !== "/auth/ticket") return new Response(JSON.stringify({ access_token: "a", refresh_token: "r", expires_in: 900 }));
    const now = Date.now();
    this.ticketTimes.push(now);
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.at) / 1000) * this.rate);
    this.at = now;
    if (this.tokens < 1) return new Response("{}", { status: 429, headers: { "Retry-After": String(Math.ceil((1 - this.tokens) / this.rate)) } });
    this.tokens--;
    return new Response(JSON.stringify({ ticket: "t", expires_in: 30, sub: "ann" }));
  };
}

/**
 * Opens sockets of one login, and ends them as a restart does. Returns the
 * seconds until all are open again.
 */
async function restart(t, sockets, server, code) {
  const clock = fakeClock(t);
  fakeBrowser(t);
  server.at = Date.now();
  const session = new Session({ fetch: server.fetch });
  await session.login("ann", "secret");
  const all = Array.from({ length: sockets }, () => connect("/ws", session, { welcome: false }));
  t.after(() => all.forEach((socket) => socket.close()));
  const accept = () => FakeSocket.all.splice(0).forEach((socket) => socket.open());
  for (let i = 0; i < 1000 && all.some((socket) => socket.state !== "open"); i++) {
    await clock.go(100);
    accept();
  }
  await clock.go(60_000);
  assert.ok(all.every((socket) => socket.state === "open"));
  const waits = [];
  for (const socket of all) socket.addEventListener("state", ({ state, retryIn }) => state === "waiting" && waits.push(retryIn));
  server.ticketTimes = [];
  [server.tokens, server.at] = [server.burst, Date.now()];
  return { all, clock, waits, accept, end: (each) => each.forEach((socket) => socket.dispatchEvent(Object.assign(new Event("close"), { code, reason: "restarting" }))) };
}

test("thirty sockets of one login reconnect within seconds of a restart, and not all at once", async (t) => {
  for (const code of [1012, 1006]) {
    const server = new LimitedServer(100, 2); // the defaults of wsauth serve
    const open = [];
    const original = FakeSocket.prototype.open;
    t.mock.method(FakeSocket.prototype, "open", function () {
      open.push(this);
      original.call(this);
    });
    const { all, clock, waits, accept, end } = await restart(t, 30, server, code);
    const started = Date.now();
    end(open.slice());
    assert.ok(all.every((socket) => socket.state === "waiting"));
    while (all.some((socket) => socket.state !== "open") && Date.now() - started < 60_000) {
      await clock.go(50);
      accept();
    }
    assert.ok(Date.now() - started <= 4100, `${code}: ${Date.now() - started} ms`);
    assert.equal(server.ticketTimes.length, 30, "each requested a ticket once");
    assert.ok(new Set(waits).size > 25, "the waits differ");
    const peak = Math.max(...server.ticketTimes.map((from) => server.ticketTimes.filter((at) => at >= from && at < from + 100).length));
    assert.ok(peak <= (code === 1012 ? 10 : 20), `${code}: ${peak} of 30 within 100 ms`);
    t.mock.restoreAll();
  }
});

test("a page with more sockets than tickets waits as the server requests, plus a random time", async (t) => {
  const server = new LimitedServer(20, 2);
  const open = [];
  const original = FakeSocket.prototype.open;
  t.mock.method(FakeSocket.prototype, "open", function () {
    open.push(this);
    original.call(this);
  });
  const { all, clock, waits, accept, end } = await restart(t, 40, server, 1012);
  const started = Date.now();
  end(open.slice());
  waits.length = 0;
  while (all.some((socket) => socket.state !== "open") && Date.now() - started < 120_000) {
    await clock.go(50);
    accept();
  }
  assert.ok(all.every((socket) => socket.state === "open"));
  assert.ok(Date.now() - started < 60_000, `${Date.now() - started} ms`);
  assert.ok(waits.length > 0 && waits.every((ms) => ms > 1000), "no request before the requested time, nor all right after it");
  assert.ok(new Set(waits).size > waits.length / 2);
});
