// The login: it gets tokens, keeps what proves them, and puts that into requests.

/** A request that the server refused, with its own words (RFC 9457). */
export class Refusal extends Error {
  /** @param {number} status @param {{detail?: string, title?: string, reason?: string}} problem */
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}`);
    this.status = status;
    this.reason = problem.reason ?? "";
  }
}

/** @param {string} method @param {string} path @param {RequestInit} init */
async function call(method, path, init = {}) {
  const response = await fetch(path, { method, cache: "no-store", ...init });
  const text = await response.text();
  let body = {};
  try {
    body = text === "" ? {} : JSON.parse(text);
  } catch {
    // Not ours: a proxy's page, say. The status says enough.
  }
  if (!response.ok) throw new Refusal(response.status, body);
  return body;
}

/** One login. In "token" mode it holds both tokens in memory; in "cookie" mode only the two CSRF values, and no token at all. */
export class Login {
  #access = "";  // the access token, or the CSRF value of its cookie
  #refresh = ""; // the refresh token, or the CSRF value of its cookie
  #accessEnds = 0;

  /** @param {"token"|"cookie"} mode */
  constructor(mode) {
    this.mode = mode;
  }

  /** Exchanges a name and a password for tokens. */
  async begin(username, password) {
    const cookies = this.mode === "cookie";
    const body = await call("POST", "/auth/login", {
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ username, password, cookies }),
    });
    this.#refresh = cookies ? body.refresh_csrf_token : body.refresh_token;
    this.#keep(body);
  }

  /** Finds the login that the browser's cookies still hold, or null. */
  static restore() {
    const access = csrfCookie("access");
    const refresh = csrfCookie("refresh");
    if (!access && !refresh) return null;
    const login = new Login("cookie");
    login.#access = access;
    login.#refresh = refresh;
    login.#accessEnds = access ? Infinity : 0;
    return login;
  }

  /** Gets a new access token. */
  async refresh() {
    this.#keep(await call("POST", "/auth/refresh", this.#credential(this.#refresh)));
  }

  /** Ends the session on the server, by whichever token is still good. When none is, there is nothing left to end. */
  async end() {
    const proof = Date.now() < this.#accessEnds ? this.#access : this.#refresh;
    try {
      await call("POST", "/auth/logout", this.#credential(proof));
    } catch (error) {
      if (error.status !== 401) throw error;
    }
  }

  /** Asks the server what it reads in the access token. */
  session() {
    return call("GET", "/auth/session", this.#credential(this.#access));
  }

  /**
   * The address of the socket, with what proves who opens it.
   * @param {"good"|"none"|"tampered"|"refresh"} attempt what to send; all but "good" are refused, and show how
   */
  socketURL(attempt) {
    const url = socketAddress();
    const proof = { good: this.#access, none: "", tampered: tampered(this.#access), refresh: this.#refresh }[attempt];
    if (proof) url.searchParams.set(this.mode === "cookie" ? "csrf_token" : "token", proof);
    return url;
  }

  #keep(body) {
    this.#access = this.mode === "cookie" ? body.csrf_token : body.access_token;
    this.#accessEnds = Date.now() + body.expires_in * 1000;
  }

  // A request carries its credential in one place only, so in token mode it leaves the cookies at home.
  #credential(proof) {
    return this.mode === "cookie"
      ? { headers: { "X-CSRF-Token": proof } }
      : { headers: { Authorization: `Bearer ${proof}` }, credentials: "omit" };
  }
}

/** The address of the socket on the host of this page, without a credential. */
export function socketAddress() {
  const url = new URL("/ws", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return url;
}

/** Changes the first character of a token's signature, or of a CSRF value. */
function tampered(proof) {
  const at = proof.lastIndexOf(".") + 1;
  return proof.slice(0, at) + (proof[at] === "A" ? "B" : "A") + proof.slice(at + 1);
}

/** The value of the readable cookie that belongs to the access or refresh token, or "". */
function csrfCookie(kind) {
  const found = document.cookie.match(new RegExp(`(?:^|; )csrf_${kind}_token=([^;]*)`));
  return found ? found[1] : "";
}
