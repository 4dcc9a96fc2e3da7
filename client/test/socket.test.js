import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { connect } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record, refusal } from "./fake.js";

/** A new socket, with its login and clock. */
async function begin(t, options) {
  const clock = fakeClock(t);
  const browser = fakeBrowser(t);
  const login = new FakeLogin();
  const socket = connect("/ws?room=1", login, options);
  const states = record(socket);
  t.after(() => socket.close());
  await clock.settle();
  return { clock, ...browser, login, socket, states };
}

/** An open socket, for a number of seconds. */
async function opened(t, seconds = 900, options = {}) {
  const all = await begin(t, options);
  FakeSocket.last.welcome(seconds);
  assert.equal(all.socket.state, "open");
  all.login.order.length = 0;
  return all;
}

test("it connects with a ticket, and opens with the welcome", async (t) => {
  const { socket, states } = await begin(t);
  assert.equal(FakeSocket.last.url.href, "wss://app.example/ws?room=1&ticket=%2Fws%231");
  FakeSocket.last.open();
  assert.equal(socket.state, "connecting", "accepted, perhaps only to be refused");
  assert.throws(() => socket.send("too early"), { name: "InvalidStateError" });
  let claims;
  socket.addEventListener("open", (event) => { claims = event.claims; });
  FakeSocket.last.welcome();
  assert.equal(claims.sub, "ann");
  const received = [];
  socket.addEventListener("message", (event) => received.push(event.data));
  FakeSocket.last.tell({ type: "chat", text: "hello" });
  FakeSocket.last.tell({ type: "renewed", expires_at: Date.now() / 1000 + 900 });
  FakeSocket.last.tell({ type: "welcome" }); // a second one is the application's
  assert.deepEqual(received, ['{"type":"chat","text":"hello"}', '{"type":"welcome"}']);
  socket.send("hi");
  assert.deepEqual(FakeSocket.last.sent, ["hi"]);
  assert.deepEqual(states.map((s) => s.state), ["connecting", "open"]);
});

test("a server without a welcome", async (t) => {
  const { socket, login, clock } = await begin(t, { welcome: false });
  login.expiresAt = Date.now() + 900_000;
  FakeSocket.last.open();
  assert.equal(socket.state, "open");
  const received = [];
  socket.addEventListener("message", (event) => received.push(event.data));
  FakeSocket.last.tell({ type: "welcome" });
  assert.deepEqual(received, ['{"type":"welcome"}']);
  login.renewed = () => { login.expiresAt = Date.now() + 900_000; };
  await clock.go(3_600_000);
  assert.equal(socket.state, "open");
  assert.ok(login.refreshes >= 4, `${login.refreshes} refreshes in four lives`);
});

test("pain 15: a rotation renews the open socket", async (t) => {
  const { clock, login, socket } = await opened(t, 900);
  login.renewed = () => FakeSocket.last.tell({ type: "renewed", expires_at: Date.now() / 1000 + 900 });
  let renewed = 0;
  socket.addEventListener("renewed", () => renewed++);
  await clock.go(449_000);
  assert.equal(login.refreshes, 0, "before half of its life");
  await clock.go(272_000);
  assert.equal(login.refreshes, 1, "before four fifths of its life");
  await clock.go(86_400_000);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(login.tickets, 1);
  assert.equal(renewed, login.refreshes);
  assert.ok(login.refreshes > 100 && login.refreshes < 200, `${login.refreshes} refreshes in a day`);
});

test("the time of the renewal is random", async (t) => {
  const moments = new Set();
  for (const random of [0, 0.5, 0.99]) {
    await t.test(String(random), async (t) => {
      t.mock.method(Math, "random", () => random);
      const { clock, login } = await opened(t, 1000);
      const started = Date.now();
      let at = 0;
      login.renewed = () => { at ||= Date.now() - started; };
      await clock.go(900_000);
      moments.add(Math.round(at / 1000));
    });
  }
  assert.deepEqual([...moments], [500, 650, 797]);
});

test("a renewal that fails temporarily is tried again in time", async (t) => {
  const { clock, login, socket } = await opened(t, 900);
  login.refuseRefreshes = [new TypeError("network"), refusal(503)];
  login.renewed = () => FakeSocket.last.tell({ type: "renewed", expires_at: Date.now() / 1000 + 900 });
  await clock.go(899_000);
  assert.equal(login.refreshes, 3);
  assert.equal(socket.state, "open");
  assert.equal(FakeSocket.all.length, 1);
});

