/**
 * A bounded queue in memory with one worker.
 *
 * What waits here is lost when the process dies, although the sender has had its 2xx. A receiver that must not
 * lose anything writes the event to disk or to a database before it answers.
 */
export class WorkQueue {
  #waiting = [];
  #limit;
  #handle;
  #working = null;
  #processed = 0;

  constructor(limit, handle) {
    this.#limit = limit;
    this.#handle = handle;
  }

  get hasRoom() {
    return this.#waiting.length < this.#limit;
  }

  /** How many have been handled since the start, well or not. */
  get processed() {
    return this.#processed;
  }

  push(item) {
    this.#waiting.push(item);
    this.#working ??= this.#work();
  }

  /** Resolves once everything that was pushed has been handled. */
  async drained() {
    await this.#working;
  }

  async #work() {
    // One turn of the event loop later, so that the answer leaves before the work begins.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const item = this.#waiting.shift();
      try {
        await this.#handle(item);
      } catch (error) {
        console.error("an event could not be handled:", error);
      }
      this.#processed += 1;
    }
    this.#working = null;
  }
}
