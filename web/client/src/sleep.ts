import {watch, type CallOptions} from "./call.js";
import type {Clock} from "./clock.js";
import {HeadgateError} from "./status.js";

/** Waits between two attempts; throws when the signal aborts or the time is up before that. */
export function sleep(ms: number, options: CallOptions, clock: Clock, cause: HeadgateError): Promise<void> {
  return new Promise((resolve, reject) => {
    let stop = () => {};
    const timer = clock.setTimeout(() => {
      stop();
      resolve();
    }, ms);
    stop = watch(options, clock, ({code, message}) => {
      clock.clearTimeout(timer);
      stop();
      reject(new HeadgateError(code, message, {cause}));
    });
  });
}
