import type {Clock} from "./clock.js";
import type {HeadgateError} from "./status.js";

export interface BackoffOptions {
  /** The longest first delay; it doubles with each failure in a row. Default 500. */
  initialMs?: number;
  /** The longest delay, a `retry-after` aside. Default 30,000. */
  maxMs?: number;
}

/** What decides whether and when a call is made again. */
export interface Retry {
  readonly clock: Clock;
  readonly canRefreshToken: boolean;
  delayMs(failures: number, error: HeadgateError): number;
}

// A gateway may not keep its clients away for longer.
const LONGEST_HINT_MS = 300_000;

/**
 * How long to wait after the `failures`th failure in a row: exponential with
 * full jitter, on top of what the gateway asked for.
 */
export function backoffMs(failures: number, error: HeadgateError, options: BackoffOptions, random: () => number): number {
  const {initialMs = 500, maxMs = 30_000} = options;
  const ceiling = Math.min(maxMs, initialMs * 2 ** (failures - 1));
  return Math.min(error.retryAfterMs ?? 0, LONGEST_HINT_MS) + random() * ceiling;
}