test("pain 14: a dead refresh ends in one logged-out state", async (t) => {
  const { clock, login, socket, states } = await opened(t, 900);
  const dead = refusal(401, "session_ended");
  login.refuseRefreshes = [dead, dead, dead, dead];
  await clock.go(899_000);
  assert.equal(login.refreshes, 1, "the socket keeps its time, and requests no more");
  assert.equal(socket.state, "open");
  FakeSocket.last.end(3000, "token_expired");
  await clock.go(86_400_000);
  assert.equal(login.refreshes, 2);
  assert.equal(states.filter((s) => s.state === "loggedout").length, 1);
  assert.deepEqual(states.at(-1), { state: "loggedout", code: 3000, reason: "session_ended", advice: "refresh", retryIn: 0 });
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(clock.waiting, 0);

  login.refuseRefreshes = [];
  socket.reconnect(); // after a login
  await clock.settle();
  FakeSocket.last.welcome();
  assert.equal(socket.state, "open");
});

test("no request is sent for a login that is over", async (t) => {
  const { clock, login, socket } = await opened(t);
  login.over = true;
  FakeSocket.last.end(3000, "session_ended");
  await clock.go(60_000);
  assert.equal(socket.state, "loggedout");
  assert.equal(login.refreshes, 0);
});

test("3000: it refreshes, then reconnects", async (t) => {
  const { clock, login, socket } = await opened(t);
  FakeSocket.last.end(3000, "token_revoked");
  assert.equal(socket.state, "waiting");
  await clock.go(1000);
  assert.deepEqual(login.order, ["refresh", "ticket"]);
  FakeSocket.last.welcome();
  assert.equal(socket.state, "open");
});

test("3000 again with a new token stops it", async (t) => {
  const { clock, login, socket } = await opened(t);
  FakeSocket.last.end(3000, "token_invalid");
  await clock.go(1000);
  FakeSocket.last.welcome();
  FakeSocket.last.end(3000, "token_invalid"); // at once
  await clock.go(3_600_000);
  assert.equal(socket.state, "stopped");
  assert.equal(login.refreshes, 1);
  assert.equal(FakeSocket.all.length, 2);
});

test("3003: it stops and says why", async (t) => {
  const { clock, login, states } = await opened(t);
  FakeSocket.last.end(3003, "connection_limit");
  await clock.go(3_600_000);
  assert.deepEqual(states.at(-1), { state: "stopped", code: 3003, reason: "connection_limit", advice: "stop", retryIn: 0 });
  assert.equal(FakeSocket.all.length, 1);
  assert.deepEqual(login.order, []);
});

test("the codes for which it reconnects", async (t) => {
  for (const [code, limit] of [[1006, 1000], [3008, 1000], [4321, 1000], [1001, 4000], [1011, 4000], [1012, 4000], [1013, 4000], [1014, 4000]]) {
    await t.test(String(code), async (t) => {
      t.mock.method(Math, "random", () => 0.5);
      const { clock, login, socket, states } = await opened(t);
      FakeSocket.last.end(code, "why");
      assert.deepEqual(states.at(-1), { state: "waiting", code, reason: "why", advice: limit === 4000 ? "wait" : "retry", retryIn: limit / 2 });
      await clock.go(limit / 2 - 1);
      assert.equal(FakeSocket.all.length, 1);
      await clock.go(1);
      assert.deepEqual(login.order, ["ticket"], "the token is good, so it is not refreshed");
      FakeSocket.last.welcome();
      assert.equal(socket.state, "open");
    });
  }
});

test("1000: it stays closed", async (t) => {
  const { clock, socket } = await opened(t);
  FakeSocket.last.end(1000, "bye");
  await clock.go(3_600_000);
  assert.equal(socket.state, "closed");
  assert.equal(FakeSocket.all.length, 1);
});

test("the waits grow while the server is unreachable, and restart after a successful socket", async (t) => {
  t.mock.method(Math, "random", () => 0.999999);
  const { clock, login, states } = await opened(t);
  login.refuseTickets = Array.from({ length: 6 }, () => new TypeError("network"));
  FakeSocket.last.end(1006);
  await clock.go(92_000);
  const waits = () => states.filter((s) => s.state === "waiting").map((s) => Math.round(s.retryIn));
  assert.deepEqual(waits(), [1000, 2000, 4000, 8000, 16000, 30000, 30000]);
  FakeSocket.last.welcome();
  await clock.go(10_000);
  FakeSocket.last.end(1006);
  assert.equal(waits().at(-1), 1000);
});

