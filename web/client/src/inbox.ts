/** Messages that came and were not taken yet, in order, and their end. */
export class Inbox<T> {
  private items: {value: T; bytes: number}[] = [];
  private takers: {resolve(result: IteratorResult<T, undefined>): void; reject(error: unknown): void}[] = [];
  private ending: {error?: unknown} | undefined;
  /** What waits. */
  bytes = 0;

  push(value: T, bytes: number): void {
    if (this.ending) return;
    const taker = this.takers.shift();
    if (taker) return taker.resolve({value, done: false});
    this.items.push({value, bytes});
    this.bytes += bytes;
  }

  /** What has come before can still be taken; with an error, each take after it throws. */
  end(error?: unknown): void {
    if (this.ending) return;
    this.ending = {error};
    for (const taker of this.takers.splice(0)) this.finish(taker);
  }

  /** Drops what waits. */
  clear(): void {
    this.items = [];
    this.bytes = 0;
  }

  take(): Promise<IteratorResult<T, undefined>> {
    return new Promise((resolve, reject) => {
      const item = this.items.shift();
      if (item) {
        this.bytes -= item.bytes;
        resolve({value: item.value, done: false});
      } else if (this.ending) {
        this.finish({resolve, reject});
      } else {
        this.takers.push({resolve, reject});
      }
    });
  }

  private finish(taker: (typeof this.takers)[number]): void {
    const error = this.ending!.error;
    if (error === undefined) taker.resolve({value: undefined, done: true});
    else taker.reject(error);
  }
}
