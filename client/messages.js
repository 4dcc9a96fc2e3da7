// The messages by which a server tells this module, rather than the page, about
// a socket.

/**
 * Returns a JSON object, which may be a message for this module; null for any
 * other data.
 * @param {any} data @returns {any}
 */
export function readControl(data) {
  if (typeof data !== "string" || !data.startsWith("{")) return null;
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/**
 * Returns a welcome in its whole form:
 * {"type":"welcome","claims":{"sub":"…",…},"expires_at":…}; null for anything
 * else, such as an application's own message of that type.
 * @param {any} message @returns {{claims: {sub: string}, expires_at: number}|null}
 */
export function readWelcome(message) {
  const { type, claims, expires_at } = message ?? {};
  const isWhole = type === "welcome" && typeof claims?.sub === "string" && claims.sub !== "" && Number.isFinite(expires_at);
  return isWhole ? { claims, expires_at } : null;
}
