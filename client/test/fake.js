// Fakes of a server, a login and a browser.

/** A login that counts its requests. */
export class FakeLogin extends EventTarget {
  tickets = 0;
  refreshes = 0;
  /** Errors for the next calls, in order; null for success. */
  refuseTickets = [];
  refuseRefreshes = [];
  over = false;
  order = [];

  async ticket(path) {
    this.order.push("ticket");
    this.tickets++;
    const error = this.refuseTickets.shift();
    if (error) throw error;
    return `${path}#${this.tickets}`;
  }

  async refresh() {
    this.order.push("refresh");
    this.refreshes++;
    const error = this.refuseRefreshes.shift();
    if (error) throw error;
    this.renewed?.();
  }
}

/** Returns the error of a refusal with an HTTP status. */
export const refusal = (status, reason = "", retryAfter = 0) => Object.assign(new Error("refused"), { status, reason, retryAfter });

/** A fake WebSocket. The test calls its methods in the role of the server. */
export class FakeSocket extends EventTarget {
  static all = [];
  static get last() {
    return FakeSocket.all.at(-1);
  }

  sent = [];
  bufferedAmount = 0;

  constructor(url, protocols) {
    super();
    this.url = new URL(url);
    this.protocols = protocols;
    FakeSocket.all.push(this);
    this.born();
  }

  /** Set by tests. */
  born() {}

  send(data) {
    this.sent.push(data);
  }

  close(code) {
    this.closedBy = code ?? 1005;
  }

  /** The server accepts. */
  open() {
    this.dispatchEvent(new Event("open"));
  }

  /** The server sends a welcome for a user whose token has this lifetime. */
  welcome(seconds = 900, sub = "ann") {
    const iat = Math.floor(Date.now() / 1000);
    this.open();
    this.tell({ type: "welcome", claims: { sub, iat, exp: iat + seconds }, expires_at: iat + seconds });
  }

  /** The server sends an object. */
  tell(message) {
    this.dispatchEvent(new MessageEvent("message", { data: JSON.stringify(message) }));
  }

  /** The server closes. */
  end(code, reason = "") {
    this.dispatchEvent(Object.assign(new Event("close"), { code, reason }));
  }
}

/**
 * Installs the fake socket, and a window that can dispatch events.
 * @param {import("node:test").TestContext} t
 */
export function fakeBrowser(t) {
  const window = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: "visible", cookie: "" });
  const replaced = { WebSocket: FakeSocket, document, addEventListener: window.addEventListener.bind(window), location: { href: "https://app.example/page" } };
  const before = Object.fromEntries(Object.keys(replaced).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(replaced)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  FakeSocket.all = [];
  t.after(() => {
    for (const [name, previous] of Object.entries(before)) {
      if (previous) Object.defineProperty(globalThis, name, previous);
      else delete globalThis[name];
    }
  });
  return { window, document };
}

/** Collects the states of a socket. */
export function record(socket) {
  const seen = [];
  socket.addEventListener("state", ({ state, code, reason, advice, retryIn }) => seen.push({ state, code, reason, advice, retryIn }));
  return seen;
}
