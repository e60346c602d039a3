import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConfigError } from '../../../src/config.ts';
import { createLog } from '../../../src/log.ts';
import { StoreUnavailable } from '../../../src/store.ts';
import { openSqliteOutbox, type SqliteOutbox } from '../../../src/stores/sqlite/outbox.ts';
import { ACCEPTED, entry, outboxContract } from '../../contract/outbox.ts';
import { ROOT } from '../../support/child.ts';

const DAY = 24 * 60 * 60 * 1000;
const LEASE = { count: 100, leaseMs: 60_000, except: new Set<string>() };

let folder: string;
let lines: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-outbox-'));
  lines = [];
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const log = createLog('info', (line) => lines.push(line));

const open = (options: Partial<Parameters<typeof openSqliteOutbox>[0]> = {}): SqliteOutbox =>
  openSqliteOutbox({ path: join(folder, 'data/outbox.db'), maxBytes: 1e9, keepMs: 7 * DAY, log, ...options });

const files = async () => (await readdir(join(folder, 'data'))).sort();

describe('the outbox in SQLite', () => {
  outboxContract(async (options) => {
    let outbox = open(options);
    return {
      outbox,
      async reopen() {
        await outbox.close();
        outbox = open(options);
        return outbox;
      },
      close: () => outbox.close(),
    };
  });
});

test('the file and its folder are for their owner alone', async () => {
  const outbox = open();
  await outbox.put(entry('a'));
  expect((await stat(join(folder, 'data'))).mode & 0o777).toBe(0o700);
  for (const name of await files()) expect((await stat(join(folder, 'data', name))).mode & 0o777).toBe(0o600);
  expect(await files()).toEqual(['outbox.db', 'outbox.db-wal']);
  await outbox.close();
});

test('a message that waits can be made due, ahead of others and for its api_user alone', async () => {
  const outbox = open();
  const later = Date.now() + DAY;
  for (const id of ['first', 'second']) await outbox.put({ ...entry(id), sendAt: later });
  const { apiUser } = entry('second');
  expect(await outbox.hasten('another', 'second')).toBe(false);
  expect(await outbox.hasten(apiUser, 'third')).toBe(false);
  expect(await outbox.claim(LEASE)).toEqual([]);
  // Within one transaction with another message, whose bytes must still be counted.
  const [, hastened] = await Promise.all([
    outbox.put({ ...entry('fourth'), sendAt: later }),
    outbox.hasten(apiUser, 'second'),
  ]);
  expect(hastened).toBe(true);
  expect(await outbox.depth()).toMatchObject({ waiting: 3 });
  expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['second']);
  expect(await outbox.hasten(apiUser, 'second')).toBe(false);
  await outbox.close();
});

test('what ended leaves nothing of its body and its key, neither in the tables nor in the file', async () => {
  const path = join(folder, 'data/outbox.db');
  const outbox = open();
  const content = new TextEncoder().encode('a body that is secret '.repeat(3));
  await outbox.put(entry('a', { apiKey: 'a key that is secret', content }));
  const [claim] = await outbox.claim(LEASE);
  if (!claim) throw new Error('nothing is due');
  await outbox.settle(claim, ACCEPTED);
  await outbox.put(entry('b', { apiKey: 'a key that is secret', content }));
  await outbox.cancel('ifaxin', 'b');
  await outbox.close();
  const stored = await readFile(path, 'latin1');
  expect(stored).toContain('message_due');
  expect(stored).not.toContain('that is secret');
});

