import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeSocket, fakeBrowser, record } from "./fake.js";

const page = "<!DOCTYPE html><title>Sign in to the network</title>";
const tokens = JSON.stringify({ access_token: "a", refresh_token: "r", expires_in: 900 });

/** An answer of a proxy, or of a similar program in front of the server. */
const foreign = (status, body = page, type = "text/html") => () => new Response(body, { status, headers: { "Content-Type": type } });

/** A refusal of the server itself. */
const own = (status, problem = {}) => foreign(status, JSON.stringify({ status, ...problem }), "application/problem+json");

const answers = {
  "a proxy without a route": foreign(404),
  "a proxy's empty 404": foreign(404, "", "text/plain"),
  "a proxy's 404 in JSON": foreign(404, '{"message":"no Route matched with those values"}', "application/json"),
  "a firewall": foreign(403),
  "a captive portal": foreign(511),
  "a captive portal that says 401": foreign(401),
  "a proxy's 401 in JSON": foreign(401, '{"message":"Unauthorized"}', "application/json"),
  "a proxy's 405": foreign(405),
  "a page in the place of the answer": foreign(200),
  "nothing in the place of the answer": foreign(200, ""),
  "JSON of something else": foreign(200, '{"ok":true}', "application/json"),
  "null": foreign(200, "null", "application/json"),
  "a list": foreign(403, "[]", "application/json"),
};

/**
 * Returns a socket whose requests for the given paths get the given answer,
 * either from the first request on or once the socket is open.
 */
async function begin(t, paths, answer, open = false) {
  const clock = fakeClock(t);
  fakeBrowser(t);
  let broken = !open;
  const asked = [];
  const session = new Session({
    fetch: async (url) => {
      asked.push(url);
      if (broken && paths.includes(url)) return answer();
      return new Response(url === "/auth/ticket" ? '{"ticket":"t","sub":"ann"}' : tokens);
    },
  });
  await session.login("ann", "secret");
  const socket = connect("/ws", session);
  const states = record(socket);
  t.after(() => socket.close());
  await clock.settle();
  if (open) {
    FakeSocket.last.welcome();
    broken = true;
  }
  return { clock, session, socket, states, asked, repair: () => { broken = false; } };
}

/** Waits until one more connection is opened. */
async function awaitConnection(clock) {
  const { length } = FakeSocket.all;
  for (let s = 0; s < 60 && FakeSocket.all.length === length; s++) await clock.go(1000);
}

for (const [name, answer] of Object.entries(answers)) {
  test(`${name} instead of a ticket: it retries until the server answers`, async (t) => {
    const { clock, session, socket, states, asked, repair } = await begin(t, ["/auth/ticket"], answer);
    await clock.go(600_000);
    assert.equal(socket.state, "waiting");
    assert.equal(session.over, false);
    assert.equal(FakeSocket.all.length, 0);
    const tickets = asked.filter((url) => url === "/auth/ticket").length;
    assert.ok(tickets > 20 && tickets < 120, `${tickets} tries in ten minutes`);
    assert.ok(states.every(({ state }) => state === "connecting" || state === "waiting"));
    repair();
    await awaitConnection(clock);
    FakeSocket.last.welcome();
    assert.equal(socket.state, "open");
  });

  test(`${name} instead of new tokens: the session continues`, async (t) => {
    const { clock, session, socket, states, repair } = await begin(t, ["/auth/refresh", "/auth/ticket"], answer, true);
    await clock.go(899_000);
    assert.equal(socket.state, "open");
    states.length = 0;
    FakeSocket.last.end(3000, "token_expired");
    await clock.go(600_000);
    assert.ok(states.every(({ state }) => ["connecting", "waiting"].includes(state)), JSON.stringify(states));
    assert.equal(session.over, false);
    repair();
    await awaitConnection(clock);
    FakeSocket.last.welcome();
    assert.equal(socket.state, "open");
  });
}

test("a proxy's 401 does not end a session", async (t) => {
  const { session } = await begin(t, ["/auth/logout"], answers["a captive portal that says 401"]);
  await assert.rejects(session.logout(), { status: 401, foreign: true });
});

test("text of a proxy is not used as a reason", async (t) => {
  const { states } = await begin(t, ["/auth/ticket"], foreign(403, '{"detail":"<b>","ended":true}', "application/json"));
  const { state, code, reason, advice } = states.at(-1);
  assert.deepEqual({ state, code, reason, advice }, { state: "waiting", code: 1014, reason: "bad_gateway", advice: "wait" });
});

for (const [name, answer, code, reason] of [
  ["not authorized", own(403, { reason: "not_authorized" }), 3003, "not_authorized"],
  ["no such address", own(404), 3003, ""],
  ["a reason without a type", foreign(403, '{"reason":"origin_not_allowed"}', "text/plain"), 3003, "origin_not_allowed"],
  ["a type with a parameter", foreign(404, "{}", "Application/Problem+JSON; charset=utf-8"), 3003, ""],
]) {
  test(`the server's own refusal stops it: ${name}`, async (t) => {
    const { clock, socket, states } = await begin(t, ["/auth/ticket"], answer);
    await clock.go(60_000);
    assert.equal(socket.state, "stopped");
    assert.deepEqual([states.at(-1).code, states.at(-1).reason], [code, reason]);
  });
}