test("the waits grow while a limit closes the socket, for any time that it was open", async (t) => {
  t.mock.method(Math, "random", () => 0.999999);
  const { clock, states } = await opened(t);
  for (const after of [4_000, 6_000, 20_000]) {
    await clock.go(after);
    FakeSocket.last.end(1013, "rate_limited");
    await clock.go(states.at(-1).retryIn + 1);
    FakeSocket.last.welcome();
  }
  const waits = states.filter((s) => s.state === "waiting").map((s) => Math.round(s.retryIn));
  assert.deepEqual(waits, [4000, 8000, 16000]);
});

test("a socket that ends at once counts as a failure", async (t) => {
  t.mock.method(Math, "random", () => 0.999999);
  const { clock, states } = await begin(t);
  for (let i = 0; i < 4; i++) {
    FakeSocket.last.welcome();
    FakeSocket.last.end(1006);
    await clock.go(8000);
  }
  assert.deepEqual(states.filter((s) => s.state === "waiting").map((s) => Math.round(s.retryIn)), [1000, 2000, 4000, 8000]);
});

test("a refused ticket has the same effect as a refused socket", async (t) => {
  const cases = [[refusal(401, "token_expired"), "waiting", 3000], [refusal(403, "not_authorized"), "stopped", 3003], [refusal(429, "rate_limited", 20_000), "waiting", 1013], [new TypeError("network"), "waiting", 1006]];
  for (const [error, state, code] of cases) {
    await t.test(String(code), async (t) => {
      const all = { clock: fakeClock(t), ...fakeBrowser(t) };
      const login = new FakeLogin();
      login.refuseTickets = [error];
      const socket = connect("/ws", login);
      t.after(() => socket.close());
      const states = record(socket);
      await all.clock.settle();
      assert.equal(states.at(-1).state, state);
      assert.equal(states.at(-1).code, code);
      if (error.retryAfter) {
        const spread = states.at(-1).retryIn - error.retryAfter;
        assert.ok(spread >= 0 && spread <= 4000, `${spread} ms after the time that the server names`);
      }
      if (code === 3000) {
        await all.clock.go(1000);
        assert.deepEqual(login.order, ["ticket", "refresh", "ticket"]);
      }
    });
  }
});

test("pain 13: after a sleep it refreshes before it reconnects", async (t) => {
  const { clock, document, login, socket } = await opened(t, 900);
  clock.sleep(8 * 3_600_000);
  document.dispatchEvent(new Event("visibilitychange"));
  await clock.settle();
  assert.deepEqual(login.order, ["refresh", "ticket"]);
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.last.welcome();
  assert.equal(socket.state, "open");
  FakeSocket.all[0].end(3000, "token_expired"); // the old socket's end arrives late
  assert.equal(socket.state, "open");
});

test("a hidden page does not refresh", async (t) => {
  const { clock, document, login } = await opened(t, 900);
  clock.sleep(8 * 3_600_000);
  document.visibilityState = "hidden";
  document.dispatchEvent(new Event("visibilitychange"));
  await clock.settle();
  assert.deepEqual(login.order, []);
});

test("pain 13: back online, it refreshes before it reconnects", async (t) => {
  const { clock, window, login, socket } = await opened(t, 900);
  login.refuseTickets = Array.from({ length: 100 }, () => new TypeError("network"));
  FakeSocket.last.end(1006);
  await clock.go(20_000);
  assert.equal(socket.state, "waiting");
  login.order.length = 0;
  login.refuseTickets = [];
  window.dispatchEvent(new Event("online"));
  await clock.settle();
  assert.deepEqual(login.order, ["refresh", "ticket"]);
});

test("pain 13: a token that expired while the server was unreachable is not used", async (t) => {
  const { clock, login } = await opened(t, 900);
  login.refuseTickets = Array.from({ length: 1000 }, () => new TypeError("network"));
  FakeSocket.last.end(1006);
  await clock.go(449_000);
  assert.equal(login.refreshes, 0);
  await clock.go(451_000);
  assert.equal(login.refreshes, 1);
});

test("a socket that is not told of its renewal is given up", async (t) => {
  const { clock, window, socket, states } = await opened(t);
  window.dispatchEvent(new Event("online")); // on another network
  await clock.go(15_000);
  assert.equal(socket.state, "waiting");
  assert.equal(states.at(-1).reason, "no_answer");
  await clock.go(1000);
  assert.equal(FakeSocket.all.length, 2);
});

test("a server that accepts and sends nothing is given up", async (t) => {
  for (const [opens, reason] of [[true, "no_welcome"], [false, "unreachable"]]) {
    t.mock.method(console, "warn", () => {});
    const { clock, states } = await begin(t, { welcome: true });
    if (opens) FakeSocket.last.open();
    await clock.go(15_000);
    assert.equal(states.at(-1).reason, reason);
  }
});

