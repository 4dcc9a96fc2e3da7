import assert from "node:assert/strict";
import { test } from "node:test";
import { connect, Refusal, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeSocket, fakeBrowser } from "./fake.js";

/**
 * A server that has one session, rotates its tokens, and counts its
 * requests.
 */
class FakeServer {
  seen = [];
  generation = 0;
  refused = null; // the answer to every refresh

  /** @param {boolean} cookies @param {{cookie: string}} [document] */
  constructor(cookies, document) {
    this.cookies = cookies;
    this.document = document;
  }

  fetch = async (url, init) => {
    const proof = init.headers.Authorization?.replace("Bearer ", "") ?? init.headers["X-CSRF-Token"] ?? "";
    this.seen.push({ url, method: init.method, proof, credentials: init.credentials, body: init.body });
    await new Promise((done) => setImmediate(done));
    switch (url) {
      case "/auth/login":
        return this.tokens();
      case "/auth/refresh":
        if (this.refused) return this.refused();
        return proof === `refresh-${this.generation}` ? this.tokens() : answer(401, { reason: "session_ended" });
      case "/auth/logout":
        return new Response(null, { status: 204 });
    }
    if (proof !== `access-${this.generation}`) return answer(401, { reason: "token_expired", detail: "Signature has expired" });
    return answer(200, { ticket: "t", sessions: [] });
  };

  tokens() {
    const n = ++this.generation;
    if (this.cookies) this.document.cookie = `csrf_access_token=access-${n}; csrf_refresh_token=refresh-${n}`;
    return answer(200, this.cookies
      ? { csrf_token: `access-${n}`, refresh_csrf_token: `refresh-${n}`, expires_in: 900 }
      : { access_token: `access-${n}`, refresh_token: `refresh-${n}`, token_type: "Bearer", expires_in: 900 });
  }

  count(url) {
    return this.seen.filter((s) => s.url === url).length;
  }
}

const answer = (status, body, headers = {}) => new Response(JSON.stringify(body), { status, headers });

async function loggedIn(t, cookies = false) {
  const clock = fakeClock(t);
  const { document } = fakeBrowser(t);
  const server = new FakeServer(cookies, document);
  const session = new Session({ cookies, fetch: server.fetch });
  t.after(() => session.dispose());
  assert.equal(session.over, true);
  await session.login("ann", "secret");
  assert.equal(session.over, false);
  return { clock, document, server, session };
}

test("tokens travel in the Authorization header, without cookies, and never in a URL", async (t) => {
  const { server, session } = await loggedIn(t);
  assert.equal(await session.ticket("/ws"), "t");
  assert.deepEqual(server.seen.at(-1), { url: "/auth/ticket", method: "POST", proof: "access-1", credentials: "omit", body: '{"path":"/ws"}' });
  assert.ok(server.seen.every((s) => !/access-|refresh-/.test(s.url)));
});

test("with cookies only the CSRF value is sent, and it is read from the current cookie", async (t) => {
  const { document, server, session } = await loggedIn(t, true);
  server.tokens(); // another window has refreshed
  assert.ok(document.cookie.includes("access-2"));
  await session.ticket("/ws");
  assert.deepEqual(server.seen.at(-1), { url: "/auth/ticket", method: "POST", proof: "access-2", credentials: "include", body: '{"path":"/ws"}' });
});

test("an expired token is refreshed before it is used", async (t) => {
  const { clock, server, session } = await loggedIn(t);
  clock.sleep(900_000);
  await session.ticket("/ws");
  assert.deepEqual(server.seen.map((s) => s.url), ["/auth/login", "/auth/refresh", "/auth/ticket"]);
});

test("a token that the server refuses is refreshed, once", async (t) => {
  const { server, session } = await loggedIn(t);
  server.generation++; // the access token is revoked, the refresh token too
  await assert.rejects(session.ticket("/ws"), { name: "Refusal", status: 401, reason: "session_ended" });
  assert.equal(server.count("/auth/refresh"), 1);
});

test("ten callers share one refresh", async (t) => {
  const { clock, server, session } = await loggedIn(t);
  clock.sleep(900_000);
  await Promise.all(Array.from({ length: 10 }, () => session.ticket("/ws")));
  assert.equal(server.count("/auth/refresh"), 1);
});

test("pain 14: a refused refresh ends the session, and is not repeated", async (t) => {
  for (const cookies of [false, true]) {
    await t.test(cookies ? "cookies" : "tokens", async (t) => {
      const { clock, server, session } = await loggedIn(t, cookies); // the browser may keep the cookies
      let ends = 0;
      session.addEventListener("logout", () => ends++);
      server.refused = () => answer(401, { reason: "session_ended" });
      clock.sleep(900_000);
      for (let i = 0; i < 5; i++) await assert.rejects(session.refresh(), { status: 401 });
      for (let i = 0; i < 5; i++) await assert.rejects(session.ticket("/ws"), { status: 401 });
      assert.equal(server.count("/auth/refresh"), 1);
      assert.equal(ends, 1);
      assert.equal(session.over, true);
    });
  }
});

