// A session: it gets and stores tokens, and sends them with requests.
import { askedWait, retryPause } from "./advice.js";
import { absolute, needs } from "./setup.js";

/**
 * The refusal of a request, with the problem document of the server (RFC
 * 9457).
 */
export class Refusal extends Error {
  /**
   * @param {number} status
   * @param {{detail?: string, title?: string, reason?: string, ended?:
   *   boolean}} [problem]
   * @param {number} [retryAfter] milliseconds that the server requests to wait
   * @param {boolean} [foreign]
   */
  constructor(status, problem = {}, retryAfter = 0, foreign = false) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}`);
    this.name = "Refusal";
    this.status = status;
    this.reason = problem.reason ?? "";
    this.retryAfter = retryAfter;
    /**
     * Whether a proxy or the login page of a network answered instead of the
     * server.
     */
    this.foreign = foreign;
    /**
     * Whether the request took effect, although the server could not store
     * this.
     */
    this.ended = problem.ended === true;
  }
}

/**
 * @typedef {object} SessionOptions
 * @property {boolean} [cookies] keeps the tokens in cookies that scripts
 *   cannot read, shared by all windows of the browser; otherwise they are only
 *   in the memory of this object
 * @property {string} [base] URL of the endpoints. Default: "/auth"
 * @property {() => Record<string, string>} [headers] returns additional header
 *   fields for each request
 * @property {typeof fetch} [fetch] sends the requests instead of the browser's
 *   own
 */

const patience = 15_000; // timeout of a request in ms

const tries = 5; // attempts of a refresh whose answers are lost
const persistence = 20_000; // ms after which a refresh is not repeated
const soon = 2_000; // maximum wait in ms for which a refresh is repeated

/**
 * Reports whether the error of a refresh means that the session is over. Only a
 * 401 from the server does, as opposed to network failures, server errors and
 * responses of proxies.
 * @param {any} error
 */
export function endsLogin(error) {
  return error?.status === 401 && !error.foreign;
}

/**
 * Reports whether a refusal is from the server: a problem document (RFC 9457),
 * or an object with a reason. Proxies answer with pages, or with other objects.
 * @param {Response} response @param {any} answer its decoded body
 */
function isOwn(response, answer) {
  const [type] = (response.headers.get("Content-Type") ?? "").split(";");
  return answer !== null && typeof answer === "object" && (type?.trim().toLowerCase() === "application/problem+json" || typeof answer.reason === "string");
}

/**
 * Reports whether a request may have taken effect despite its error: there was
 * no answer, or only a part of it, or a server on the way failed.
 * @param {any} error
 */
function isLost(error) {
  return error?.status === undefined || (error.status >= 500 && (error.retryAfter ?? 0) <= soon);
}

/** Returns 128 random bits. Pages without TLS have no crypto.randomUUID. */
function randomKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * A login session. It fires "login", "refresh" and "logout", with cookies also
 * for actions in other windows of the browser. All methods that send a request
 * throw a {@link Refusal}, or a TypeError if there is no answer.
 */
export class Session extends EventTarget {
  /** The tokens, or with cookies only their CSRF values. */
  #proofs = { access: "", refresh: "" };
  #over = true;
  /** @type {Promise<void>|null} */
  #refreshing = null;
  /** @type {BroadcastChannel|null} */
  #windows = null;
  #key = ""; // of the refresh in progress
  #unended = ""; // token of a session that logout could not end
  #logins = 0; // counts logins and logouts, to recognize answers for an earlier session

  /** @param {SessionOptions} [options] */
  constructor({ cookies = false, base = "/auth", headers = () => ({}), fetch } = {}) {
    super();
    if (!fetch) {
      needs("Session", { fetch: globalThis.fetch });
      absolute("Session", base);
      fetch = globalThis.fetch.bind(globalThis);
    }
    needs("Session", { "crypto.getRandomValues": globalThis.crypto?.getRandomValues, "AbortSignal.timeout": globalThis.AbortSignal?.timeout });
    this.cookies = cookies;
    this.base = base.replace(/\/+$/, "");
    this.headers = headers;
    this.fetch = fetch;
    /**
     * When the access token expires, in milliseconds since 1970, or Infinity
     * if unknown.
     */
    this.expiresAt = Infinity;
    if (!cookies) return;
    this.#over = this.#proof("refresh") === "" && this.#proof("access") === "";
    if (typeof BroadcastChannel !== "function") return;
    this.#windows = new BroadcastChannel(`wsauth ${this.base}`);
    this.#windows.addEventListener("message", ({ data }) => this.#became(data.type, data.expiresAt));
  }

  /**
   * Whether there is no session, as far as this object knows. Only the server
   * knows for certain.
   */
  get over() {
    return this.#over;
  }

  /**
   * Stops listening to other windows. Pages need not call it before they are
   * closed.
   */
  dispose() {
    this.#windows?.close();
    this.#windows = null;
  }

  /** Begins a session. @param {string} username @param {string} password */
  async login(username, password) {
    this.#keep("login", await this.#send("POST", "/login", "", { username, password, cookies: this.cookies }));
  }

  /**
   * Gets a new access token; the server extends all open sockets of the session
   * accordingly. Concurrent calls share one request, with cookies also across
   * windows. If the answer is lost, it repeats the request, immediately and
   * then after growing random pauses. If the server answers 401, the session is
   * over, and no further request is sent; no other failure ends it.
   * @returns {Promise<void>}
   */
  refresh() {
    this.#refreshing ??= this.#alone(() => this.#rotate()).finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  /**
   * Gets a fresh access token of the same session, which some actions require.
   * @param {string} password
   */
  async fresh(password) {
    this.#keep("refresh", await this.call("POST", "/fresh", { password }));
  }

  /**
   * Gets a ticket, which opens one socket at that path, once, within 30
   * seconds.
   * @param {string} path
   */
  async ticket(path) {
    return (await this.admission(path)).ticket;
  }

  /**
   * Gets a ticket and information about its socket: the user, when its time is
   * up, and whether it begins with a welcome. With cookies the user is the last
   * one who logged in, in any window.
   * @param {string} path
   * @returns {Promise<import("./wsauth.js").Admission>}
   */
  async admission(path) {
    const { ticket, sub, socket } = await this.call("POST", "/ticket", { path });
    if (typeof ticket !== "string" || ticket === "") throw new TypeError("The answer is not from wsauth");
    return {
      ticket,
      subject: typeof sub === "string" ? sub : undefined,
      expiresAt: socket?.expires_in > 0 ? Date.now() + socket.expires_in * 1000 : undefined,
      welcome: typeof socket?.welcome === "boolean" ? socket.welcome : undefined,
    };
  }

  /**
   * Returns the sessions of this user, on all devices.
   * @returns {Promise<any[]>}
   */
  async sessions() {
    return (await this.call("GET", "/sessions")).sessions;
  }

  /**
   * Ends one of the user's sessions and its sockets. See {@link logout} for
   * durable.
   * @param {string} sid
   * @returns {Promise<{sockets?: number, durable: boolean}>} sockets only if
   *   durable
   */
  end(sid) {
    return this.#ending(() => this.call("DELETE", `/sessions/${encodeURIComponent(sid)}`));
  }

  /**
   * Ends this session and its sockets. Either token is sufficient; if neither is
   * valid, there is nothing left to end.
   *
   * durable is false if the server has ended the session but could not store
   * this. It retries, but a restart before it succeeds may undo the logout. For
   * this object, the session is over in any case.
   *
   * It throws if the server did not end the session, for example without a
   * network. Without cookies, the tokens are discarded and the session is over
   * for this object. With cookies, the session remains, because only the server
   * can delete the cookies. In both cases, another call tries again.
   * @returns {Promise<{durable: boolean}>}
   */
  async logout() {
    const { durable } = await this.#ending(() => this.#endThis());
    this.#lose();
    this.#unended = "";
    return { durable };
  }

  async #endThis() {
    const good = Date.now() < this.expiresAt ? this.#proof("access") : "";
    const proof = good || this.#proof("refresh") || this.#unended;
    try {
      return await this.#send("POST", "/logout", proof);
    } catch (e) {
      const error = /** @type {any} */ (e);
      if (endsLogin(error)) return {};
      if (error?.ended) throw error;
      const now = this.#proof("access") || this.#proof("refresh");
      if (this.cookies && error?.reason === "csrf_mismatch" && now !== proof) return this.#send("POST", "/logout", now); // another window has refreshed
      if (!this.cookies) {
        const left = this.#proof("refresh") || proof;
        this.#lose();
        this.#unended = left;
      }
      throw error;
    }
  }

  /**
   * Ends all sessions of this user. See {@link logout} for durable. If it
   * throws, none has ended.
   * @returns {Promise<{sessions?: number, sockets?: number, durable:
   *   boolean}>} numbers only if durable
   */
  async logoutEverywhere() {
    const ended = await this.#ending(() => this.call("POST", "/logout-everywhere"));
    this.#lose();
    return ended;
  }

  /** @param {() => Promise<any>} request that ends something */
  async #ending(request) {
    try {
      return { ...(await request()), durable: true };
    } catch (error) {
      if (!(error instanceof Refusal && error.ended)) throw error;
      return { durable: false };
    }
  }

  /**
   * Sends a request with the access token to an endpoint below base, and
   * returns the decoded JSON of the answer. The token is refreshed first if it
   * has expired, and once more if the server refuses it.
   * @param {string} method
   * @param {string} path
   * @param {object} [body]
   * @returns {Promise<any>}
   */
  async call(method, path, body) {
    await this.#ready();
    const proof = this.#proof("access");
    try {
      return await this.#send(method, path, proof, body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const isOver = endsLogin(error) && error.reason !== "bad_credentials"; // that means a wrong password
      const wasRenewed = error.reason === "csrf_mismatch" && proof !== this.#proof("access"); // with another window's refresh
      if (isOver) await this.refresh();
      else if (!wasRenewed) throw error;
      return this.#send(method, path, this.#proof("access"), body);
    }
  }

  async #ready() {
    if (this.#over || Date.now() >= this.expiresAt || this.#proof("access") === "") await this.refresh();
  }

  // Only one of the windows that share cookies refreshes at a time. The others
  // notice that the CSRF value has changed.
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
    const end = Date.now() + persistence;
    const login = this.#logins;
    for (let tried = 1; ; tried++) {
      const proof = this.#proof("refresh");
      if (this.#over || proof === "") {
        this.#lose();
        throw new Refusal(401, { detail: "There is no login", reason: "token_missing" });
      }
      try {
        const answer = await this.#send("POST", "/refresh", proof, undefined, this.#refreshKey());
        if (login !== this.#logins) return; // that session is over, or another one started
        this.#keep("refresh", answer, true);
        return this.#forgetKey();
      } catch (e) {
        const error = /** @type {any} */ (e);
        const now = this.#proof("refresh");
        if (error instanceof Refusal && this.cookies && now !== proof && now !== "") return; // another window was faster
        if (endsLogin(error) && login === this.#logins) this.#lose();
        const pause = Math.max(retryPause(tried), error?.retryAfter ?? 0);
        if (!isLost(error) || tried === tries || Date.now() + pause > end) throw error;
        await new Promise((done) => setTimeout(done, pause));
      }
    }
  }

  /**
   * Returns the idempotency key of the refresh in progress. If a request is
   * repeated with the same key, the server gives the same response again,
   * although the first request has replaced the refresh token. The key is
   * stored where the refresh token is: with cookies for all windows, and for
   * the page after a reload. It is of no use without the token.
   */
  #refreshKey() {
    const kept = this.cookies ? this.#storage()?.getItem(this.#keyName) : null;
    if (kept && /^[0-9a-f]{32}$/.test(kept)) this.#key = kept;
    this.#key ||= randomKey();
    if (this.cookies) this.#storage()?.setItem(this.#keyName, this.#key);
    return this.#key;
  }

  #forgetKey() {
    const storage = this.cookies ? this.#storage() : null;
    if (storage?.getItem(this.#keyName) === this.#key) storage.removeItem(this.#keyName);
    this.#key = "";
  }

  get #keyName() {
    return `wsauth ${this.base} refresh`;
  }

  /** Returns persistent storage, or null if the browser does not allow it. */
  #storage() {
    try {
      const storage = globalThis.localStorage;
      storage.setItem(`${this.#keyName} test`, "");
      storage.removeItem(`${this.#keyName} test`);
      return storage;
    } catch {
      return null;
    }
  }

  /**
   * @param {"login"|"refresh"} event
   * @param {any} answer
   * @param {boolean} [both] whether the refresh token must be new, too
   */
  #keep(event, answer, both = event === "login") {
    const [access, refresh] = this.cookies
      ? [answer.csrf_token, answer.refresh_csrf_token]
      : [answer.access_token, answer.refresh_token];
    const whole = [access, refresh].every((proof, i) => (typeof proof === "string" && proof !== "") || (i === 1 && !both && proof === undefined));
    if (!whole || !(answer.expires_in > 0)) throw new TypeError("The answer is not from wsauth");
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
    if (event !== "refresh") {
      this.#logins++;
      this.#forgetKey();
    }
    if (this.#over) this.#proofs = { access: "", refresh: "" };
    else this.#unended = "";
    this.expiresAt = expiresAt;
    this.dispatchEvent(new Event(event));
  }

  /**
   * Returns the token to send, or the CSRF value of the current cookie, which
   * another window may have changed.
   * @param {"access"|"refresh"} kind
   */
  #proof(kind) {
    if (!this.cookies) return this.#proofs[kind];
    const found = globalThis.document?.cookie.match(new RegExp(`(?:^|; )csrf_${kind}_token=([^;]*)`));
    return found?.[1] ?? this.#proofs[kind];
  }

  // A request must carry only one credential, so one with a token omits the
  // cookies.
  /**
   * @param {string} method
   * @param {string} path
   * @param {string} proof
   * @param {object} [body]
   * @param {string} [key]
   */
  async #send(method, path, proof, body, key) {
    /** @type {Record<string, string>} */
    const headers = { ...this.headers() };
    if (key) headers["Idempotency-Key"] = key;
    if (body) headers["Content-Type"] = "application/json";
    if (proof && this.cookies) headers["X-CSRF-Token"] = proof;
    if (proof && !this.cookies) headers.Authorization = `Bearer ${proof}`;
    const response = await this.fetch(this.base + path, {
      method,
      headers,
      body: body ? JSON.stringify(body) : null,
      cache: "no-store",
      credentials: this.cookies ? "include" : proof ? "omit" : "same-origin", // include: base may have another origin
      signal: AbortSignal.timeout(patience),
    });
    const text = await response.text();
    let answer = {};
    try {
      if (text !== "") answer = JSON.parse(text);
    } catch {
      // For a refusal, such as the page of a proxy, the status is sufficient.
      // Any other answer was truncated.
      if (response.ok) throw new TypeError("The answer is incomplete");
    }
    if (!response.ok) {
      const own = isOwn(response, answer);
      throw new Refusal(response.status, own ? answer : {}, askedWait(Number(response.headers.get("Retry-After")) * 1000), !own);
    }
    return /** @type {any} */ (answer);
  }
}
