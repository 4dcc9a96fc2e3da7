// Tests that a page belongs to one user, even if another one logs in in another
// window.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser, record, refusal } from "./fake.js";

/** A server with cookie logins. Each request belongs to the last login. */
class CookieServer {
  user = "";

  constructor(document) {
    this.document = document;
  }

  fetch = async (url, init) => {
    await new Promise((done) => setImmediate(done));
    if (url === "/auth/login") this.user = JSON.parse(init.body).username;
    if (url === "/auth/ticket") return new Response(JSON.stringify({ ticket: `of-${this.user}`, expires_in: 30, sub: this.user }));
    this.document.cookie = `csrf_access_token=a-${this.user}; csrf_refresh_token=r-${this.user}`;
    return new Response(JSON.stringify({ csrf_token: `a-${this.user}`, refresh_csrf_token: `r-${this.user}`, expires_in: 900 }));
  };
}

/** Ada's page with an open socket, and another window. */
async function pages(t, welcome) {
  const clock = fakeClock(t);
  const { document, window } = fakeBrowser(t);
  const server = new CookieServer(document);
  const page = () => {
    const session = new Session({ cookies: true, fetch: server.fetch });
    t.after(() => session.dispose());
    return session;
  };
  const [session, otherPage] = [page(), page()];
  await session.login("ada", "secret");
  const socket = connect("/ws", session, { welcome });
  t.after(() => socket.close());
  const states = record(socket);
  const accept = (user) => {
    if (welcome) return FakeSocket.last.welcome(900, user);
    FakeSocket.last.open();
    if (welcome === undefined) FakeSocket.last.tell({ type: "chat" });
  };
  await clock.settle();
  accept("ada");
  assert.equal(socket.state, "open");
  return { clock, window, server, session, otherPage, socket, states, accept };
}

const last = (states) => [states.at(-1).state, states.at(-1).code, states.at(-1).reason];
const otherUser = ["stopped", 3003, "other_user"];

