// Tests that a socket opens on any backend, with or without a welcome.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record } from "./fake.js";

/** Returns a socket whose handshake is done, and its events. */
async function shaken(t, login = new FakeLogin(), options = {}) {
  const clock = fakeClock(t);
  fakeBrowser(t);
  const warn = t.mock.method(console, "warn", () => {});
  const socket = connect("/ws", login, options);
  t.after(() => socket.close());
  const states = record(socket);
  const events = [];
  for (const type of ["open", "message", "renewed", "fresh_required", "fresh_ok", "close"]) {
    socket.addEventListener(type, ({ claims, data }) => events.push(type === "message" ? data : claims?.sub ? `open ${claims.sub}` : type));
  }
  await clock.settle();
  FakeSocket.last.open();
  return { clock, login, socket, states, events, warn };
}

const welcome = (sub = "ann", left = 900) => ({ type: "welcome", claims: { sub, iat: Date.now() / 1000, exp: Date.now() / 1000 + left }, expires_at: Date.now() / 1000 + left });
const text = (message) => (typeof message === "string" ? message : JSON.stringify(message));
const say = (message) => FakeSocket.last.dispatchEvent(new MessageEvent("message", { data: text(message) }));

/** A login with this information about its sockets. */
const hinted = (about) => Object.assign(new FakeLogin(), { admission: async () => ({ ticket: "t", subject: "ann", ...about }) });

test("a silent backend: the socket opens after a second, and stays", async (t) => {
  const { clock, socket, states, events, warn } = await shaken(t);
  await clock.go(999);
  assert.equal(socket.state, "connecting");
  await clock.go(1);
  assert.equal(socket.state, "open");
  socket.send("hi");
  await clock.go(86_400_000);
  assert.deepEqual(states.map(({ state }) => state), ["connecting", "open"]);
  assert.deepEqual(events, ["open"]);
  assert.equal(warn.mock.callCount(), 0);
  FakeSocket.last.end(1006);
  await clock.go(1_000);
  FakeSocket.last.open();
  assert.equal(socket.state, "open", "it does not wait again for what does not come");
});

// Messages of the application, some of which look like the server's.
const messages = [
  "hello", "", "{", "null", "[]", '"welcome"', { type: "chat" },
  { type: "welcome" }, { type: "welcome", text: "hi" }, { type: "welcome", claims: {} }, { type: "welcome", claims: { sub: "ann" } },
  { type: "welcome", claims: { sub: 7 }, expires_at: 1 }, { type: "welcome", claims: { sub: "" }, expires_at: 1 }, { type: "welcome", claims: null, expires_at: 1 },
  { type: "welcome", claims: { sub: "ann" }, expires_at: "1" }, { type: "welcome", claims: { sub: "ann" }, expires_at: null },
  { type: "renewed", expires_at: 1 }, { type: "auth_ok", expires_at: 1 }, { type: "fresh_required" }, { type: "fresh_ok" },
];

test("the page gets an application's first messages, in order, after open", async (t) => {
  for (const first of messages) {
    await t.test(text(first), async (t) => {
      const { clock, socket, events } = await shaken(t);
      say(first);
      assert.equal(socket.state, "open");
      const rest = [welcome(), welcome("bob"), ...messages];
      for (const message of rest) say(message);
      await clock.go(86_400_000);
      assert.deepEqual(events, ["open", ...[first, ...rest].map(text)]);
      assert.equal(socket.state, "open");
    });
  }
});

test("the page also gets messages after a silent second", async (t) => {
  for (const message of messages) {
    await t.test(text(message), async (t) => {
      const { clock, events } = await shaken(t);
      await clock.go(1_000);
      say(message);
      say(welcome());
      assert.deepEqual(events, ["open", text(message), text(welcome())]);
    });
  }
});

test("the page gets binary data", async (t) => {
  const { socket, events } = await shaken(t);
  const data = new Uint8Array([1, 2]).buffer;
  FakeSocket.last.dispatchEvent(new MessageEvent("message", { data }));
  assert.equal(socket.state, "open");
  assert.equal(events[1], data);
});

test("a welcome is recognized even if it was not announced", async (t) => {
  const { clock, login, socket, events } = await shaken(t);
  say(welcome("ann", 900));
  assert.deepEqual(events, ["open ann"]);
  assert.equal(socket.expiresAt, Date.now() + 900_000);
  login.renewed = () => say({ type: "renewed", expires_at: Date.now() / 1000 + 900 });
  await clock.go(800_000);
  assert.equal(login.refreshes, 1);
  say({ type: "fresh_required" });
  say(welcome());
  assert.deepEqual(events, ["open ann", "renewed", "fresh_required", text(welcome())]);
});

