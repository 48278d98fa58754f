/** Remembers the newest `limit` keys and forgets the oldest first, so that its memory is bounded. */
export class RecentKeys {
  #keys = new Set();
  #limit;

  constructor(limit) {
    this.#limit = limit;
  }

  has(key) {
    return this.#keys.has(key);
  }

  add(key) {
    this.#keys.delete(key);
    this.#keys.add(key);
    if (this.#keys.size > this.#limit) {
      this.#keys.delete(this.#keys.values().next().value);
    }
  }
}
