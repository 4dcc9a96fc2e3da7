// The time that a socket has left, and when to request more.

const longestTimer = 2 ** 31 - 1; // ms; a longer one fires immediately

/** The permission of a socket to be open until a time set by the server. */
export class Lease {
  /**
   * When the time is up, in milliseconds since 1970 by the clock of this
   * machine, or Infinity if unknown.
   */
  expiresAt = Infinity;
  #life = 60_000;
  #renewAt = Infinity;
  #renew;
  /** @type {ReturnType<typeof setTimeout>|undefined} */
  #timer;

  /** @param {(() => void)|null} renew requests more time; null to never renew */
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
   * Sets a new time from the server, and plans the next renewal. If this
   * machine's clock is wrong, the time may be in the past, or further ahead
   * than the lifetime of a token allows. The time is then the lifetime of one
   * token from now.
   * @param {number} expiresAt milliseconds since 1970
   * @param {number} [life] lifetime of a token in milliseconds. Default: as
   *   last time
   */
  until(expiresAt, life) {
    if (life && life > 0) this.#life = life;
    const left = expiresAt - Date.now();
    const sane = expiresAt === Infinity || (left > 0 && left < 1.25 * this.#life);
    this.expiresAt = sane ? expiresAt : Date.now() + this.#life;
    this.plan();
  }

  /**
   * Renews at a random point of the remaining time, so that sockets that were
   * opened together are not renewed together.
   */
  plan() {
    this.stop();
    if (!this.#renew || this.expiresAt === Infinity) return;
    const left = this.expiresAt - Date.now();
    this.#renewAt = Date.now() + Math.max(left * (0.5 + 0.3 * Math.random()), Math.min(5000, this.#life / 10));
    this.#arm();
  }

  /** Stops renewing. The remaining time is unchanged. */
  stop() {
    clearTimeout(this.#timer);
    this.#renewAt = Infinity;
  }

  /** Stops the timer, but remembers when the renewal was due. */
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