test("a request is repeated if another window has just replaced its CSRF value", async (t) => {
  const { server, session } = await loggedIn(t, true);
  const fetch = session.fetch;
  let raced = false;
  session.fetch = (url, init) => {
    if (url !== "/auth/ticket" || raced) return fetch(url, init);
    raced = true;
    server.tokens();
    return answer(403, { reason: "csrf_mismatch" });
  };
  assert.equal(await session.ticket("/ws"), "t");
  assert.equal(server.count("/auth/refresh"), 0);
  session.fetch = () => answer(403, { reason: "csrf_mismatch" });
  await assert.rejects(session.ticket("/ws"), { status: 403 });
});

test("a temporary failure of a refresh does not end the session", async (t) => {
  for (const status of [429, 500, 503]) {
    await t.test(String(status), async (t) => {
      const { server, session } = await loggedIn(t);
      server.refused = () => answer(status, {}, { "Retry-After": "7" });
      await assert.rejects(session.refresh(), (error) => error instanceof Refusal && error.retryAfter === 7000);
      assert.equal(session.over, false);
      server.refused = null;
      await session.refresh();
    });
  }
});

test("a wrong password does not end the session", async (t) => {
  const { server, session } = await loggedIn(t);
  const fetch = session.fetch;
  session.fetch = (url, init) => (url === "/auth/fresh" ? answer(401, { reason: "bad_credentials" }) : fetch(url, init));
  await assert.rejects(session.fresh("wrong"), { reason: "bad_credentials" });
  assert.equal(session.over, false);
  assert.equal(server.count("/auth/refresh"), 0);
});

test("two windows that share cookies share one refresh", async (t) => {
  const { server, session, document } = await loggedIn(t, true);
  const queue = [];
  let held = false;
  const locks = {
    request: async (_name, work) => {
      if (held) await new Promise((done) => queue.push(done));
      held = true;
      try {
        return await work();
      } finally {
        held = queue.length > 0;
        queue.shift()?.();
      }
    },
  };
  const had = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { locks }, configurable: true });
  t.after(() => (had ? Object.defineProperty(globalThis, "navigator", had) : delete globalThis.navigator));
  const second = new Session({ cookies: true, fetch: server.fetch });
  t.after(() => second.dispose());
  assert.equal(second.over, false, "the second window finds the login");
  await Promise.all([session.refresh(), second.refresh()]);
  assert.equal(server.count("/auth/refresh"), 1);
  assert.ok(document.cookie.includes("refresh-2"));
});

test("two windows without locks stay logged in, although one refreshes too late", async (t) => {
  const { server, session } = await loggedIn(t, true);
  const second = new Session({ cookies: true, fetch: server.fetch });
  t.after(() => second.dispose());
  await Promise.all([session.refresh(), second.refresh()]);
  assert.equal(server.count("/auth/refresh"), 2);
  assert.equal(session.over || second.over, false);
});

test("a window notices the logout of another one", async (t) => {
  const { session, server, document } = await loggedIn(t, true);
  const second = new Session({ cookies: true, fetch: server.fetch });
  t.after(() => second.dispose());
  const heard = new Promise((done) => second.addEventListener("logout", done, { once: true }));
  document.cookie = "";
  await session.logout();
  await heard;
  assert.equal(second.over, true);
  await assert.rejects(second.refresh(), { status: 401 });
  assert.equal(server.count("/auth/refresh"), 0);
});

test("a logout uses a valid token", async (t) => {
  const { clock, server, session } = await loggedIn(t);
  clock.sleep(900_000);
  await session.logout();
  assert.equal(server.seen.at(-1).proof, "refresh-1");
  assert.equal(session.over, true);
});

const notStored = () => answer(503, { reason: "store_unavailable", ended: true, durable: false }, { "Retry-After": "1" });

test("a session that ended on the server is over, even if the server could not store this", async (t) => {
  for (const cookies of [false, true]) {
    for (const [name, path, work] of [
      ["logout", "/auth/logout", (session) => session.logout()],
      ["logoutEverywhere", "/auth/logout-everywhere", (session) => session.logoutEverywhere()],
    ]) {
      await t.test(`${cookies ? "cookies" : "tokens"}: ${name}`, async (t) => {
        const { document, server, session } = await loggedIn(t, cookies);
        const fetch = session.fetch;
        let ends = 0;
        session.addEventListener("logout", () => ends++);
        session.fetch = (url, init) => {
          if (url !== path) return fetch(url, init);
          document.cookie = ""; // the server deletes them
          return notStored();
        };
        assert.deepEqual(await work(session), { durable: false });
        assert.equal(session.over, true);
        assert.equal(ends, 1);
        const n = server.seen.length;
        await assert.rejects(session.ticket("/ws"), { status: 401 });
        assert.equal(server.seen.length, n, "a token is still used");
      });
    }
  }
});

