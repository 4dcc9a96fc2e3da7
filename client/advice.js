// What to do after the end of a socket: the table of close codes, as a client acts on it.

/**
 * - refresh: get a new access token, then reconnect; where that is refused, the person has to log in
 * - retry: reconnect after a short random wait
 * - wait: reconnect after a longer random wait, because every other client was sent away in the same moment
 * - stop: do not reconnect as you are: the answer would be the same
 * - done: the two sides have agreed to end
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
  3003: "stop", // not allowed, or a request that is not valid: the reason says what
  3008: "retry", // auth_timeout, idle_timeout
};

/**
 * The advice for a close code. One that is not in the table, 1006 of a broken network above all, asks for another try.
 * @param {number} code
 * @returns {Advice}
 */
export function advise(code) {
  return table[code] ?? "retry";
}

/**
 * The close code that says on a socket what an HTTP status says in an answer. Without a status there was no answer: 1006.
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

const first = 1000; // ms that the first wait takes at most
const longest = 30_000; // ms that any wait takes at most

/**
 * Milliseconds to wait before the next try: any time up to a limit that doubles with each attempt ("full jitter"), so that
 * clients that were cut off together come back one by one.
 * @param {number} attempt that have failed in a row, before this one
 * @param {Advice} [advice] "wait" begins at four times the limit
 */
export function backoff(attempt, advice = "retry") {
  const doublings = Math.min(attempt + (advice === "wait" ? 2 : 0), 16);
  return Math.random() * Math.min(longest, first * 2 ** doublings);
}

/**
 * Milliseconds to wait before a request is repeated whose answer was lost:
 * hardly any the first time, since the connection may just have been closed,
 * and up to twice as long each time after that.
 * @param {number} tried how often it was sent
 */
export function retryPause(tried) {
  return Math.random() * 250 * 2 ** (tried - 1);
}

const longestAsked = 3_600_000; // ms that a server may ask to wait

/**
 * The milliseconds that a server asks to wait, at most an hour: a timer that
 * waits for more than 24 days fires at once. What is no such time asks for
 * nothing.
 * @param {unknown} asked
 */
export function askedWait(asked) {
  const wait = Number(asked ?? 0);
  return wait > 0 ? Math.min(wait, longestAsked) : 0;
}

/** Milliseconds to wait while the browser says that it is offline: it will tell when it is not, so a try is a guess. */
export function offlineWait() {
  return longest * (1 + Math.random()) / 2;
}
