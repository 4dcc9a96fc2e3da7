// The time that a socket has, and the moment to ask for more.

const longestTimer = 2 ** 31 - 1; // ms; a longer one fires at once

/** The right of a socket to be open until a moment that the server tells. */
export class Lease {
  /** When the time is up, in milliseconds since 1970 by the clock of this machine; Infinity where that is not known. */
  expiresAt = Infinity;
  #life = 60_000;
  #renewAt = Infinity;
  #renew;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /** @param {(() => void)|null} renew asks for more time; null where nobody does */
  constructor(renew) {
    this.#renew = renew;
  }

  /** Whether it is time to renew. */
  get due() {
    return Date.now() >= Math.min(this.#renewAt, this.expiresAt);
  }

  /** Whether the time is up. */
  get over() {
    return Date.now() >= this.expiresAt;
  }

  /**
   * Begins anew, with the time that the server has given. Where this machine's clock is wrong that makes no sense; but a socket
   * that is open has time left, and not much more than the life of one token.
   * @param {number} expiresAt milliseconds since 1970
   * @param {number} [life] milliseconds that a token lives. Default: as last time
   */
  until(expiresAt, life) {
    if (life && life > 0) this.#life = life;
    const left = expiresAt - Date.now();
    const sane = expiresAt === Infinity || (left > 0 && left < 1.25 * this.#life);
    this.expiresAt = sane ? expiresAt : Date.now() + this.#life;
    this.plan();
  }

  /** Renews at a random moment of what is left, so that sockets that were opened together are not renewed together. */
  plan() {
    this.stop();
    if (!this.#renew || this.expiresAt === Infinity) return;
    const left = this.expiresAt - Date.now();
    this.#renewAt = Date.now() + Math.max(left * (0.5 + 0.3 * Math.random()), Math.min(5000, this.#life / 10));
    this.#arm();
  }

  /** Asks for no more time. What there is stays. */
  stop() {
    clearTimeout(this.#timer);
    this.#renewAt = Infinity;
  }

  /** Waits no longer, but still knows when it was due. */
  pause() {
    clearTimeout(this.#timer);
  }

  /** Forgets the time. */
  reset() {
    this.stop();
    this.expiresAt = Infinity;
  }

  #arm() {
    const fire = () => (Date.now() < this.#renewAt ? this.#arm() : this.#renew?.());
    this.#timer = setTimeout(fire, Math.min(this.#renewAt - Date.now(), longestTimer));
  }
}
