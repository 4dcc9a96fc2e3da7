import { describeAgent } from "./agents.js";
import { element } from "./dom.js";

const calm = 1000; // ms between two looks at least
const slowly = 5_000; // ms between two looks while nothing happens here: something may happen elsewhere

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
const day = (seconds) => new Date(seconds * 1000).toLocaleDateString([], { day: "numeric", month: "short" });

/** A moment as a person says it: with the day where the hour is not enough. */
function moment(seconds) {
  const near = Math.abs(seconds * 1000 - Date.now()) < 18 * 3600e3;
  return near ? clock(seconds) : `${day(seconds)}, ${clock(seconds)}`;
}

/** The list of the sessions of one user: where, since when, with which open sockets. */
export class SessionList {
  #timer = 0;
  #looked = 0;
  #turn = 0; // counts the looks
  #newest = 0; // the look whose answer was the last to count: what an earlier one brings is old
  #shown = "";

  /**
   * @param {HTMLElement} list
   * @param {() => Promise<any[]>|null} fetch gets the sessions; null while nobody is logged in
   * @param {(entry: any, button: HTMLButtonElement) => void} end is asked to end one
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

  /** Looks again, because something has happened: now, or a little later where that was just done. */
  soon() {
    this.#plan(Math.max(50, this.#looked + calm - Date.now()));
  }

  /** Shows nothing. */
  clear() {
    clearTimeout(this.#timer);
    this.#newest = this.#turn;
    this.#shown = "";
    this.list.replaceChildren();
  }

  #plan(wait) {
    clearTimeout(this.#timer);
    if (document.visibilityState !== "visible") return; // it looks when it is seen
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
      // It will look again; whatever the person does meanwhile says what is wrong.
    }
    if (turn <= this.#newest) return;
    this.#newest = turn;
    if (sessions) this.#show(sessions);
    this.#plan(slowly);
  }

  #show(sessions) {
    const shown = JSON.stringify(sessions);
    if (shown === this.#shown) return; // so that nobody's focus is lost for nothing
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
    const used = entry.used > entry.began ? ` · renewed ${moment(entry.used)}` : "";
    words.append(title, element("small", "", `Logged in ${moment(entry.began)}${used} · from ${entry.remote}`));
    const sockets = element("span", entry.sockets.length > 0 ? "sockets open" : "sockets");
    sockets.textContent = entry.sockets.length === 0
      ? "No open socket"
      : `${entry.sockets.length === 1 ? "1 open socket" : `${entry.sockets.length} open sockets`}, until ${[...new Set(entry.sockets.map((s) => moment(s.expires)))].join(" and ")}`;
    words.append(sockets);
    const button = element("button", "", "Log out");
    button.type = "button";
    button.setAttribute("aria-label", `Log out ${name.textContent}, logged in ${moment(entry.began)}${entry.current ? ", this device" : ""}`);
    button.addEventListener("click", () => this.end(entry, button));
    item.append(words, button);
    return item;
  }
}
