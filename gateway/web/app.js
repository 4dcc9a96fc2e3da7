import { showClaims } from "./claims.js";
import { $ } from "./dom.js";
import { Login } from "./login.js";
import { SocketPanel } from "./socket.js";
import { Timeline } from "./timeline.js";

const timeline = new Timeline($("timeline"), $("timeline-empty"));
const socket = new SocketPanel(timeline, (claims) => claimsRead(claims));

/** The login that this page acts for; one without tokens until the person logs in. */
let login = new Login("token");
let loggedIn = false;

/** What may be sent with the handshake, in the words of each mode. A cookie comes along whether one wants it or not. */
const attempts = {
  nobody: { none: "Nothing: you are not logged in" },
  token: { good: "The access token", none: "Nothing", tampered: "The access token, one character changed", refresh: "The refresh token" },
  cookie: { good: "The cookie and its CSRF value", none: "The cookie alone", tampered: "The cookie and a wrong CSRF value" },
};

function showLogin(on) {
  loggedIn = on;
  $("login-form").hidden = on;
  $("session-panel").hidden = !on;
  $("session-note").hidden = true;
  $("claims").hidden = !on;
  $("claims-empty").hidden = on;
  $("end").classList.toggle("logged-out", !on);
  showAttempts();
}

function showAttempts() {
  const offered = attempts[loggedIn ? login.mode : "nobody"];
  $("attempt").replaceChildren(...Object.entries(offered).map(([value, words]) => new Option(words, value)));
}

function claimsRead(claims) {
  showClaims($("claims"), claims);
  $("claims").hidden = false;
  $("claims-empty").hidden = true;
  $("session-user").textContent = claims.sub;
  $("session-initial").textContent = claims.sub.slice(0, 1);
  const until = new Date(claims.exp * 1000).toLocaleTimeString([], { hour12: false });
  const freshness = claims.fresh ? "fresh, from your password" : "not fresh, from a refresh";
  $("session-detail").textContent = `${login.mode === "cookie" ? "Token in a cookie" : "Token in the request"} · ${freshness} · valid until ${until}`;
}

function note(text, bad = false) {
  $("session-note").textContent = text;
  $("session-note").classList.toggle("bad", bad);
  $("session-note").hidden = false;
}

/** Runs what a button asks for, once at a time, and tells the person when the server refuses. Reports success. */
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
  }
}

async function begin(mode) {
  $("login-error").hidden = true;
  const fresh = new Login(mode);
  await fresh.begin($("username").value, $("password").value);
  const claims = await fresh.session().catch((error) => {
    throw mode === "cookie" && error.reason === "token_missing" ? new Error(cookieLost()) : error;
  });
  login = fresh;
  timeline.add("Logged in", "good", mode === "cookie" ? "POST /auth/login · two tokens, in cookies" : "POST /auth/login · two tokens, in the answer");
  showLogin(true);
  claimsRead(claims);
}

/** Why a login by cookie does not last: a browser drops cookies for HTTPS on other pages. */
function cookieLost() {
  return isSecureContext
    ? "The browser kept no cookie: its settings forbid it."
    : "The browser kept no cookie, because this page did not come over HTTPS. Choose “In the request”, or open the page over HTTPS.";
}

async function refresh() {
  await login.refresh();
  timeline.add("Got a new access token", "good", "POST /auth/refresh");
  claimsRead(await login.session());
  note(socket.busy
    ? "The new token is for the next socket. The one that is open keeps the time that it began with."
    : "The new access token is ready.");
}

async function end() {
  await login.end();
  timeline.add("Logged out", "", "POST /auth/logout · the server refuses the session’s tokens"
    + (socket.busy ? "; the open socket stays until its token expires" : ""));
  login = new Login(login.mode);
  showLogin(false);
}

$("login-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const mode = new FormData(event.target).get("transport");
  act($("login-button"), "Log in", () => begin(mode));
});
$("refresh-button").addEventListener("click", () => act($("refresh-button"), "Refresh", refresh));
$("logout-button").addEventListener("click", () => act($("logout-button"), "Log out", end));
$("session-button").addEventListener("click", () => act($("session-button"), "Who am I?", async () => {
  const claims = await login.session();
  claimsRead(claims);
  const way = login.mode === "cookie" ? "by its cookie" : "in the Authorization header";
  note(`The server knows you as ${claims.sub}. The token travelled ${way}.`);
  timeline.add("Asked who I am", "good", `GET /auth/session · the token travelled ${way}`);
}));
const open = () => socket.open(login.socketURL($("attempt").value));
$("open-button").addEventListener("click", open);
$("end-reconnect").addEventListener("click", open);
$("end-refresh").addEventListener("click", async () => {
  if (await act($("end-refresh"), "Refresh", refresh)) {
    $("attempt").value = "good";
    open();
  }
});
$("end-login").addEventListener("click", async () => {
  if (!loggedIn || await act($("end-login"), "Log out", end)) $("username").focus();
});

const found = Login.restore();
if (found) {
  login = found;
  $("transport-cookie").checked = true;
  const known = await act($("login-button"), "Find the session", async () => {
    const claims = await login.session().catch(() => login.refresh().then(() => login.session()));
    timeline.add("Found your session", "good", "The browser still holds its cookies.");
    showLogin(true);
    claimsRead(claims);
  });
  if (!known) $("login-error").hidden = true;
}
if (!loggedIn) showLogin(false);