describe('a large body', () => {
  const PARTS = 15;
  const large = (id: string) => entry(id, { content: new Uint8Array(PARTS * 2 ** 20).fill(7) });

  /** How many turns of the event loop others have had when `work` is done. */
  async function turnsDuring(work: Promise<unknown>): Promise<number> {
    let turns = 0;
    let isDone = false;
    const count = () => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    await work;
    isDone = true;
    return turns;
  }

  /** What is left in the file of a process that ended: how many rows of each table. */
  function rowsOf(...tables: string[]): number[] {
    const database = new DatabaseSync(join(folder, 'data/outbox.db'));
    const rows = tables.map((table) => database.prepare(`SELECT count(*) AS rows FROM ${table}`).get()?.rows);
    database.close();
    return rows as number[];
  }

  test('lets others have a turn between its parts, when it is put and when it is claimed', async () => {
    const outbox = open();
    expect(await turnsDuring(outbox.put(large('a')))).toBeGreaterThanOrEqual(PARTS - 1);
    expect(await turnsDuring(outbox.claim(LEASE))).toBeGreaterThanOrEqual(PARTS - 1);
    await outbox.close();
  });

  test('does not hold up a message that is put behind it, and is there as a whole or not at all', async () => {
    const outbox = open();
    const order: string[] = [];
    const puts = [large('large'), entry('small')].map(async (one) => {
      await outbox.put(one);
      order.push(one.id);
    });
    await puts[1];
    expect(await outbox.read('ifaxin', 'large')).toBeNull();
    expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['small']);
    await Promise.all(puts);
    expect(order).toEqual(['small', 'large']);
    const [claim] = await outbox.claim(LEASE);
    expect(Buffer.from(claim?.content ?? []).equals(large('large').content)).toBe(true);
    await outbox.close();
  });

  test('keeps its place where the transactions of others fail meanwhile', async () => {
    const outbox = open();
    await outbox.put(entry('a'));
    const putting = outbox.put(large('large'));
    await expect(outbox.put(entry('a'))).rejects.toThrow();
    await outbox.put(entry('b'));
    await putting;
    const claims = await outbox.claim(LEASE);
    expect(claims.map(({ id, content }) => [id, content.length])).toEqual([
      ['a', entry('a').content.length],
      ['b', entry('b').content.length],
      ['large', PARTS * 2 ** 20],
    ]);
    await outbox.close();
  });

  test('that went ahead of no message, as its process ended, is gone at the next start', async () => {
    const script = `
      import { openSqliteOutbox } from './src/stores/sqlite/outbox.ts';
      import { entry } from './test/contract/outbox.ts';
      const outbox = openSqliteOutbox({ path: process.argv[1], maxBytes: 1e9, keepMs: 1e9, log: console });
      void outbox.put(entry('lost', { content: new Uint8Array(${PARTS} * 2 ** 20) }));
      for (let n = 0; n < 5; n++) await outbox.put(entry('m' + n));
      process.kill(process.pid, 'SIGKILL');
    `;
    const path = join(folder, 'data/outbox.db');
    const killed = promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, path], {
      cwd: ROOT,
    });
    await expect(killed).rejects.toMatchObject({ signal: 'SIGKILL' });
    const [ahead = 0, body = 0] = rowsOf('ahead', 'body');
    expect(ahead).toBe(1);
    expect(body).toBeGreaterThan(5);
    const outbox = open();
    expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
    await outbox.put(large('a'));
    await outbox.close();
    expect(rowsOf('ahead', 'body')).toEqual([0, 5 + PARTS]);
  });

  test('of a message that is refused at last leaves nothing', async () => {
    const outbox = open({ maxBytes: 20 * 2 ** 20 });
    const key = { key: 'a key', fingerprint: 'f' };
    const results = await Promise.all([
      outbox.put({ ...large('a'), key }),
      outbox.put({ ...large('b'), key }),
      outbox.put(large('c')),
    ]);
    expect(results).toMatchObject([
      { state: 'put', id: 'a' },
      { state: 'known', id: 'a' },
      { state: 'full' },
    ]);
    expect(await outbox.put({ ...large('b'), key })).toEqual({ state: 'known', id: 'a' });
    expect(await outbox.put(large('c'))).toMatchObject({ state: 'full' });
    await outbox.close();
    expect(rowsOf('ahead', 'body', 'message')).toEqual([0, PARTS, 1]);
  });
});

