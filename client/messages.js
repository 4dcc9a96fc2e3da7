// The messages about a socket that a server sends to this module rather than to
// the page.

/**
 * Returns the data as a JSON object, which may be a message for this module, or
 * null if it is anything else.
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
 * Returns a complete welcome,
 * {"type":"welcome","claims":{"sub":"…",…},"expires_at":…}, or null for
 * anything else, such as an application's own message of that type.
 * @param {any} message
 * @returns {{claims: {sub: string}, expires_at: number}|null}
 */
export function readWelcome(message) {
  const { type, claims, expires_at } = message ?? {};
  const isWhole = type === "welcome" && typeof claims?.sub === "string" && claims.sub !== "" && Number.isFinite(expires_at);
  return isWhole ? { claims, expires_at } : null;
}
