// The environment for tests of the table of states: a server of logins and
// sockets, a browser, and a socket in any state.
import { connect, Session } from "../wsauth.js";
import { fakeClock } from "./clock.js";
import { FakeSocket, fakeBrowser, record, refusal } from "./fake.js";

/** A server that refuses requests as a test tells it, once or from then on. */
export class Server {
  user = "ann";
  /** The reason with which each token is refused, or "". */
  refuses = "";
  /** Whether tokens are valid again after a refresh. */
  refreshHelps = true;
  /** The refusal of each refresh. */
  refusesRefresh = null;
  /**
   * The code and reason that the next ticket or handshake gets instead of its
   * answer.
   */
  fault = null;
  /** Whether it holds the answers to tickets and handshakes. */
  holds = false;
  held = [];

  /** Waits while the server holds its answers. */
  async #turn() {
    if (this.holds) await new Promise((release) => this.held.push(release));
  }

  release() {
    this.holds = false;
    for (const release of this.held.splice(0)) release();
  }

  #takeFault() {
    const fault = this.fault;
    this.fault = null;
    return fault;
  }

  /** Returns a ticket, or throws its refusal. */
  async ticket() {
    await this.#turn();
    const [code, reason] = this.#takeFault() ?? (this.refuses ? [codes[this.refuses] ?? 3000, this.refuses] : [0]);
    if (code === 1006) throw new TypeError("network");
    if (code) throw refusal(statuses[code], reason);
    return `of-${this.user}`;
  }

  refresh() {
    if (this.refusesRefresh) throw this.refusesRefresh;
    if (this.refreshHelps) this.refuses = "";
  }

  /** Answers a handshake. */
  async accept(socket) {
    await this.#turn();
    if (socket.closedBy) return socket.end(1006);
    const [code, reason] = this.#takeFault() ?? (this.refuses ? [codes[this.refuses] ?? 3000, this.refuses] : [0]);
    if (code === 1006) return socket.end(1006);
    socket.open();
    if (code) socket.end(code, reason);
  }

  fetch = (document, cookies) => async (url) => {
    const answer = (body, status = 200) => new Response(JSON.stringify(body), { status, headers: { "Content-Type": status === 200 ? "application/json" : "application/problem+json" } });
    const tokens = () => {
      if (cookies) document.cookie = `csrf_access_token=a-${Math.random()}; csrf_refresh_token=r-${Math.random()}`;
      return answer(cookies ? { csrf_token: "a", refresh_csrf_token: "r", expires_in: 900 } : { access_token: "a", refresh_token: "r", expires_in: 900 });
    };
    try {
      switch (url) {
        case "/auth/login": return tokens();
        case "/auth/refresh":
          this.refresh();
          return tokens();
        case "/auth/ticket": return answer({ ticket: await this.ticket(), sub: this.user, expires_in: 30, socket: { expires_in: 900, welcome: false } });
        case "/auth/logout": return answer({});
      }
      return answer({}, 404);
    } catch (error) {
      if (error.status === undefined) throw error;
      return answer({ reason: error.reason }, error.status);
    }
  };
}

const codes = { not_authorized: 3003 };
const statuses = { 3000: 401, 3003: 403, 1011: 500, 1012: 503, 1013: 503, 1014: 502, 1001: 503, 3008: 408 };

/** The kinds of login that a socket may have. */
export const kinds = ["tokens", "cookies", "own"];

/**
 * Brings a socket into a state.
 * @param {import("node:test").TestContext} t
 * @param {string} kind of the login
 * @param {string} state
 */
export async function world(t, kind, state) {
  const clock = fakeClock(t);
  const { document, window } = fakeBrowser(t);
  t.mock.method(console, "warn", () => {});
  const server = new Server();
  t.mock.method(FakeSocket.prototype, "born", function () {
    server.accept(this);
  });
  const cookies = kind === "cookies";
  const page = () => {
    const session = new Session({ cookies, fetch: server.fetch(document, cookies) });
    t.after(() => session.dispose());
    return session;
  };
  const own = { ticket: async () => ({ ticket: await server.ticket(), subject: server.user, welcome: false, expiresAt: Date.now() + 900_000 }), refresh: async () => server.refresh() };
  const session = kind === "own" ? null : page();
  await session?.login("ann", "secret");
  const abort = new AbortController();
  if (state === "ticket") server.holds = true;
  const socket = connect("/ws", session ?? own, { signal: abort.signal });
  t.after(() => socket.close());
  const states = record(socket);
  const all = { clock, window, document, server, session, page, socket, states, abort };
  if (state === "handshake") {
    t.mock.method(FakeSocket.prototype, "born", function () {
      server.holds = true;
      server.accept(this);
    }, { times: 1 });
  }
  await clock.settle();
  const end = (code, reason = "") => FakeSocket.last.end(code, reason);
  if (state === "waiting") end(1006);
  if (state === "stopped") end(3003, "connection_limit");
  if (state === "closed") end(1000);
  if (state === "loggedout") {
    server.refusesRefresh = refusal(401, "session_ended");
    end(3000, "session_ended");
    await clock.go(2_000);
    server.refusesRefresh = null;
  }
  const wanted = { ticket: "connecting", handshake: "connecting" }[state] ?? state;
  if (socket.state !== wanted) throw new Error(`the socket is ${socket.state}, not ${state}`);
  states.length = 0;
  return { ...all, end, isOpen: state === "open" };
}