describe('one turn of the event loop', () => {
  test('shares one transaction', async () => {
    const outbox = open();
    const before = (await stat(join(folder, 'data/outbox.db-wal'))).size;
    await outbox.put(entry('one'));
    const one = (await stat(join(folder, 'data/outbox.db-wal'))).size - before;
    await Promise.all(Array.from({ length: 50 }, (_, index) => outbox.put(entry(`m${index}`))));
    const fifty = (await stat(join(folder, 'data/outbox.db-wal'))).size - before - one;
    // Each transaction writes every page that it touched.
    expect(fifty).toBeLessThan(10 * one);
    await outbox.close();
  });

  test('a put that is a bug spoils no other', async () => {
    const outbox = open();
    await outbox.put(entry('a'));
    const results = await Promise.allSettled([
      outbox.put(entry('b')),
      outbox.put(entry('a')),
      outbox.put(entry('c')),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    const failed = results[1] as PromiseRejectedResult;
    expect(failed.reason).not.toBeInstanceOf(StoreUnavailable);
    expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['a', 'b', 'c']);
    expect(await outbox.depth()).toMatchObject({ waiting: 3 });
    await outbox.close();
  });
});

describe('a second process', () => {
  test('on the same file is refused, and the first one goes on', async () => {
    const outbox = open();
    await outbox.put(entry('a'));
    expect(() => open()).toThrow(ConfigError);
    expect(() => open()).toThrow(/OUTBOX: .*outbox\.db is in use by another process/);
    const script = `import { openSqliteOutbox } from './src/stores/sqlite/outbox.ts';
      openSqliteOutbox({ path: process.argv[1], maxBytes: 1, keepMs: 1, log: console });`;
    const other = promisify(execFile)(
      process.execPath,
      ['--input-type=module', '-e', script, join(folder, 'data/outbox.db')],
      { cwd: ROOT },
    );
    await expect(other).rejects.toThrow(/in use by another process/);
    expect(await files()).toEqual(['outbox.db', 'outbox.db-wal']);
    expect((await outbox.claim(LEASE)).map(({ id }) => id)).toEqual(['a']);
    await outbox.close();
    await open().close();
  });
});

describe('a file that is damaged', () => {
  const damaged: [string, (path: string) => Promise<void>][] = [
    ['no database at all', (path) => writeFile(path, 'this is not a database '.repeat(500))],
    ['cut off', (path) => truncate(path, 6000)],
  ];

  test.each(damaged)('%s, is put aside as it is, loudly', async (_, damage) => {
    const path = join(folder, 'data/outbox.db');
    const first = open();
    for (let n = 0; n < 50; n++) await first.put(entry(`m${n}`));
    await first.close();
    await damage(path);
    const before = await readFile(path);

    const second = open();
    await second.put(entry('new'));
    expect((await second.claim(LEASE)).map(({ id }) => id)).toEqual(['new']);
    const aside = (await files()).filter((name) => /^outbox\.db\.corrupt-\d{4}-[\dT-]+Z$/.test(name));
    expect(aside).toHaveLength(1);
    expect((await readFile(join(folder, 'data', aside[0] as string))).equals(before)).toBe(true);
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      {
        level: 'error',
        event: 'the outbox file is damaged',
        path,
        putAside: join(folder, 'data', aside[0] as string),
      },
    ]);
    await second.close();
  });

  test.each([
    ['one of its tables', 0.01, 0.1],
    ['the bodies', 0.5, 1],
  ])('within %s, is put aside when that shows', async (_, from, to) => {
    const path = join(folder, 'data/outbox.db');
    const first = open();
    for (let n = 0; n < 50; n++) await first.put(entry(`m${n}`, { content: new Uint8Array(20_000).fill(n) }));
    await first.close();
    await overwrite(path, from, to);
    const { size } = await stat(path);

    const second = open();
    const results = await Promise.allSettled([second.claim(LEASE), second.put(entry('a'))]);
    for (const result of results) {
      if (result.status === 'rejected') expect(result.reason).toBeInstanceOf(StoreUnavailable);
    }
    expect(lines).toHaveLength(1);
    const { putAside } = JSON.parse(lines[0] as string);
    expect((await stat(putAside)).size).toBeGreaterThanOrEqual(size);
    await second.put(entry('b'));
    expect((await second.claim(LEASE)).map(({ id }) => id)).toContain('b');
    await second.close();
  });
});

/** Rubbish from one part of a file to another. */
async function overwrite(path: string, from: number, to: number): Promise<void> {
  const bytes = await readFile(path);
  bytes.fill(0xa5, Math.floor(bytes.length * from), Math.floor(bytes.length * to));
  await writeFile(path, bytes);
}

