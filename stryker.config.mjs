/**
 * `MODULE=reply npm run mutation`: changes one module in every way, and shows which changes its tests do not see; hours
 * for all of them. test/mutation.md has the last results, and says of what survived why it may.
 */

/**
 * What is changed, and the tests that hold it: as few as do, for each change is one more run of them. Where these are slow,
 * what runs once as a file is loaded is left out: a constant would need all of them.
 */
const MODULES = {
  policy: {
    mutate: ['src/account.ts', 'src/message/header-section.ts'],
    tests: ['test/account.test.ts', 'test/message/header-section.test.ts'],
  },
  window: { mutate: ['src/stores/window.ts'], tests: ['test/stores/memory/quota.test.ts'] },
  quota: {
    mutate: ['src/quota.ts', 'src/stores/memory/quota.ts'],
    tests: ['test/stores/memory/quota.test.ts'],
  },
  idempotency: {
    mutate: ['src/idempotency.ts', 'src/stores/memory/idempotency.ts'],
    tests: ['test/idempotency.test.ts', 'test/stores/memory/idempotency.test.ts'],
  },
  outcome: {
    mutate: ['src/outcome.ts'],
    tests: ['test/outcome.test.ts', 'test/record.test.ts', 'test/docs/errors.test.ts'],
  },
  reply: { mutate: ['src/relay/reply.ts'], tests: ['test/relay/reply.test.ts'] },
  body: { mutate: ['src/relay/body.ts'], tests: ['test/relay/body.test.ts'] },
  ports: { mutate: ['src/relay/ports.ts'], tests: ['test/relay/ports.test.ts'] },
  slot: { isSlow: true, mutate: ['src/relay/slot.ts'], tests: ['test/relay/{pool,shares,slot}.test.ts'] },
  pool: { isSlow: true, mutate: ['src/relay/pool.ts'], tests: ['test/relay/{pool,shares,slot}.test.ts'] },
  session: { mutate: ['src/relay/session.ts'], tests: ['test/relay/session.test.ts'] },
  connection: {
    isSlow: true,
    mutate: ['src/relay/connection.ts'],
    tests: ['test/relay/{opening,pool,transaction}.test.ts'],
  },
  failures: { mutate: ['src/relay/failures.ts'], tests: ['test/relay/failures.test.ts'] },
  transaction: {
    isSlow: true,
    mutate: ['src/relay/mail-transaction.ts'],
    tests: ['test/relay/{body,transaction,words}.test.ts'],
  },
  deliver: { mutate: ['src/deliver.ts'], tests: ['test/deliver.test.ts'] },
  submit: { mutate: ['src/submit.ts'], tests: ['test/submit.test.ts'] },
  outbox: {
    mutate: ['src/outbox.ts', 'src/outbox-worker.ts'],
    tests: ['test/outbox-worker.test.ts'],
  },
};

const { MODULE = 'all' } = process.env;
const modules = MODULE === 'all' ? Object.values(MODULES) : [MODULES[MODULE]];
export const tests = modules.flatMap((module) => module.tests);

export default {
  mutate: modules.flatMap((module) => module.mutate),
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: 'vitest.mutation.config.mjs', related: false },
  ignoreStatic: modules.some(({ isSlow }) => isSlow),
  // Rewriting it takes TypeScript's old API, which the tests do not need: Node and Vite only take the types off.
  tsconfigFile: 'none',
  // A change that hangs is found by the time it takes.
  timeoutMS: 5_000,
  timeoutFactor: 1.1,
  concurrency: 2,
  reporters: ['clear-text', 'progress-append-only', 'json'],
  jsonReporter: { fileName: `reports/${MODULE}.json` },
  incrementalFile: `reports/${MODULE}.incremental.json`,
  thresholds: { high: 95, low: 85, break: 85 },
};