test("a late welcome is recognized, but not a very late one", async (t) => {
  for (const [after, counts] of [[999, true], [1_001, true], [14_999, true], [15_001, false], [3_600_000, false]]) {
    await t.test(`${after} ms`, async (t) => {
      const { clock, socket, events } = await shaken(t);
      await clock.go(after);
      say(welcome("ann", 900));
      assert.equal(socket.expiresAt, counts ? Date.now() + 900_000 : Infinity);
      if (after > 1_000) assert.deepEqual(events, ["open", counts ? "renewed" : text(welcome())]);
    });
  }
});

test("a welcome for another user than the ticket's is an application's message", async (t) => {
  for (const [sub, counts] of [["ann", true], ["bob", false], ["Ann", false]]) {
    await t.test(sub, async (t) => {
      const { clock, socket, events } = await shaken(t, hinted({}));
      say(welcome(sub, 3));
      await clock.go(100);
      assert.equal(socket.state, "open");
      assert.equal(events[0], counts ? "open ann" : "open");
    });
  }
});

test("the ticket says that there is no welcome", async (t) => {
  const { clock, socket, events } = await shaken(t, hinted({ welcome: false }));
  assert.equal(socket.state, "open", "with the handshake");
  const message = text(welcome());
  say(message);
  await clock.go(60_000);
  assert.deepEqual(events, ["open", message]);
});

test("the ticket, or the page, says that there is a welcome", async (t) => {
  for (const [login, options] of [[hinted({ welcome: true }), {}], [hinted({ welcome: false }), { welcome: true }], [new FakeLogin(), { welcome: true }]]) {
    const { clock, socket, states, events, warn } = await shaken(t, login, options);
    await clock.go(14_900);
    assert.equal(socket.state, "connecting");
    say({ type: "chat" });
    assert.deepEqual(events, [text({ type: "chat" })], "nothing is lost");
    assert.equal(socket.state, "connecting");
    await clock.go(100);
    assert.deepEqual([states.at(-1).code, states.at(-1).reason], [1006, "no_welcome"]);
    for (let i = 0; i < 20; i++) {
      await clock.go(31_000);
      FakeSocket.last.open();
      await clock.go(15_000);
    }
    assert.equal(warn.mock.callCount(), 1, "exactly one warning");
    assert.match(warn.mock.calls[0].arguments.join(" "), /no welcome within 15 s.*option welcome/);
    socket.close();
    t.mock.restoreAll();
  }
});

test("the page's option takes precedence over the ticket", async (t) => {
  const { socket } = await shaken(t, hinted({ welcome: true }), { welcome: false });
  assert.equal(socket.state, "open");
});

test("a Session passes on the information in the server's ticket", async (t) => {
  const clock = fakeClock(t);
  for (const [socket, want] of [
    [{ expires_in: 900, welcome: true }, { expiresAt: Date.now() + 900_000, welcome: true }],
    [{ expires_in: 5, welcome: false }, { expiresAt: Date.now() + 5_000, welcome: false }],
    [undefined, { expiresAt: undefined, welcome: undefined }],
    [{ expires_in: "soon", welcome: "yes" }, { expiresAt: undefined, welcome: undefined }],
  ]) {
    const session = new Session({ fetch: async (url) => new Response(JSON.stringify(url === "/auth/ticket" ? { ticket: "t", sub: "ann", socket } : { access_token: "a", refresh_token: "r", expires_in: 900 })) });
    await session.login("ann", "secret");
    assert.deepEqual(await session.admission("/ws"), { ticket: "t", subject: "ann", ...want });
  }
  await clock.settle();
});

test("handshakes that fail with valid tickets cause one warning", async (t) => {
  const { clock, states, warn } = await shaken(t);
  FakeSocket.last.end(1006);
  for (let i = 0; i < 30; i++) {
    await clock.go(31_000);
    if (i === 1) assert.equal(warn.mock.callCount(), 0, "two may be a restart");
    FakeSocket.last.end(1006);
  }
  assert.equal(warn.mock.callCount(), 1);
  assert.match(warn.mock.calls[0].arguments.join(" "), /\/ws.*stripPrefix/);
  assert.equal(states.at(-1).state, "waiting");
});

test("sockets that end and reconnect cause no warning", async (t) => {
  const { clock, warn } = await shaken(t);
  for (let i = 0; i < 30; i++) {
    FakeSocket.last.end(1006);
    await clock.go(31_000);
    FakeSocket.last.open();
  }
  assert.equal(warn.mock.callCount(), 0);
});
