// How often a server that ends by itself is started again.

import assert from "node:assert/strict";
import { test } from "node:test";

import { CrashBudget } from "../src/crashes.ts";

test("the fifth crash within three minutes is not followed by a restart", () => {
  const budget = new CrashBudget();
  const answers = [0, 1000, 2000, 3000, 4000].map((now) => budget.spend(now));
  assert.deepEqual(answers, [true, true, true, true, false]);
});

test("crashes that lie longer back count no more", () => {
  const budget = new CrashBudget();
  for (const now of [0, 1000, 2000, 3000]) {
    budget.spend(now);
  }
  assert.equal(budget.spend(179_999), false);
  assert.equal(budget.spend(180_000), true);
});
