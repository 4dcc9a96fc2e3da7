import { describeAgent } from "./agents.js";
import { element } from "./dom.js";

const minInterval = 1000; // minimum ms between two requests
const slowly = 5_000; // ms between two requests while nothing happens here; other devices may cause changes

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
const day = (seconds) => new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short" });

/** Formats a time, with the day if it is not within 18 hours of now. */
function moment(seconds) {
  const near = Math.abs(seconds * 1000 - Date.now()) < 18 * 3600e3;
  return near ? clock(seconds) : `${day(seconds)}, ${clock(seconds)}`;
}

/** The list of a user's sessions: device, times and open sockets. */
export class SessionList {
  #timer = 0;
  #looked = 0;
  #turn = 0; // number of requests sent
  #newest = 0; // the latest request that was answered; answers to earlier ones are outdated
  #shown = "";

  /**
   * @param {HTMLElement} list
   * @param {() => Promise<any[]>|null} fetch gets the sessions; null
   *   while no user is logged in
   * @param {(entry: any, button: HTMLButtonElement) => void} end ends a
   *   session
   */
  constructor(list, fetch, end) {
    this.list = list;
    this.fetch = fetch;
    this.end = end;
    addEventListener("focus", () => this.soon());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#look();
      else clearTimeout(this.#timer);
    });
  }

  /**
   * Updates the list after an event: now, or a little later if it has just
   * been updated.
   */
  soon() {
    this.#plan(Math.max(50, this.#looked + minInterval - Date.now()));
  }

  /** Clears the list. */
  clear() {
    clearTimeout(this.#timer);
    this.#newest = this.#turn;
    this.#shown = "";
    this.list.replaceChildren();
  }

  #plan(wait) {
    clearTimeout(this.#timer);
    if (document.visibilityState !== "visible") return; // it updates when it becomes visible
    this.#timer = setTimeout(() => this.#look(), wait);
  }

  async #look() {
    const turn = ++this.#turn;
    clearTimeout(this.#timer);
    this.#looked = Date.now();
    let sessions = null;
    try {
      sessions = await this.fetch();
    } catch {
      // The list is updated again later; the user's next action shows what is wrong.
    }
    if (turn <= this.#newest) return;
    this.#newest = turn;
    if (sessions) this.#show(sessions);
    this.#plan(slowly);
  }

  #show(sessions) {
    const shown = JSON.stringify(sessions);
    if (shown === this.#shown) return; // keeps the focus where it is
    this.#shown = shown;
    const focused = document.activeElement?.closest("[data-sid]")?.dataset.sid;
    const latest = [...sessions].sort((a, b) => b.current - a.current || b.used - a.used);
    this.list.replaceChildren(...latest.map((entry) => this.#item(entry)));
    if (focused) this.list.querySelector(`[data-sid="${CSS.escape(focused)}"] button`)?.focus();
  }

  #item(entry) {
    const item = element("li", entry.current ? "current" : "");
    item.dataset.sid = entry.sid;
    const words = element("div");
    const name = element("b", "", describeAgent(entry.agent));
    const title = element("span", "title");
    title.append(name);
    if (entry.current) title.append(element("span", "badge", "This device"));
    const used = entry.used > entry.started ? ` · renewed ${moment(entry.used)}` : "";
    words.append(title, element("small", "", `Logged in ${moment(entry.started)}${used} · from ${entry.remote}`));
    const sockets = element("span", entry.sockets.length > 0 ? "sockets open" : "sockets");
    sockets.textContent = entry.sockets.length === 0
      ? "No open socket"
      : `${entry.sockets.length === 1 ? "1 open socket" : `${entry.sockets.length} open sockets`}, until ${[...new Set(entry.sockets.map((s) => moment(s.expires)))].join(" and ")}`;
    words.append(sockets);
    const button = element("button", "", "Log out");
    button.type = "button";
    button.setAttribute("aria-label", `Log out ${name.textContent}, logged in ${moment(entry.started)}${entry.current ? ", this device" : ""}`);
    button.addEventListener("click", () => this.end(entry, button));
    item.append(words, button);
    return item;
  }
}
