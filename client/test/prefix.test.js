// Tests a site below a prefix that a proxy strips.
import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeLogin, FakeSocket, fakeBrowser } from "./fake.js";

test("the ticket is for the path without the prefix, the socket for the whole path", async (t) => {
  const clock = fakeClock(t);
  fakeBrowser(t);
  for (const [stripPrefix, url, path] of [
    [undefined, "/app/ws", "/app/ws"],
    ["/app", "/app/ws", "/ws"],
    ["/app/", "/app/ws", "/ws"],
    ["/app", "/app/ws?room=1", "/ws"],
    ["/app", "/app/", "/"],
    ["/app", "/app", "/"],
    ["/app", "/app/app/ws", "/app/ws"],
    ["/", "/app/ws", "/app/ws"],
    ["/a/b", "/a/b/ws", "/ws"],
    ["/zoë", "/zo%C3%AB/ws", "/ws"],
    ["/zo%c3%ab", "/zoë/ws", "/ws"],
    ["/a b", "/a%20b/日本", "/%E6%97%A5%E6%9C%AC"],
    ["/app", "wss://other.example/app/ws", "/ws"],
  ]) {
    const asked = [];
    const login = { ticket: (path) => asked.push(path) && "t", refresh: () => {} };
    const socket = connect(url, login, { stripPrefix });
    await clock.settle();
    assert.deepEqual(asked, [path], `${url} below ${stripPrefix}`);
    assert.equal(FakeSocket.last.url.pathname, new URL(url, "https://app.example").pathname);
    socket.close();
  }
});

test("a path without the prefix is an error at once", (t) => {
  fakeBrowser(t);
  for (const [stripPrefix, url] of [["/app", "/ws"], ["/app", "/apple/ws"], ["/app", "/App/ws"], ["/app/x", "/app/ws"], ["/a%2Fb", "/a/b/ws"]]) {
    assert.throws(() => connect(url, new FakeLogin(), { stripPrefix }), { name: "TypeError", message: /does not begin with the stripPrefix/ });
  }
  for (const stripPrefix of ["app", "//evil.example", "/\\evil.example", "https://app.example/app"]) {
    assert.throws(() => connect("/app/ws", new FakeLogin(), { stripPrefix }), { name: "TypeError", message: /must be a path that begins with one slash/ });
  }
});

test("the default login is below the prefix too", async (t) => {
  const clock = fakeClock(t);
  const { document } = fakeBrowser(t);
  document.cookie = "csrf_access_token=a; csrf_refresh_token=r";
  const asked = [];
  const { fetch } = globalThis;
  globalThis.fetch = async (url, init) => {
    asked.push(url, init.body);
    return new Response('{"ticket":"t","sub":"ann"}');
  };
  t.after(() => { globalThis.fetch = fetch; });
  const socket = connect("/app/ws", null, { stripPrefix: "/app" });
  await clock.settle();
  socket.close();
  assert.deepEqual(asked, ["/app/auth/ticket", '{"path":"/ws"}']);
});