test("the end of another session that the server could not store ends nothing here", async (t) => {
  const { server, session } = await loggedIn(t);
  session.fetch = (url, init) => (url === "/auth/sessions/other" ? notStored() : server.fetch(url, init));
  assert.deepEqual(await session.end("other"), { durable: false });
  assert.equal(session.over, false);
});

const failures = {
  "no network": () => Promise.reject(new TypeError("fetch failed")),
  "a cut answer": () => new Response("{", { status: 200 }),
  "500": () => answer(500, {}),
  "503 that ended nothing": () => answer(503, { reason: "store_unavailable" }),
  "503 that claims only to be durable": () => answer(503, { durable: false }),
  "403 of a proxy": () => new Response("<h1>Forbidden</h1>", { status: 403 }),
  "429": () => answer(429, { reason: "rate_limited" }, { "Retry-After": "1" }),
};

test("a logout that fails throws: the tokens are not used any more, and another call tries again", async (t) => {
  for (const [name, fail] of Object.entries(failures)) {
    await t.test(name, async (t) => {
      const { clock, server, session } = await loggedIn(t);
      let ends = 0;
      session.addEventListener("logout", () => ends++);
      session.fetch = fail;
      await assert.rejects(session.logout());
      assert.equal(session.over, true);
      await assert.rejects(session.logout());
      session.fetch = server.fetch;
      const n = server.seen.length;
      await assert.rejects(session.ticket("/ws"), { status: 401 });
      await assert.rejects(session.refresh(), { status: 401 });
      assert.equal(server.seen.length, n, "a token is still used");
      clock.sleep(3600_000);
      assert.deepEqual(await session.logout(), { durable: true });
      assert.equal(server.seen.at(-1).proof, "refresh-1");
      assert.equal(ends, 1);
      await session.logout();
      assert.equal(server.seen.at(-1).proof, "", "a token is kept after the session has ended");
    });
  }
});

test("a new login forgets the session that could not be ended", async (t) => {
  const { server, session } = await loggedIn(t);
  session.fetch = failures["no network"];
  await assert.rejects(session.logout());
  session.fetch = server.fetch;
  await session.login("ann", "secret");
  await session.logout();
  assert.equal(server.seen.at(-1).proof, "access-2");
  await session.logout();
  assert.equal(server.seen.at(-1).proof, "");
});

test("with cookies a logout that fails does not change the session", async (t) => {
  for (const [name, fail] of Object.entries(failures)) {
    await t.test(name, async (t) => {
      const { server, session } = await loggedIn(t, true);
      session.fetch = fail;
      await assert.rejects(session.logout());
      assert.equal(session.over, false);
      session.fetch = server.fetch;
      assert.equal(await session.ticket("/ws"), "t");
      assert.deepEqual(await session.logout(), { durable: true });
      assert.equal(session.over, true);
    });
  }
});

test("a logout is repeated if another window has just replaced its CSRF value", async (t) => {
  const { server, session } = await loggedIn(t, true);
  session.fetch = (url, init) => {
    session.fetch = server.fetch;
    server.tokens();
    return answer(403, { reason: "csrf_mismatch" });
  };
  assert.deepEqual(await session.logout(), { durable: true });
  assert.equal(server.seen.at(-1).proof, "access-2");
});

test("a logout without a session does nothing", async (t) => {
  const { session, server } = await loggedIn(t);
  server.refused = () => answer(401, { reason: "session_ended" });
  session.fetch = (url, init) => (url === "/auth/logout" ? answer(401, { reason: "session_ended" }) : server.fetch(url, init));
  assert.deepEqual(await session.logout(), { durable: true });
  assert.equal(session.over, true);
});

test("both kinds of login get a ticket, even if the token has expired", async (t) => {
  for (const cookies of [false, true]) {
    await t.test(cookies ? "cookies" : "tokens", async (t) => {
      const { clock, session } = await loggedIn(t, cookies);
      clock.sleep(900_000);
      assert.equal(await session.ticket("/ws"), "t");
    });
  }
});

test("a socket that reconnects after a new login does not refresh the fresh token", async (t) => {
  for (const cookies of [false, true]) {
    await t.test(cookies ? "cookies" : "tokens", async (t) => {
      const { clock, server, session } = await loggedIn(t, cookies);
      const socket = connect("/ws", session);
      t.after(() => socket.close());
      await clock.settle();
      FakeSocket.last.welcome(900);
      server.refused = () => answer(401, { reason: "session_ended" });
      FakeSocket.last.end(3000, "session_ended");
      await clock.go(1000);
      assert.equal(socket.state, "loggedout");

      server.refused = null;
      server.seen.length = 0;
      clock.sleep(3_600_000); // long after the expiry of the old socket
      await session.login("ann", "secret");
      socket.reconnect();
      await clock.settle();
      assert.deepEqual(server.seen.map((s) => s.url), ["/auth/login", "/auth/ticket"]);
      FakeSocket.last.welcome(900);
      assert.equal(socket.state, "open");
    });
  }
});
