// A login: it gets tokens, keeps what proves them, and puts that into requests.
import { advise, codeOf } from "./advice.js";

/** A request that the server refused, in the server's own words (RFC 9457). */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{detail?: string, title?: string, reason?: string}} [problem]
   * @param {number} [retryAfter] milliseconds that the server asks to wait
   */
  constructor(status, problem = {}, retryAfter = 0) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}`);
    this.name = "Refusal";
    this.status = status;
    this.reason = problem.reason ?? "";
    this.retryAfter = retryAfter;
  }
}

/**
 * @typedef {object} SessionOptions
 * @property {boolean} [cookies] the tokens live in cookies that no script can read, shared by every window of the browser;
 *   otherwise in the memory of this object, and nowhere else
 * @property {string} [base] where the endpoints are. Default: "/auth"
 * @property {() => Record<string, string>} [headers] more header fields for each request
 * @property {typeof fetch} [fetch] sends the requests instead of the browser's own
 */

const patience = 15_000; // ms for one answer

/** Whether a request that failed so would fail again. @param {any} error */
export function final(error) {
  return ["refresh", "stop"].includes(advise(codeOf(error?.status)));
}

/**
 * One login. It fires "login", "refresh" and "logout"; with cookies also for what another window of the browser did. Every
 * method that asks the server throws a {@link Refusal}, or a TypeError where there is no answer.
 */
export class Session extends EventTarget {
  /** The tokens; with cookies only the CSRF values that belong to them. */
  #proofs = { access: "", refresh: "" };
  #over = true;
  /** @type {Promise<void>|null} */
  #refreshing = null;
  /** @type {BroadcastChannel|null} */
  #windows = null;

  /** @param {SessionOptions} [options] */
  constructor({ cookies = false, base = "/auth", headers = () => ({}), fetch = globalThis.fetch.bind(globalThis) } = {}) {
    super();
    this.cookies = cookies;
    this.base = base;
    this.headers = headers;
    this.fetch = fetch;
    /** When the access token expires, in milliseconds since 1970; Infinity where that is not known. */
    this.expiresAt = Infinity;
    if (!cookies) return;
    this.#over = this.#proof("refresh") === "" && this.#proof("access") === "";
    if (typeof BroadcastChannel !== "function") return;
    this.#windows = new BroadcastChannel(`wsauth ${base}`);
    this.#windows.addEventListener("message", ({ data }) => this.#became(data.type, data.expiresAt));
  }

  /** Whether there is no login, as far as is known here. Only the server knows for certain. */
  get over() {
    return this.#over;
  }

  /** Stops listening to other windows. A page need not: it ends with the page. */
  dispose() {
    this.#windows?.close();
    this.#windows = null;
  }

  /** Begins a session. @param {string} username @param {string} password */
  async login(username, password) {
    this.#keep("login", await this.#send("POST", "/login", "", { username, password, cookies: this.cookies }));
  }

  /**
   * Gets a new access token; the server gives every open socket of the session its time. Two callers share one request, and
   * with cookies so do two windows. When the server refuses, the session is over, and no further request is sent.
   * @returns {Promise<void>}
   */
  refresh() {
    this.#refreshing ??= this.#alone(() => this.#rotate()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /** Gets a fresh access token of the same session, as some actions demand. @param {string} password */
  async fresh(password) {
    this.#keep("refresh", await this.call("POST", "/fresh", { password }));
  }

  /** Gets a ticket: it opens one socket at that path, once, within half a minute. @param {string} path */
  async ticket(path) {
    return /** @type {string} */ ((await this.call("POST", "/ticket", { path })).ticket);
  }

  /** The sessions of this user, on all devices. @returns {Promise<any[]>} */
  async sessions() {
    return (await this.call("GET", "/sessions")).sessions;
  }

  /** Ends one of the user's sessions, and its sockets. @param {string} sid @returns {Promise<{sockets: number}>} */
  end(sid) {
    return this.call("DELETE", `/sessions/${encodeURIComponent(sid)}`);
  }

  /** Ends this session, and its sockets. Either token will do; when neither is good, there is nothing left to end. */
  async logout() {
    const proof = Date.now() < this.expiresAt ? this.#proof("access") || this.#proof("refresh") : this.#proof("refresh");
    try {
      await this.#send("POST", "/logout", proof);
    } catch (error) {
      if (!(error instanceof Refusal && error.status === 401)) throw error;
    }
    this.#lose();
  }

  /** Ends every session of this user. @returns {Promise<{sessions: number, sockets: number}>} */
  async logoutEverywhere() {
    const ended = await this.call("POST", "/logout-everywhere");
    this.#lose();
    return ended;
  }

  /**
   * Sends a request with the access token to an endpoint below base, and reads the JSON of the answer. The token is refreshed
   * first where its time is up, and once more where the server does not take it.
   * @param {string} method @param {string} path @param {object} [body]
   * @returns {Promise<any>}
   */
  async call(method, path, body) {
    await this.#ready();
    const proof = this.#proof("access");
    try {
      return await this.#send(method, path, proof, body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const dead = error.status === 401 && error.reason !== "bad_credentials"; // that is about the password
      const raced = error.reason === "csrf_mismatch" && proof !== this.#proof("access"); // with another window's refresh
      if (dead) await this.refresh();
      else if (!raced) throw error;
      return this.#send(method, path, this.#proof("access"), body);
    }
  }

  async #ready() {
    if (this.#over || Date.now() >= this.expiresAt || this.#proof("access") === "") await this.refresh();
  }

  // Of the windows that share cookies, one refreshes at a time: the others find that the CSRF value has changed since they asked.
  /** @param {() => Promise<void>} work */
  async #alone(work) {
    const locks = this.cookies ? globalThis.navigator?.locks : undefined;
    if (!locks) return work();
    const asked = this.#proof("refresh");
    return locks.request(`wsauth ${this.base}`, async () => {
      const now = this.#proof("refresh");
      if (now === asked || now === "") await work();
    });
  }

  async #rotate() {
    const proof = this.#proof("refresh");
    if (this.#over || proof === "") {
      this.#lose();
      throw new Refusal(401, { detail: "There is no login", reason: "token_missing" });
    }
    try {
      this.#keep("refresh", await this.#send("POST", "/refresh", proof));
    } catch (error) {
      if (!final(error)) throw error;
      const now = this.#proof("refresh");
      if (this.cookies && now !== proof && now !== "") return; // another window was faster, and could not be waited for
      this.#lose();
      throw error;
    }
  }

  /** @param {"login"|"refresh"} event @param {any} answer */
  #keep(event, answer) {
    const [access, refresh] = this.cookies
      ? [answer.csrf_token, answer.refresh_csrf_token]
      : [answer.access_token, answer.refresh_token];
    this.#proofs = { access, refresh: refresh ?? this.#proofs.refresh };
    this.#became(event, Date.now() + answer.expires_in * 1000);
    this.#windows?.postMessage({ type: event, expiresAt: this.expiresAt });
  }

  #lose() {
    if (this.#over) return;
    this.#became("logout", Infinity);
    this.#windows?.postMessage({ type: "logout", expiresAt: Infinity });
  }

  /** @param {"login"|"refresh"|"logout"} event @param {number} expiresAt */
  #became(event, expiresAt) {
    this.#over = event === "logout";
    if (this.#over) this.#proofs = { access: "", refresh: "" };
    this.expiresAt = expiresAt;
    this.dispatchEvent(new Event(event));
  }

  /** The token to send, or the CSRF value: of the cookie of this moment, which another window may have changed. @param {"access"|"refresh"} kind */
  #proof(kind) {
    if (!this.cookies) return this.#proofs[kind];
    const found = globalThis.document?.cookie.match(new RegExp(`(?:^|; )csrf_${kind}_token=([^;]*)`));
    return found?.[1] ?? this.#proofs[kind];
  }

  // A request carries its credential in one place only, so one with a token leaves the cookies at home.
  /** @param {string} method @param {string} path @param {string} proof @param {object} [body] */
  async #send(method, path, proof, body) {
    /** @type {Record<string, string>} */
    const headers = { ...this.headers() };
    if (body) headers["Content-Type"] = "application/json";
    if (proof && this.cookies) headers["X-CSRF-Token"] = proof;
    if (proof && !this.cookies) headers.Authorization = `Bearer ${proof}`;
    const response = await this.fetch(this.base + path, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      cache: "no-store",
      credentials: proof && !this.cookies ? "omit" : "same-origin",
      signal: AbortSignal.timeout(patience),
    });
    const text = await response.text();
    let answer = {};
    try {
      if (text !== "") answer = JSON.parse(text);
    } catch {
      // Not ours: a proxy's page, say. The status says enough.
    }
    if (!response.ok) throw new Refusal(response.status, answer, Number(response.headers.get("Retry-After") ?? 0) * 1000 || 0);
    return /** @type {any} */ (answer);
  }
}