for (const [backend, welcome] of [["with a welcome", true], ["without a welcome", false], ["with any backend", undefined]]) {
  test(`${backend}: no close code leads to another user's socket`, async (t) => {
    for (const code of [1001, 1006, 1011, 1012, 1013, 1014, 3000, 3008, 4000]) {
      const { clock, otherPage, states } = await pages(t, welcome);
      await otherPage.login("bob", "secret");
      await clock.settle();
      FakeSocket.last.end(code, "");
      await clock.go(60_000);
      assert.deepEqual(last(states), otherUser, String(code));
      assert.equal(FakeSocket.all.length, 1, `${code}: no socket is opened with bob's ticket`);
      await clock.go(3_600_000);
      assert.equal(FakeSocket.all.length, 1);
    }
  });

  test(`${backend}: a new login of the same user continues`, async (t) => {
    const { clock, otherPage, socket, accept } = await pages(t, welcome);
    await otherPage.login("ada", "secret");
    FakeSocket.last.end(1006, "");
    await clock.go(1000);
    accept("ada");
    assert.equal(socket.state, "open");
  });

  test(`${backend}: renewals and expiry do not lead to another user's socket`, async (t) => {
    const { clock, window, otherPage, socket, states } = await pages(t, welcome);
    await otherPage.login("bob", "secret");
    window.dispatchEvent(new Event("online"));
    await clock.go(800_000);
    if (socket.state === "open") FakeSocket.last.end(3000, "token_expired");
    await clock.go(60_000);
    assert.deepEqual(last(states), otherUser);
    assert.equal(FakeSocket.all.length, 1);
  });

  test(`${backend}: reconnect while waiting does not allow another user`, async (t) => {
    const { clock, otherPage, socket, states, accept } = await pages(t, welcome);
    FakeSocket.last.end(1006, "");
    assert.equal(socket.state, "waiting");
    await otherPage.login("bob", "secret");
    socket.reconnect();
    await clock.settle();
    assert.deepEqual(last(states), otherUser);
    socket.reconnect(); // the page has seen the state
    await clock.settle();
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(FakeSocket.last.url.searchParams.get("ticket"), "of-bob");
    accept("bob");
    assert.equal(socket.state, "open");
  });

  test(`${backend}: nor does reconnect after a stop that needs no login`, async (t) => {
    const { clock, otherPage, socket, states } = await pages(t, welcome);
    FakeSocket.last.end(3003, "connection_limit");
    assert.equal(socket.state, "stopped");
    await otherPage.login("bob", "secret");
    socket.reconnect();
    await clock.settle();
    assert.deepEqual(last(states), otherUser);
    assert.equal(FakeSocket.all.length, 1);
  });

  test(`${backend}: a page whose socket never opened does not get another user's`, async (t) => {
    const { clock, otherPage, socket, server } = await pages(t, welcome);
    socket.close();
    await server.fetch("/auth/login", { body: '{"username":"ada"}' });
    const next = connect("/ws", otherPage, { welcome });
    t.after(() => next.close());
    const states = record(next);
    await clock.settle();
    FakeSocket.last.end(1006, ""); // before it was open
    await otherPage.login("bob", "secret");
    await clock.go(1000);
    assert.deepEqual(last(states), otherUser);
    assert.equal(FakeSocket.all.length, 2);
  });

  test(`${backend}: after an end that needs a login, another user is allowed`, async (t) => {
    const { clock, session, socket, states, accept } = await pages(t, welcome);
    const fetch = session.fetch;
    session.fetch = async () => new Response(JSON.stringify({ reason: "session_ended" }), { status: 401 });
    FakeSocket.last.end(3000, "session_ended");
    await clock.go(1000);
    assert.equal(last(states)[0], "loggedout");
    session.fetch = fetch;
    await session.login("bob", "secret");
    socket.reconnect();
    await clock.settle();
    assert.equal(FakeSocket.all.length, 2);
    assert.equal(FakeSocket.last.url.searchParams.get("ticket"), "of-bob");
    accept("bob");
    assert.equal(socket.state, "open");
  });
}

test("a login of the page's own reports the user with its ticket", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  let user = "ada";
  const socket = connect("/ws", { ticket: () => ({ ticket: `of-${user}`, subject: user }), refresh: async () => {} }, { welcome: false });
  t.after(() => socket.close());
  const states = record(socket);
  await clock.settle();
  assert.equal(FakeSocket.last.url.searchParams.get("ticket"), "of-ada");
  FakeSocket.last.open();
  user = "bob";
  FakeSocket.last.end(1006, "");
  await clock.go(1000);
  assert.deepEqual(last(states), otherUser);
  assert.equal(FakeSocket.all.length, 1);
});

test("without a user in the ticket, the welcome of another user stops the socket", async (t) => {
  for (const way of ["ticket", "query"]) {
    const clock = fakeClock(t);
    fakeBrowser(t);
    const login = new FakeLogin();
    if (way === "query") login.query = () => ({ csrf_token: "x" });
    const socket = connect("/ws", login);
    t.after(() => socket.close());
    const states = record(socket);
    await clock.settle();
    FakeSocket.last.welcome(900, "ada");
    FakeSocket.last.end(1006, "");
    await clock.go(1000);
    FakeSocket.last.welcome(900, "bob");
    assert.deepEqual(last(states), otherUser, way);
    assert.equal(FakeSocket.last.closedBy, 1005);
  }
});

test("a refused ticket does not identify the user", async (t) => {
  const { clock, session, socket } = await pages(t, false);
  const fetch = session.fetch;
  let refused = 0;
  session.fetch = (url, init) => {
    if (url !== "/auth/ticket" || refused++ > 0) return fetch(url, init);
    throw refusal(503);
  };
  FakeSocket.last.end(1006, "");
  await clock.go(10_000);
  FakeSocket.last.open();
  assert.equal(socket.state, "open");
});
