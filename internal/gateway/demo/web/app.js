import { Session } from "/auth/client/wsauth.js";
import { offer } from "./attempts.js";
import { showClaims } from "./claims.js";
import { $ } from "./dom.js";
import { SessionList } from "./sessions.js";
import { SocketPanel } from "./socket.js";
import { StepUp } from "./stepup.js";
import { Timeline } from "./timeline.js";

/** The session that this page uses: an ended one until the user logs in. */
let session = new Session();
let loggedIn = false;

const timeline = new Timeline($("timeline"), $("timeline-empty"));
const stepUp = new StepUp();
const socket = new SocketPanel(timeline, {
  changed: () => list.soon(),
  welcomed: (claims) => showSession(claims),
  askPassword: () => askPassword("The server requires it to continue. The socket stays open."),
});
const list = new SessionList($("sessions"), () => (loggedIn ? session.sessions() : null), (entry, button) => act(button, "End a session", async () => {
  const { sockets, durable } = await session.end(entry.sid);
  timeline.add("Ended a session", "good", `DELETE /auth/sessions/… · ${durable ? `${sockets === 1 ? "1 socket" : `${sockets} sockets`} closed` : notStored}`);
  if (entry.current) await session.logout();
}));

/** Uses another session from now on. */
function adopt(next) {
  if (next !== session) session.dispose();
  session = next;
  const on = (event, hear) => next.addEventListener(event, () => {
    if (next === session) hear();
  });
  on("login", () => look("Logged in by another window"));
  on("refresh", () => look());
  on("logout", () => {
    if (loggedIn) timeline.add("You are logged out", "bad", "The session was ended here, in another window or on another device, or the server refused to refresh it.");
    socket.loggedOut();
    showLogin(false);
  });
}

function showLogin(on) {
  loggedIn = on;
  $("login-form").hidden = on;
  $("session-panel").hidden = !on;
  $("session-note").hidden = true;
  if (!on) $("stepup").close();
  $("sessions-card").hidden = !on;
  $("claims").hidden = !on;
  $("claims-empty").hidden = on;
  $("end").classList.toggle("logged-out", !on);
  const kind = !on ? "anonymous" : session.cookies ? "cookie" : "token";
  if ($("attempt").dataset.kind !== kind) offer($("attempt"), kind);
  $("attempt").dataset.kind = kind;
  updateStay();
  if (on) list.soon();
  else list.clear();
}

function updateStay() {
  $("stay").disabled = $("attempt").value !== "good";
}

function showSession(claims) {
  showClaims($("claims"), claims);
  $("claims").hidden = false;
  $("claims-empty").hidden = true;
  $("session-user").textContent = claims.sub;
  $("session-initial").textContent = claims.sub.slice(0, 1);
  const until = new Date(claims.exp * 1000).toLocaleTimeString([], { hour12: false });
  const freshness = claims.fresh ? "fresh, from your password" : "not fresh, from a refresh";
  $("session-detail").textContent = `${session.cookies ? "Token in a cookie" : "Token in a header"} · ${freshness} · valid until ${until}`;
}

const whoAmI = () => session.call("GET", "/session");

/**
 * Reads the claims again because the session has changed: here, in the client,
 * or in another window.
 */
async function look(news = "") {
  const asked = session;
  list.soon();
  try {
    const claims = await whoAmI();
    if (asked !== session || session.over) return;
    if (!loggedIn) {
      if (news) timeline.add(news, "good");
      showLogin(true);
    }
    showSession(claims);
  } catch {
    // The socket, or the user's next action, shows what is wrong.
  }
}

function note(text, bad = false) {
  $("session-note").textContent = text;
  $("session-note").classList.toggle("bad", bad);
  $("session-note").hidden = false;
}

/**
 * Runs the action of a button, which is disabled meanwhile. Shows the error if
 * the server refuses. Returns whether it succeeded.
 */
