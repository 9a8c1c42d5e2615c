/** Where time comes from; tests bring their own. */
export interface Clock {
  now(): number;
  setTimeout(callback: () => void, ms: number): unknown;
  clearTimeout(timer: unknown): void;
}

// A longer time makes setTimeout call at once.
const LONGEST_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => performance.now(),
  setTimeout: (callback, ms) => setTimeout(callback, Math.min(ms, LONGEST_MS)),
  clearTimeout: (timer) => clearTimeout(timer as number),
};