describe('a file that cannot be used', () => {
  test('because a later release wrote it, is left as it is', async () => {
    const path = join(folder, 'data/outbox.db');
    const outbox = open();
    await outbox.put(entry('a'));
    await outbox.close();
    const change = (by: number) => {
      const database = new DatabaseSync(path);
      database.exec(`UPDATE total SET version = version + ${by}`);
      database.close();
    };
    change(1);
    expect(() => open()).toThrow(ConfigError);
    expect(() => open()).toThrow(/OUTBOX: .* was written by a later release/);
    expect(await files()).toEqual(['outbox.db']);
    change(-1);
    const again = open();
    expect((await again.claim(LEASE)).map(({ id }) => id)).toEqual(['a']);
    await again.close();
  });

  test.each([
    ['a folder', ''],
    ['below a file', 'data/outbox.db/below.db'],
  ])('because it is %s, is a wrong setting', async (_, name) => {
    await open().close();
    expect(() => open({ path: join(folder, name) })).toThrow(ConfigError);
    expect(() => open({ path: join(folder, name) })).toThrow(/OUTBOX: .* cannot be opened for writing/);
  });

  test('because its folder cannot be made, is a wrong setting', () => {
    expect(() => open({ path: '/proc/nope/outbox.db' })).toThrow(/OUTBOX: .* cannot be opened .*ENOENT/);
  });

  test('because the disk is full: nothing is kept that was not answered, and what was is still there', async () => {
    // The shell's limit on a file's size is a full disk to the process.
    const script = `
      import { openSqliteOutbox } from './src/stores/sqlite/outbox.ts';
      import { entry } from './test/contract/outbox.ts';
      const outbox = openSqliteOutbox({ path: process.argv[1], maxBytes: 1e9, keepMs: 1e9, log: console });
      const large = await outbox.put(entry('large', { content: new Uint8Array(8_000_000) })).catch(({ name }) => name);
      const kept = [], refused = [];
      for (let n = 0; refused.length < 20; n++) {
        const content = new Uint8Array(30_000);
        await outbox.put(entry('m' + n, { content })).then(
          () => kept.push('m' + n),
          (error) => refused.push(error.name),
        );
      }
      let pings = 0;
      while (pings < 20 && await outbox.ping().then(() => true, ({ name }) => name !== 'StoreUnavailable')) pings++;
      const { records } = await outbox.list('ifaxin', { state: null, limit: 1000, cursor: null });
      console.log(JSON.stringify({ large, kept, refused, pings, listed: records.map(({ id }) => id), depth: await outbox.depth() }));
      process.kill(process.pid, 'SIGKILL');
    `;
    const path = join(folder, 'data/outbox.db');
    const full = `ulimit -f 2000; exec '${process.execPath}' --input-type=module -e "$SCRIPT" '${path}'`;
    const { stdout } = await promisify(execFile)('bash', ['-c', full], {
      cwd: ROOT,
      env: { SCRIPT: script },
    }).catch((killed: { stdout: string }) => killed);
    const { large, kept, refused, pings, listed, depth } = JSON.parse(stdout);
    expect(large).toBe('StoreUnavailable');
    expect(kept.length).toBeGreaterThan(10);
    expect(refused).toEqual(Array(20).fill('StoreUnavailable'));
    // As many as fit into what no message did.
    expect(pings).toBeLessThan(20);
    expect(listed.reverse()).toEqual(kept);
    expect(depth.waiting).toBe(kept.length);

    const outbox = open();
    const claims = await outbox.claim({ ...LEASE, count: 10_000 });
    expect(claims.map(({ id }) => id)).toEqual(kept);
    expect(claims.every(({ content }) => content.length === 30_000)).toBe(true);
    await outbox.close();
  });
});

test('what docs/running.md says of a copy: none while it runs, a whole one after its end', async () => {
  const path = join(folder, 'data/outbox.db');
  const outbox = open();
  await outbox.put(entry('a'));
  const other = new DatabaseSync(path);
  expect(() => other.exec(`VACUUM INTO '${path}.backup'`)).toThrow('database is locked');
  other.close();
  await outbox.close();
  await cp(join(folder, 'data'), join(folder, 'backup'), { recursive: true });
  const copy = open({ path: join(folder, 'backup/outbox.db') });
  expect((await copy.claim(LEASE)).map(({ id }) => id)).toEqual(['a']);
  await copy.close();
});

test('after its end it takes nothing', async () => {
  const outbox = open();
  const last = outbox.put(entry('a'));
  await outbox.close();
  expect(await last).toEqual({ state: 'put', id: 'a' });
  await expect(outbox.put(entry('b'))).rejects.toThrow(StoreUnavailable);
  await expect(outbox.read('ifaxin', 'a')).rejects.toThrow(StoreUnavailable);
  await outbox.close();
});

test('the file shrinks when most of it is free', async () => {
  const path = join(folder, 'data/outbox.db');
  const outbox = open();
  for (let n = 0; n < 40; n++) await outbox.put(entry(`m${n}`, { content: new Uint8Array(500_000) }));
  for (let claims = await outbox.claim(LEASE); claims.length > 0; claims = await outbox.claim(LEASE)) {
    for (const claim of claims) await outbox.settle(claim, ACCEPTED);
  }
  await outbox.sweep();
  await outbox.close();
  expect((await stat(path)).size).toBeLessThan(1_000_000);
});

test('of equal messages a claim reads no more than memory allows, and at least one', async () => {
  const outbox = open();
  for (let n = 0; n < 5; n++) await outbox.put(entry(`m${n}`, { content: new Uint8Array(16_000_000) }));
  expect(await outbox.claim(LEASE)).toHaveLength(2);
  expect(await outbox.claim(LEASE)).toHaveLength(2);
  expect(await outbox.claim(LEASE)).toHaveLength(1);
  await outbox.close();
});

test('a body that has lost a part is not sent', async () => {
  const path = join(folder, 'data/outbox.db');
  const first = open();
  await first.put(entry('a', { content: new Uint8Array(3_000_000) }));
  await first.put(entry('b'));
  await first.close();
  const database = new DatabaseSync(path);
  database.exec('DELETE FROM body WHERE part = (SELECT part FROM body LIMIT 1 OFFSET 1)');
  database.close();
  const second = open();
  expect((await second.claim(LEASE)).map(({ id }) => id)).toEqual(['b']);
  expect(await second.read('ifaxin', 'a')).toMatchObject({
    state: 'failed',
    outcome: { delivery: 'not-sent' },
  });
  await second.close();
});