async function act(button, what, work) {
  button.disabled = true;
  try {
    await work();
    return true;
  } catch (error) {
    const words = error instanceof TypeError ? "The server cannot be reached" : error.message;
    timeline.add(`${what}: refused`, "bad", [error.status, error.reason, words].filter(Boolean).join(" · "));
    if (loggedIn) {
      note(words, true);
    } else {
      $("login-error").textContent = words;
      $("login-error").hidden = false;
    }
    return false;
  } finally {
    button.disabled = false;
    list.soon();
  }
}

async function begin(cookies) {
  $("login-error").hidden = true;
  const next = new Session({ cookies });
  await next.login($("username").value, $("password").value);
  const claims = await next.call("GET", "/session").catch((error) => {
    throw cookies && error.status === 401 ? new Error(cookieLost()) : error;
  });
  socket.leave();
  adopt(next);
  timeline.add("Logged in", "good", cookies ? "POST /auth/login · two tokens, in cookies" : "POST /auth/login · two tokens, in the response");
  showLogin(true);
  showSession(claims);
}

/**
 * Returns why a login by cookie was lost: browsers drop cookies that require
 * HTTPS if the page was loaded without it.
 */
function cookieLost() {
  return isSecureContext
    ? "The browser did not store the cookies: its settings forbid it."
    : "The browser did not store the cookies, because this page was not loaded over HTTPS. Choose “In a header”, or open the page over HTTPS.";
}

async function refresh() {
  await session.refresh();
  timeline.add("Refreshed", "good", "POST /auth/refresh · new tokens of the same session");
  note(socket.open ? "You have new tokens, and the open socket was renewed without a new handshake." : "You have new tokens.");
}

function askPassword(why) {
  stepUp.ask(why, async (password) => {
    await session.fresh(password);
    timeline.add("Entered the password again", "good", "POST /auth/fresh · a fresh access token of the same session");
  });
}

// The detail shown when the server could not write the end of a session to its
// store.
const notStored = "ended, but not yet stored: a restart of the server may undo this";

async function end() {
  const { durable } = await session.logout();
  timeline.add("Ended the session", "", durable ? "POST /auth/logout" : `POST /auth/logout · ${notStored}`);
}

async function endAll() {
  const { sessions, sockets, durable } = await session.logoutEverywhere();
  timeline.add("Logged out everywhere", "", `POST /auth/logout-everywhere · ${durable ? `sessions: ${sessions}, sockets: ${sockets}` : notStored}`);
}

function open() {
  socket.connect(session, $("attempt").value, $("stay").checked);
}

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const cookies = new FormData(event.target).get("transport") === "cookie";
  act($("login-button"), "Log in", () => begin(cookies));
});
const button = (id, what, work) => $(id).addEventListener("click", () => act($(id), what, work));
button("refresh-button", "Refresh", refresh);
button("logout-button", "Log out", end);
button("everywhere-button", "Log out everywhere", endAll);
button("session-button", "Who am I?", async () => {
  const claims = await whoAmI();
  showSession(claims);
  const transport = session.cookies ? "in a cookie" : "in the Authorization header";
  note(`The server knows you as ${claims.sub}. The token was sent ${transport}.`);
  timeline.add("Asked who I am", "good", `GET /auth/session · token ${transport}`);
});
$("stepup-button").addEventListener("click", () => askPassword("This makes your access token fresh, which some actions require."));
$("attempt").addEventListener("change", updateStay);
$("open-button").addEventListener("click", open);
$("end-reconnect").addEventListener("click", open);
$("end-refresh").addEventListener("click", async () => {
  if (!await act($("end-refresh"), "Refresh", refresh)) return;
  $("attempt").value = "good";
  updateStay();
  open();
});
$("end-login").addEventListener("click", async () => {
  if (!loggedIn || await act($("end-login"), "Log out", end)) $("username").focus();
});

const found = new Session({ cookies: true });
adopt(found.over ? session : found);
if (!found.over) {
  $("transport-cookie").checked = true;
  await look();
  if (loggedIn) timeline.add("Found your session", "good", "The browser still has its cookies.");
}
if (!loggedIn) showLogin(false);
