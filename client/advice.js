// What to do after the end of a socket: the table of close codes for clients.

/**
 * - refresh: get a new access token, then reconnect; if that is refused, the
 *   user must log in
 * - retry: reconnect after a short random wait
 * - wait: reconnect after a longer random wait, because all clients were
 *   disconnected at the same time
 * - stop: do not reconnect: the answer would be the same
 * - done: the socket was closed normally
 * @typedef {"refresh"|"retry"|"wait"|"stop"|"done"} Advice
 */

/** @type {Record<number, Advice>} */
const table = {
  1000: "done",
  1001: "wait", // going away
  1009: "stop", // message_too_big
  1011: "wait", // internal_error
  1012: "wait", // restarting
  1013: "wait", // rate_limited, store_unavailable, overloaded
  1014: "wait", // bad_gateway, gateway_timeout
  3000: "refresh", // token_missing, token_invalid, token_expired, token_revoked, session_ended
  3003: "stop", // not allowed, or an invalid request; see the reason
  3008: "retry", // auth_timeout, idle_timeout
};

/**
 * Returns the advice for a close code. For codes that are not in the table,
 * such as 1006 after a network failure, it is to retry.
 * @param {number} code
 * @returns {Advice}
 */
export function advise(code) {
  return table[code] ?? "retry";
}

/**
 * Returns the close code that corresponds to an HTTP status. It is 1006 without
 * a status, because there was no answer.
 * @param {number|undefined} status
 */
export function codeOf(status) {
  switch (status) {
    case undefined: return 1006;
    case 401: return 3000;
    case 408: return 3008;
    case 425: case 429: return 1013;
    default: return status >= 500 ? 1013 : 3003;
  }
}

const first = 1000; // maximum of the first wait in ms
const longest = 30_000; // maximum of any wait in ms

/**
 * Returns the milliseconds to wait before the next attempt: a random time up
 * to a limit that doubles with each attempt ("full jitter"), so that clients
 * that were disconnected together do not return together.
 * @param {number} attempt number of failed attempts in a row
 * @param {Advice} [advice] "wait" begins with four times the limit
 */
export function backoff(attempt, advice = "retry") {
  const doublings = Math.min(attempt + (advice === "wait" ? 2 : 0), 16);
  return Math.random() * Math.min(longest, first * 2 ** doublings);
}

/**
 * Returns the milliseconds to wait before repeating a request whose answer was
 * lost: a random time, at most 250 ms before the first repetition, because the
 * connection may just have been closed. The maximum doubles each further time.
 * @param {number} tried how often it was sent
 */
export function retryPause(tried) {
  return Math.random() * 250 * 2 ** (tried - 1);
}

const longestAsked = 3_600_000; // maximum wait in ms that a server may request

/**
 * Returns the milliseconds that a server requests to wait, at most an hour: a
 * timer of more than 24 days would fire immediately. Anything that is not a
 * valid time means 0.
 * @param {unknown} asked
 */
export function askedWait(asked) {
  const wait = Number(asked ?? 0);
  return wait > 0 ? Math.min(wait, longestAsked) : 0;
}

/**
 * Returns the milliseconds between attempts while the browser reports that it
 * is offline. The browser fires an event when it is online again.
 */
export function offlineWait() {
  return longest * (1 + Math.random()) / 2;
}
