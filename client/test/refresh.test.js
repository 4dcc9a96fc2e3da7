// Tests refreshes whose answers are lost.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { fakeBrowser } from "./fake.js";

/**
 * A server that rotates tokens as wsauth serve does: a refresh can be repeated
 * only with its idempotency key, until the new token is used.
 */
class RotatingServer {
  refreshes = []; // the keys of all attempts
  generation = 1;
  key = null; // of the rotation that issued the token
  ended = false;
  fate = () => "whole"; // of the next answer to a refresh: whole, or the number of bytes that arrive, or a status

  constructor(cookies, document) {
    this.cookies = cookies;
    this.document = document;
  }

  fetch = async (url, init) => {
    const proof = init.headers.Authorization?.replace("Bearer ", "") ?? init.headers["X-CSRF-Token"] ?? "";
    await new Promise((done) => setImmediate(done));
    if (url === "/auth/login") return this.answer();
    if (url !== "/auth/refresh") return new Response(JSON.stringify({ ticket: "t" }));
    const key = init.headers["Idempotency-Key"];
    this.refreshes.push(key);
    const fate = this.fate();
    if (typeof fate === "object") return new Response(fate.body ?? "<html>", fate); // by default a proxy's, without the server
    if (fate === -1) throw new TypeError("network"); // before the request arrived
    if (proof === `refresh-${this.generation}`) [this.generation, this.key] = [this.generation + 1, key];
    else if (proof !== `refresh-${this.generation - 1}` || !key || key !== this.key) this.ended = true;
    if (this.ended) return new Response(JSON.stringify({ reason: "session_ended" }), { status: 401 });
    if (fate === 0) throw new TypeError("network"); // after it
    return this.answer(fate);
  };

  answer(fate = "whole") {
    const n = this.generation;
    if (this.cookies) this.document.cookie = `csrf_access_token=access-${n}; csrf_refresh_token=refresh-${n}`;
    const body = new TextEncoder().encode(JSON.stringify(this.cookies
      ? { csrf_token: `access-${n}`, refresh_csrf_token: `refresh-${n}`, expires_in: 900 }
      : { access_token: `access-${n}`, refresh_token: `refresh-${n}`, token_type: "Bearer", expires_in: 900 }));
    this.length = body.length;
    if (fate === "whole") return new Response(body);
    const broken = fate % 2 === 0; // otherwise the stream ends normally
    return new Response(new ReadableStream({
      start(stream) {
        stream.enqueue(body.slice(0, fate - 1));
        broken && fate - 1 < body.length ? stream.error(new TypeError("network")) : stream.close();
      },
    }));
  }
}

/** The server's refusal for a session that has ended. */
const ended = { status: 401, body: JSON.stringify({ reason: "session_ended" }) };

/** The browser, with state that outlives a page. */
function browser(t, locks) {
  const clock = fakeClock(t);
  const { document } = fakeBrowser(t);
  const stored = new Map();
  const localStorage = { getItem: (name) => stored.get(name) ?? null, setItem: (name, value) => void stored.set(name, value), removeItem: (name) => void stored.delete(name) };
  const navigator = locks ? globalThis.navigator : {};
  for (const [name, value] of Object.entries({ localStorage, navigator })) {
    const previous = Object.getOwnPropertyDescriptor(globalThis, name);
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    t.after(() => (previous ? Object.defineProperty(globalThis, name, previous) : delete globalThis[name]));
  }
  return { clock, document, stored };
}

function page(t, server) {
  const session = new Session({ cookies: server.cookies, fetch: server.fetch });
  t.after(() => session.dispose());
  return session;
}

async function logIn(t, cookies, locks = false) {
  const all = browser(t, locks);
  const server = new RotatingServer(cookies, all.document);
  const session = page(t, server);
  await session.login("ann", "secret");
  return { ...all, server, session };
}

/** Advances the time until the refresh is done. */
async function awaitRefresh(clock, session) {
  let over = false;
  const refresh = session.refresh().finally(() => { over = true; });
  refresh.catch(() => {});
  for (let i = 0; i < 100 && !over; i++) await clock.go(250);
  assert.ok(over, "the refresh ends in 25 s");
  return refresh;
}

