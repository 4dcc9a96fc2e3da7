// Tests the table of states in README.md: each cause, in each state, with
// each kind of login.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { FakeSocket, refusal } from "./fake.js";
import { kinds, world } from "./world.js";

const [none, back] = [[], ["waiting", "connecting", "open"]];
const columns = ["ticket", "handshake", "open", "waiting", "stopped", "loggedout", "closed"];

/**
 * The rows of the table: the states that follow in each column, and the code
 * and the reason of the last one. `at` causes the change. A null in a column
 * means that the event cannot occur there.
 */
const rows = [
  {
    cause: "`close()` is called, or its `signal` aborts",
    becomes: [["closed"], ["closed"], ["closed"], ["closed"], ["closed"], ["closed"], ["closed"]],
    ends: [1000, "done"],
    at: { close: ({ socket }) => socket.close(), signal: ({ abort }) => abort.abort() },
  },
  {
    cause: "the server closes with 1000",
    becomes: [null, ["closed"], ["closed"], null, null, null, null],
    ends: [1000, ""],
    at: { close: fails(1000, "") },
  },
  {
    cause: "`logout()` is called here or in another window",
    becomes: [["loggedout"], ["loggedout"], ["loggedout"], ["loggedout"], none, none, none],
    ends: [3000, "session_ended"],
    at: {
      here: logsOut(({ session }) => session?.logout()),
      elsewhere: logsOut(({ session, page }) => (session?.cookies ? page() : session)?.logout()),
      "here, and the answer comes after the end of the socket": async (w) => {
        endsSession(w);
        await w.session?.logout();
      },
      "here, and another user logs in before the socket ends": async (w) => {
        if (!w.session) return endsSession(w);
        await w.session.logout();
        await w.session.login("bob", "secret");
        w.server.user = "bob";
        if (w.isOpen) w.end(3000, "session_ended");
      },
      "here, and the connection breaks": async (w) => {
        if (!w.session) return endsSession(w);
        await w.session.logout();
        if (w.isOpen) w.end(1006);
      },
      "right after a refresh": logsOut(async ({ session, socket, end, clock, server }) => {
        if (socket.state !== "open") return session?.logout();
        server.refuses = "token_expired";
        end(3000, "token_expired");
        await clock.go(3_000);
        return session?.logout();
      }, true),
    },
  },
  {
    cause: "the session ends: logout on another device, by an operator, or because it expires",
    becomes: [["loggedout"], ["waiting", "connecting", "loggedout"], ["waiting", "connecting", "loggedout"], ["connecting", "loggedout"], none, none, none],
    ends: [3000, "session_ended"],
    at: {
      "session_ended": endsSession,
      "token_revoked": (w) => endsSession(w, "token_revoked"),
      "token_expired": (w) => endsSession(w, "token_expired"),
      "right after a refresh": async (w) => {
        if (w.socket.state === "open") {
          w.server.refuses = "token_expired";
          w.end(3000, "token_expired");
          await w.clock.go(3_000);
          w.states.length = 0;
        }
        endsSession(w);
      },
    },
  },
  {
    cause: "the token is refused, but a new one is accepted",
    becomes: [["open"], back, back, ["connecting", "open"], none, none, none],
    ends: [0, ""],
    at: {
      token_expired: refuses("token_expired", 3000),
      token_revoked: refuses("token_revoked", 3000),
    },
  },
  {
    cause: "the token is refused, and so is each new one",
    becomes: [["waiting", "connecting", "stopped"], ["waiting", "connecting", "stopped"], ["waiting", "connecting", "stopped"], ["connecting", "waiting", "connecting", "stopped"], none, none, none],
    ends: [3000, "token_invalid"],
    at: {
      token_invalid: (w) => {
        w.server.refreshHelps = false;
        refuses("token_invalid", 3000)(w);
      },
    },
  },
  {
    cause: "the refresh is refused, but not with 401",
    becomes: [["stopped"], ["waiting", "connecting", "stopped"], ["waiting", "connecting", "stopped"], ["connecting", "stopped"], none, none, none],
    ends: [3003, "csrf_mismatch"],
    at: {
      csrf_mismatch: (w) => {
        w.server.refusesRefresh = refusal(403, "csrf_mismatch");
        refuses("token_expired", 3000)(w);
      },
    },
  },
  {
    cause: "the server refuses the client: 3003",
    becomes: [["stopped"], ["stopped"], ["stopped"], ["connecting", "stopped"], none, none, none],
    ends: [3003, "not_authorized"],
    at: { not_authorized: refuses("not_authorized", 3003) },
  },
  {
    cause: "a message is too big: 1009",
    becomes: [null, null, ["stopped"], null, null, null, null],
    ends: [1009, "message_too_big"],
    at: { message_too_big: fails(1009, "message_too_big") },
  },
  {
    cause: "another user logs in in another window, and the connection ends",
    becomes: [null, null, ["waiting", "connecting", "stopped"], ["connecting", "stopped"], none, none, none],
    ends: [3003, "other_user"],
    at: {
      1006: (w) => {
        w.server.user = "bob";
        if (w.isOpen) w.end(1006);
      },
      3000: (w) => {
        w.server.user = "bob";
        if (w.isOpen) w.end(3000, "token_expired");
      },
    },
  },
  {
    cause: "the network fails, or the server is restarting, overloaded or silent: 1006, 1001, 1011 to 1014, 3008",
    becomes: [back, back, back, ["connecting", ...back], none, none, none],
    ends: [0, ""],
    at: Object.fromEntries([[1006, ""], [1001, ""], [1011, "internal_error"], [1012, "restarting"], [1013, "overloaded"], [1014, "bad_gateway"], [3008, "idle_timeout"]].map(([code, reason]) => [code, fails(code, reason)])),
  },
  {
    cause: "the handshake is not answered within 15 s",
    becomes: [null, back, null, null, null, null, null],
    ends: [0, ""],
    at: {
      silence: async ({ clock, server }) => {
        await clock.go(15_000);
        server.release();
      },
    },
  },
  {
    cause: "the browser does not allow the socket",
    becomes: [["stopped"], null, null, ["connecting", "stopped"], null, null, null],
    ends: [1006, "blocked"],
    at: {
      SecurityError: () => {
        FakeSocket.prototype.born = () => {
          throw new DOMException("An insecure WebSocket connection may not be initiated", "SecurityError");
        };
      },
    },
  },
  {
    cause: "the network returns: `online`",
    becomes: [["open"], ["open"], none, ["connecting", "open"], none, none, none],
    ends: [0, ""],
    at: { online: ({ window }) => window.dispatchEvent(new Event("online")) },
  },
  {
    cause: "the computer wakes up after the token has expired",
    becomes: [["open"], ["open"], back, ["connecting", "open"], none, none, none],
    ends: [0, ""],
    at: {
      pageshow: ({ clock, window }) => {
        clock.sleep(8 * 3_600_000);
        window.dispatchEvent(new Event("pageshow"));
      },
    },
  },
  {
    cause: "`reconnect()` is called",
    becomes: [["open"], ["open"], none, ["connecting", "open"], ["connecting", "open"], ["connecting", "open"], ["connecting", "open"]],
    ends: [0, ""],
    at: {
      reconnect: async ({ socket, session }) => {
        if (socket.state === "loggedout") await session?.login("ann", "secret");
        socket.reconnect();
      },
    },
  },
];