test("a wrong clock causes no storm of refreshes", async (t) => {
  for (const wrong of [-86_400, -1000, 1000, 86_400]) {
    await t.test(`${wrong} s`, async (t) => {
      const { clock, login, socket } = await begin(t);
      const server = () => Math.floor(Date.now() / 1000) + wrong;
      const iat = server();
      FakeSocket.last.tell({ type: "welcome", claims: { sub: "ann", iat, exp: iat + 900 }, expires_at: iat + 900 });
      login.renewed = () => FakeSocket.last.tell({ type: "renewed", expires_at: server() + 900 });
      await clock.go(9_000_000);
      assert.ok(login.refreshes >= 10 && login.refreshes <= 21, `${login.refreshes} refreshes in ten lives`);
      assert.equal(socket.state, "open");
    });
  }
});

test("a lifetime of years does not overflow a timer", async (t) => {
  const { clock, login } = await opened(t, 366 * 86_400);
  await clock.go(30 * 86_400_000);
  assert.equal(login.refreshes, 0);
});

test("close is final", async (t) => {
  const { clock, window, document, socket, states } = await opened(t);
  const listeners = () => [[window, "online"], [window, "pageshow"], [document, "visibilitychange"]].map(([target, name]) => getEventListeners(target, name).length);
  assert.deepEqual(listeners(), [1, 1, 1]);
  socket.close(1000, "bye");
  assert.deepEqual(listeners(), [0, 0, 0]);
  assert.equal(FakeSocket.last.closedBy, 1000);
  assert.throws(() => socket.send("too late"), { name: "InvalidStateError" });
  FakeSocket.last.end(1000, "bye");
  window.dispatchEvent(new Event("online"));
  socket.reconnect();
  await clock.go(3_600_000);
  assert.equal(states.at(-1).state, "closed");
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(clock.waiting, 0);
});

test("an AbortSignal closes it in any state", async (t) => {
  const before = AbortSignal.abort();
  const during = new AbortController();
  const { clock, login, states } = await opened(t, 900, { signal: during.signal });
  FakeSocket.last.end(1006);
  during.abort();
  await clock.go(3_600_000);
  assert.equal(states.at(-1).state, "closed");
  assert.deepEqual(login.order, []);

  const never = connect("/ws", login, { signal: before });
  await clock.settle();
  assert.equal(never.state, "closed");
  assert.deepEqual(login.order, []);
});

test("a ticket that arrives after close is not used", async (t) => {
  const { clock } = { clock: fakeClock(t), ...fakeBrowser(t) };
  let give;
  const socket = connect("/ws", { ticket: () => new Promise((done) => { give = done; }), refresh: async () => {} });
  await clock.settle();
  socket.close();
  give("ticket");
  await clock.settle();
  assert.equal(FakeSocket.all.length, 0);
  assert.equal(socket.state, "closed");
});

test("another user's login is not joined", async (t) => {
  const { clock, socket, states } = await opened(t);
  FakeSocket.last.end(3000, "session_ended");
  await clock.go(1000);
  FakeSocket.last.welcome(900, "bob");
  assert.equal(socket.state, "stopped");
  assert.equal(states.at(-1).reason, "other_user");
  assert.equal(FakeSocket.last.closedBy, 1005);
});

test("the page can replace the advice, and is asked for the password", async (t) => {
  const { clock, socket } = await opened(t, 900, { advise: () => "stop" });
  let asked = 0;
  socket.addEventListener("fresh_required", () => asked++);
  FakeSocket.last.tell({ type: "fresh_required" });
  assert.equal(asked, 1);
  FakeSocket.last.end(1006);
  await clock.go(3_600_000);
  assert.equal(socket.state, "stopped");
});

test("an implausible Retry-After causes neither a storm nor an endless wait", async (t) => {
  for (const asked of [9_999_999_999, 2 ** 31, Infinity, NaN, -5000, "soon", null]) {
    await t.test(String(asked), async (t) => {
      t.mock.method(Math, "random", () => 1);
      const clock = fakeClock(t);
      fakeBrowser(t);
      const login = new FakeLogin();
      login.refuseTickets = [refusal(503, "", asked)];
      const socket = connect("/ws", login);
      t.after(() => socket.close());
      const states = record(socket);
      await clock.settle();
      const { state, retryIn } = states.at(-1);
      assert.equal(state, "waiting");
      assert.ok(retryIn >= 4000 && retryIn <= 3_600_000 + 4000, `${retryIn} ms`);
      await clock.go(retryIn - 1);
      assert.equal(login.tickets, 1);
      await clock.go(2);
      assert.equal(login.tickets, 2);
    });
  }
});