for (const cookies of [false, true]) {
  const mode = cookies ? "cookies" : "tokens";

  test(`${mode}: an answer that is cut off at any byte is requested again, at once, with the same key`, async (t) => {
    const { clock, stored, server, session } = await logIn(t, cookies);
    const used = new Set();
    for (let cut = -1; cut <= server.length + 1; cut++) {
      const fates = [cut, cut];
      server.fate = () => fates.shift() ?? "whole";
      server.refreshes = [];
      const started = Date.now();
      await awaitRefresh(clock, session);
      assert.ok(Date.now() - started < 2000, `after ${cut} bytes it takes ${Date.now() - started} ms`);
      const [key, ...others] = server.refreshes;
      assert.equal(others.length, cut <= server.length ? 2 : 0, `tries after ${cut} bytes`);
      assert.match(key, /^[0-9a-f]{32}$/);
      assert.ok(!used.has(key) && others.every((other) => other === key), `keys after ${cut} bytes: ${server.refreshes}`);
      used.add(key);
      assert.equal(stored.size, 0);
    }
    assert.equal(session.over || server.ended, false);
  });

  test(`${mode}: a network failure ends no session, after any number of attempts`, async (t) => {
    for (const cut of [-1, 0, 5]) {
      const { clock, server, session } = await logIn(t, cookies);
      server.fate = () => cut;
      for (let hour = 0; hour < 5; hour++) {
        await assert.rejects(awaitRefresh(clock, session), TypeError);
        assert.equal(session.over, false);
        await clock.go(3_600_000);
      }
      assert.ok(server.refreshes.length > 5 && server.refreshes.length <= 5 * 5, `${server.refreshes.length} tries`);
      assert.equal(new Set(server.refreshes).size, 1);
      server.fate = () => "whole";
      await session.refresh();
      assert.equal(session.over || server.ended, false);
    }
  });

  test(`${mode}: a refresh is repeated within 20 s, and not later`, async (t) => {
    const { clock, server, session } = await logIn(t, cookies);
    const fetch = session.fetch;
    const started = Date.now();
    const sent = [];
    session.fetch = async (...request) => {
      sent.push(Date.now() - started);
      await new Promise((done) => setTimeout(done, 6000));
      return fetch(...request);
    };
    server.fate = () => -1;
    t.mock.method(Math, "random", () => 0.999);
    let failed;
    session.refresh().catch((error) => { failed = error; });
    await clock.go(60_000);
    assert.ok(failed instanceof TypeError);
    assert.equal(sent.length, 4);
    assert.ok(sent.at(-1) > 18_000 && sent.at(-1) <= 20_000, `sent after ${sent} ms`);
  });

  test(`${mode}: only a 401 of the server ends the session`, async (t) => {
    for (const status of [400, 401, 403, 404, 405, 408, 413, 421, 425, 429, 500, 501, 502, 503, 504, 599]) {
      const { clock, server, session } = await logIn(t, cookies);
      server.fate = () => ({ status });
      await assert.rejects(awaitRefresh(clock, session), { status });
      assert.equal(session.over, false, String(status));
      assert.equal(server.refreshes.length, status >= 500 ? 5 : 1, `tries at ${status}`);
      server.fate = () => "whole";
      await session.refresh();
    }
    const { clock, server, session } = await logIn(t, cookies);
    server.fate = () => ended;
    await assert.rejects(awaitRefresh(clock, session), { status: 401 });
    assert.equal(session.over, true);
    assert.equal(server.refreshes.length, 1);
  });

  test(`${mode}: a refresh is not repeated before the time that the server requests`, async (t) => {
    const { clock, server, session } = await logIn(t, cookies);
    server.fate = () => ({ status: 503, headers: { "Retry-After": "30" } });
    await assert.rejects(awaitRefresh(clock, session), { retryAfter: 30_000 });
    assert.equal(server.refreshes.length, 1);
    server.fate = () => ({ status: 503, headers: { "Retry-After": "1" } });
    const started = Date.now();
    await assert.rejects(awaitRefresh(clock, session), { status: 503 });
    assert.ok(Date.now() - started >= 4000, "four waits of a second");
  });

  test(`${mode}: an answer that is not from wsauth is a failure`, async (t) => {
    const { clock, server, session } = await logIn(t, cookies);
    const fetch = session.fetch;
    for (const body of ["", "{}", "null", "<html>", '{"expires_in":900}', '{"access_token":"a","csrf_token":"a","expires_in":900}', '{"access_token":"a","refresh_token":"","csrf_token":"a","refresh_csrf_token":"","expires_in":900}']) {
      session.fetch = async () => new Response(body);
      await assert.rejects(awaitRefresh(clock, session), TypeError, body);
      assert.equal(session.over, false);
    }
    session.fetch = fetch;
    await awaitRefresh(clock, session);
    assert.equal(server.ended, false);
  });

  test(`${mode}: a late answer does not undo a logout`, async (t) => {
    const { clock, server, session } = await logIn(t, cookies);
    const fetch = session.fetch;
    let arrive;
    session.fetch = async (url, init) => {
      const answer = await fetch(url, init);
      if (url === "/auth/refresh") await new Promise((done) => { arrive = done; });
      return answer;
    };
    const refresh = session.refresh();
    await clock.settle();
    session.fetch = fetch;
    await session.logout();
    arrive();
    await refresh;
    assert.equal(session.over, true);
    assert.equal(server.ended, false);
  });
}