/** Fails the open connection, or else the next ticket or handshake. */
function fails(code, reason) {
  return (w) => {
    if (w.isOpen) w.end(code, reason);
    else w.server.fault = [code, reason];
  };
}

/** Refuses each token until a refresh helps, and ends an open connection. */
function refuses(reason, code) {
  return (w) => {
    w.server.refuses = reason;
    if (w.isOpen) w.end(code, reason);
  };
}

/** Ends the session at the server, and an open connection with it. */
function endsSession(w, reason = "session_ended") {
  w.server.refuses = reason;
  w.server.refusesRefresh = refusal(401, reason);
  if (w.socket.state === "open") w.end(3000, reason);
}

/** Logs out. The server then closes an open connection. */
function logsOut(how, resets = false) {
  return async (w) => {
    await how(w);
    if (w.session) await w.clock.settle();
    if (resets && w.isOpen) w.states.length = 0;
    endsSession(w);
  };
}

const own = "own"; // a login whose functions neither refresh automatically nor report a logout

for (const { cause, becomes, ends, at } of rows) {
  for (const [way, happen] of Object.entries(at)) {
    for (const kind of kinds) {
      for (const [i, from] of columns.entries()) {
        const want = becomes[i];
        if (want === null) continue;
        test(`${from}: ${cause} (${way}, ${kind})`, async (t) => {
          const w = await world(t, kind, from);
          await happen(w);
          w.server.release();
          await w.clock.go(60_000);
          const rest = w.states.at(-1);
          const seen = w.states.map(({ state }) => state);
          const { length } = seen;
          if (from === "handshake" && seen.length === want.length + 1) assert.equal(seen.shift(), "open", "opened to be refused");
          if (want.length === 0) return assert.deepEqual(seen, []);
          assert.deepEqual([rest?.state, rest?.code, rest?.reason], [want.at(-1), ...ends], JSON.stringify(w.states));
          if (kind !== own && !way.includes(",") && !way.includes("after")) assert.deepEqual(seen, want);
          await w.clock.go(600_000);
          const after = w.states.slice(length).map(({ state }) => state);
          assert.deepEqual(after, [], "a final state does not change");
        });
      }
    }
  }
}

test("closed is final after close()", async (t) => {
  for (const { at, cause } of rows) {
    for (const happen of Object.values(at)) {
      await t.test(cause, async (t) => {
        const w = await world(t, "tokens", "open");
        w.socket.close();
        w.states.length = 0;
        await happen({ ...w, isOpen: true });
        await w.clock.go(60_000);
        assert.deepEqual(w.states, []);
        assert.equal(w.socket.state, "closed");
        assert.equal(FakeSocket.all.length, 1);
        assert.equal(w.clock.waiting, 0);
      });
    }
  }
});

test("README.md has this table", () => {
  const cell = (states) => (states === null ? "" : states.length === 0 ? "stays" : states.map((state) => `\`${state}\``).join(", "));
  const rest = ([code, reason]) => [code || "", reason].filter(Boolean).join(" ");
  const want = rows.map(({ cause, becomes, ends }) => `| ${cause} | ${becomes.map(cell).join(" | ")} | ${rest(ends)} |`);
  const [, table] = readFileSync(new URL("../README.md", import.meta.url), "utf8").split("<!-- states -->\n");
  assert.ok(table, "README.md has no table of states");
  assert.deepEqual(table.split("\n\n")[0].split("\n").slice(2), want);
});
