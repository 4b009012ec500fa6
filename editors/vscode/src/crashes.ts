// Pure: how often a server that ends by itself is started again. It reads no clock.

const WINDOW_MS = 3 * 60 * 1000;
const RESTARTS = 4;

/** So many restarts within three minutes; after that somebody has to look. */
export class CrashBudget {
  private spent: number[] = [];

  /** Whether the server may be started again after a crash at `now`, in milliseconds. */
  spend(now: number): boolean {
    this.spent = this.spent.filter((time) => now - time < WINDOW_MS);
    if (this.spent.length === RESTARTS) {
      return false;
    }
    this.spent.push(now);
    return true;
  }
}