test("a reloaded page repeats the refresh of the previous page", async (t) => {
  for (let cut = -1; cut <= 3; cut++) {
    const { clock, stored, server, session } = await logIn(t, true);
    server.fate = () => cut;
    await assert.rejects(awaitRefresh(clock, session), TypeError);
    const [key] = server.refreshes;
    session.dispose(); // as when the page is closed
    server.fate = () => "whole";
    server.refreshes = [];
    await clock.go(20 * 3_600_000);
    const next = page(t, server);
    assert.equal(next.over, false);
    await next.refresh();
    assert.deepEqual(server.refreshes, [key], `after ${cut} bytes`);
    assert.equal(next.over || server.ended, false);
    assert.equal(stored.size, 0);
    await next.refresh();
    assert.notEqual(server.refreshes.at(-1), key);
  }
});

test("a page that is left during the answer leaves its key to the next page", async (t) => {
  const { clock, document, server, session } = await logIn(t, true);
  const before = document.cookie;
  const fetch = session.fetch;
  session.fetch = async (url, init) => {
    await fetch(url, init);
    document.cookie = before; // no cookie has arrived
    return new Promise(() => {});
  };
  session.refresh();
  await clock.settle();
  session.dispose();
  const next = page(t, server);
  await awaitRefresh(clock, next);
  assert.equal(server.refreshes.length, 2);
  assert.equal(server.refreshes[0], server.refreshes[1]);
  assert.equal(next.over || server.ended, false);
});

for (const locks of [false, true]) {
  test(`two windows ${locks ? "with" : "without"} locks repeat one refresh`, async (t) => {
    const { clock, stored, server, session } = await logIn(t, true, locks);
    const second = page(t, server);
    let answers = 0;
    server.fate = () => (answers++ < 3 ? 0 : "whole");
    await Promise.all([awaitRefresh(clock, session), awaitRefresh(clock, second)]);
    assert.equal(new Set(server.refreshes).size, 1, server.refreshes.join(" "));
    assert.equal(session.over || second.over || server.ended, false);
    assert.equal(stored.size, 0);
    await awaitRefresh(clock, second);
    assert.equal(new Set(server.refreshes).size, 2);
    assert.equal(server.ended, false);
  });
}

test("a stored key is not used for another login", async (t) => {
  const { clock, stored, server, session } = await logIn(t, true);
  server.fate = () => -1;
  await assert.rejects(awaitRefresh(clock, session), TypeError);
  assert.equal(stored.size, 1);
  assert.equal(new Set(server.refreshes).size, 1);
  await session.login("bob", "secret");
  assert.equal(stored.size, 0);
  await assert.rejects(awaitRefresh(clock, session), TypeError);
  assert.equal(new Set(server.refreshes).size, 2, "another key");
  server.fate = () => ended;
  await assert.rejects(awaitRefresh(clock, session), { status: 401 });
  assert.equal(stored.size, 0);
});

test("a refresh works if storage is blocked or has another value", async (t) => {
  for (const broken of ["throws", "full", "garbage"]) {
    const { clock, stored, server, session } = await logIn(t, true);
    if (broken === "throws") Object.defineProperty(globalThis, "localStorage", { get: () => { throw new DOMException("", "SecurityError"); }, configurable: true });
    if (broken === "full") globalThis.localStorage.setItem = () => { throw new DOMException("", "QuotaExceededError"); };
    if (broken === "garbage") stored.set("wsauth /auth refresh", 'x"; y');
    const fates = [0, 0];
    server.fate = () => fates.shift() ?? "whole";
    await awaitRefresh(clock, session);
    assert.equal(new Set(server.refreshes).size, 1);
    assert.match(server.refreshes[0], /^[0-9a-f]{32}$/);
    assert.equal(session.over || server.ended, false);
    Object.defineProperty(globalThis, "localStorage", { value: undefined, configurable: true, writable: true });
  }
});
