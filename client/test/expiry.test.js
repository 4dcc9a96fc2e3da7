// Tests that a socket is renewed before its time is up, if that time is known.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser } from "./fake.js";

/** Returns an open socket of a login. */
async function opened(t, login) {
  const clock = fakeClock(t);
  fakeBrowser(t);
  if (typeof login === "function") login = login();
  const socket = connect("/ws", login);
  t.after(() => socket.close());
  await clock.settle();
  FakeSocket.last.open();
  await clock.go(1_000);
  assert.equal(socket.state, "open");
  return { clock, login, socket };
}

/** Returns the page's own login, which reports the expiry in the given way. */
function own(way) {
  const login = new FakeLogin();
  const { ticket, refresh } = login;
  const life = 900_000;
  if (way === "login.expiresAt") {
    login.expiresAt = Date.now() + life;
    login.refresh = async () => { await refresh.call(login); login.expiresAt = Date.now() + life; };
  }
  if (way === "a Date") {
    login.expiresAt = new Date(Date.now() + life);
    login.refresh = async () => { await refresh.call(login); login.expiresAt = new Date(Date.now() + life); };
  }
  if (way.startsWith("the ticket")) login.ticket = async (path) => ({ ticket: await ticket.call(login, path), expiresAt: Date.now() + life });
  const answers = { expires_in: { expires_in: 900 }, "expires_in as text": { access_token: "a", expires_in: "900" }, expiresAt: { expiresAt: Date.now() + life } };
  for (const [name, answer] of Object.entries(answers)) {
    if (way.includes(name) && way.startsWith("the answer")) {
      login.refresh = async () => { await refresh.call(login); return name === "expiresAt" ? { expiresAt: Date.now() + life } : answer; };
    }
  }
  return login;
}

for (const way of ["login.expiresAt", "a Date"]) {
  test(`a login of the page's own: ${way}`, async (t) => {
    const { clock, login, socket } = await opened(t, () => own(way));
    await clock.go(440_000);
    assert.equal(login.refreshes, 0, "before half of its life");
    await clock.go(8_640_000);
    assert.ok(login.refreshes >= 12 && login.refreshes <= 21, `${login.refreshes} refreshes in ten lives`);
    assert.equal(socket.state, "open");
    assert.equal(FakeSocket.all.length, 1);
  });
}

test("a login of the page's own: the ticket has the expiry of the first token", async (t) => {
  const { clock, login } = await opened(t, () => own("the ticket"));
  await clock.go(730_000);
  assert.equal(login.refreshes, 1);
});

for (const way of ["the answer to a refresh: expires_in", "the answer to a refresh: expires_in as text", "the answer to a refresh: expiresAt"]) {
  test(`a login of the page's own: ${way}`, async (t) => {
    const { clock, login, socket } = await opened(t, () => own(way));
    await clock.go(8_640_000);
    assert.equal(login.refreshes, 0, "the expiry is not known yet");
    FakeSocket.last.end(3000, "token_expired");
    await clock.go(1_000);
    FakeSocket.last.open();
    assert.equal(login.refreshes, 1);
    await clock.go(9_000_000);
    assert.ok(login.refreshes >= 12 && login.refreshes <= 22, `${login.refreshes} refreshes in ten lives`);
    assert.equal(socket.state, "open");
    assert.equal(FakeSocket.all.length, 2);
  });
}

test("no implausible time causes a storm of refreshes", async (t) => {
  for (const expiresAt of [NaN, 0, -1, 1_800_000_000, "soon", null, 1]) {
    await t.test(String(expiresAt), async (t) => {
      const { clock, login } = await opened(t, () => Object.assign(new FakeLogin(), { expiresAt, refresh: async function () { this.refreshes++; return { expires_in: expiresAt, expiresAt }; } }));
      await clock.go(600_000);
      assert.ok(login.refreshes <= 21, `${login.refreshes} refreshes in ten minutes`);
    });
  }
});

test("a page with a cookie login gets the time from its ticket", async (t) => {
  let refreshes = 0;
  const fetch = async (url) => {
    if (url === "/auth/ticket") return new Response(JSON.stringify({ ticket: "t", sub: "ann", socket: { expires_in: 100, welcome: false } }));
    refreshes++;
    return new Response(JSON.stringify({ csrf_token: "a2", refresh_csrf_token: "r2", expires_in: 900 }));
  };
  const { clock, socket } = await opened(t, () => {
    document.cookie = "csrf_access_token=a; csrf_refresh_token=r";
    const session = new Session({ cookies: true, fetch });
    t.after(() => session.dispose());
    assert.equal(session.expiresAt, Infinity);
    return session;
  });
  assert.ok(socket.expiresAt <= Date.now() + 100_000);
  await clock.go(80_000);
  assert.equal(refreshes, 1);
  assert.ok(socket.expiresAt > Date.now() + 800_000, "the new token expires later than the old one");
  await clock.go(9_000_000);
  assert.ok(refreshes >= 12 && refreshes <= 21, `${refreshes} refreshes in ten lives`);
});
