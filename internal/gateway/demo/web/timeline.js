import { append, element } from "./dom.js";

/** The list of events, oldest first. */
export class Timeline {
  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} empty shown until the first entry
   */
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
  }

  /**
   * Adds an event.
   * @param {string} text
   * @param {""|"good"|"bad"} kind
   * @param {string} detail
   */
  add(text, kind = "", detail = "") {
    this.empty.hidden = true;
    const item = element("li", kind);
    const now = new Date();
    const time = element("time", "", now.toLocaleTimeString([], { hour12: false }));
    time.dateTime = now.toISOString();
    const words = element("div", "", text);
    if (detail) words.append(element("small", "", detail));
    item.append(time, words);
    append(this.list, item);
  }
}
