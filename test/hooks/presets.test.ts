import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Notice } from '../../src/hooks/notice.ts';
import { PRESETS, type PresetName } from '../../src/hooks/presets.ts';
import { renderNotice } from '../../src/hooks/render-notice.ts';

const NAMES = Object.keys(PRESETS) as PresetName[];

function noticeOf(preset: PresetName, file: string, headers: Record<string, string> = {}): Notice | null {
  const payload: unknown = JSON.parse(
    readFileSync(new URL(`fixtures/${preset}/${file}.json`, import.meta.url), 'utf8'),
  );
  return PRESETS[preset]({ payload, headers });
}

interface Expected {
  readonly headers?: Record<string, string>;
  readonly subject: string;
  readonly tone: Notice['tone'];
  readonly thread: string | null;
  readonly key?: string;
  readonly link?: string;
  /** Among the facts of all sections. */
  readonly facts?: Readonly<Record<string, string>>;
  readonly text?: string;
}

const github = (event: string): Record<string, string> => ({ 'x-github-event': event });

const TABLE: readonly (readonly [PresetName, string, Expected])[] = [
  [
    'github',
    'push',
    {
      headers: github('push'),
      subject: '[octo-org/shop] mona pushed 2 commits to main',
      tone: 'neutral',
      thread: null,
      link: 'https://github.com/octo-org/shop/compare/6113728f27ae...0d1a26e67d8f',
      facts: {
        Repository: 'octo-org/shop',
        c441029: "Count the cart's items once (Mona Lisa)",
        '0d1a26e': 'Round the tax (Hubot)',
      },
    },
  ],
  [
    'github',
    'push-deleted',
    {
      headers: github('push'),
      subject: '[octo-org/shop] mona deleted branch old',
      tone: 'warning',
      thread: null,
    },
  ],
  [
    'github',
    'pull_request-opened',
    {
      headers: github('pull_request'),
      subject: '[octo-org/shop] Add gift cards (PR #7)',
      tone: 'neutral',
      thread: 'github:octo-org/shop/pull/7',
      link: 'https://github.com/octo-org/shop/pull/7',
      facts: { By: 'mona', Branches: 'gift-cards → main', Commits: '3', 'Changed files': '12' },
      text: 'Closes #5.',
    },
  ],
  [
    'github',
    'pull_request-merged',
    {
      headers: github('pull_request'),
      subject: '[octo-org/shop] Add gift cards (PR #7)',
      tone: 'good',
      thread: 'github:octo-org/shop/pull/7',
    },
  ],
  [
    'github',
    'issues-opened',
    {
      headers: github('issues'),
      subject: '[octo-org/shop] Cart <b>total</b> is wrong (#5)',
      tone: 'neutral',
      thread: 'github:octo-org/shop/issues/5',
      facts: { Labels: 'bug, cart' },
      text: 'Steps:\n1. Add two.\n2. Look.',
    },
  ],
  [
    'github',
    'workflow_run-failure',
    {
      headers: github('workflow_run'),
      subject: '[octo-org/shop] CI failed on main',
      tone: 'bad',
      thread: 'github:octo-org/shop/workflow/159038/main',
      link: 'https://github.com/octo-org/shop/actions/runs/30433642',
      facts: { Run: '562', Result: 'Failure', Commit: 'acb5820', Message: 'Round the tax' },
    },
  ],
  [
    'github',
    'release-published',
    {
      headers: github('release'),
      subject: '[octo-org/shop] Release 2.1: gift cards',
      tone: 'good',
      thread: 'github:octo-org/shop/releases/v2.1.0',
      facts: { Tag: 'v2.1.0', 'Pre-release': 'yes' },
    },
  ],
  [
    'github',
    'star-created',
    {
      headers: github('star'),
      subject: '[octo-org/shop] Star created',
      tone: 'neutral',
      thread: null,
      facts: { 'repository.full_name': 'octo-org/shop' },
    },
  ],
  [
    'alertmanager',
    'firing',
    {
      subject: '[FIRING:2] InstanceDown node',
      tone: 'bad',
      thread: 'alertmanager:{}:{alertname="InstanceDown", job="node"}',
      link: 'http://alertmanager.example.com:9093',
      facts: { severity: 'critical', 'Runbook url': 'https://runbooks.example.com/instance-down' },
      text: 'web-2:9100 has been down for 5 minutes.',
    },
  ],
  [
    'alertmanager',
    'resolved',
    {
      subject: '[RESOLVED] InstanceDown node',
      tone: 'good',
      thread: 'alertmanager:{}:{alertname="InstanceDown", job="node"}',
      facts: { Until: '2026-05-02T10:20:00.000Z' },
    },
  ],
  [
    'any',
    'object',
    {
      subject: 'backup.finished',
      tone: 'neutral',
      thread: null,
      facts: {
        'host.name': 'db-1',
        'host.zones': 'a, b',
        bytes: '73400320',
        ok: 'true',
        error: 'null',
        'steps.1.seconds': '40',
        tags: '[]',
        meta: '{}',
      },
    },
  ],
  [
    'any',
    'string',
    {
      subject: 'Disk almost full',
      tone: 'neutral',
      thread: null,
      text: 'Disk almost full\n/var is at 94 %',
    },
  ],
  ['any', 'number', { subject: 'An event came in', tone: 'neutral', thread: null, text: '42' }],
];

describe.each(TABLE)('%s: %s', (preset, file, expected) => {
  it('is the notice that a reader expects', () => {
    const notice = noticeOf(preset, file, expected.headers);
    if (notice === null) throw new Error('Nothing came of the event.');
    expect(notice).toMatchObject({
      subject: expected.subject,
      tone: expected.tone,
      thread: expected.thread,
      key: expected.key ?? null,
    });
    if (expected.link !== undefined) expect(notice.link?.url).toBe(expected.link);
    const facts = notice.sections.flatMap((section) => section.facts);
    for (const [name, value] of Object.entries(expected.facts ?? {})) {
      expect(facts).toContainEqual(expect.objectContaining({ name, value }));
    }
    if (expected.text !== undefined) {
      expect(notice.sections.map((section) => section.text)).toContain(expected.text);
    }
  });
});

test.each([
  ['github', 'ping', github('ping')],
  ['github', 'pull_request-labeled', github('pull_request')],
  ['github', 'workflow_run-success', github('workflow_run')],
] as const)('%s: %s is no mail', (preset, file, headers) => {
  expect(noticeOf(preset, file, headers)).toBeNull();
});

/** Every key that any fixture has, so that random JSON gets beyond a preset's first read. */
const KEYS = 'action alerts status labels commits ref pull_request number issue release workflow_run'.split(
  ' ',
);

const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary' }),
    fc.constantFrom('opened', 'completed', 'published', 'firing', 'resolved', 'failure'),
    fc.double(),
    fc.boolean(),
    fc.constant(null),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(fc.constantFrom(...KEYS), fc.string()), tie('value'), { maxKeys: 6 }),
  ),
})).value;

/** The headers of the whole table, and none. */
const HEADERS = [{}, ...TABLE.map(([, , { headers }]) => headers ?? {})];

describe.each(NAMES)('%s', (name) => {
  it('takes whatever JSON', () => {
    fc.assert(
      fc.property(json, fc.constantFrom(...HEADERS), (payload, headers) => {
        const notice = PRESETS[name]({ payload, headers });
        if (notice !== null) renderNotice(notice);
      }),
    );
  });

  it.each(TABLE.filter(([preset]) => preset === name))(
    'takes its own %s: %s with any part replaced',
    (_, file) => {
      const source: unknown = JSON.parse(
        readFileSync(new URL(`fixtures/${name}/${file}.json`, import.meta.url), 'utf8'),
      );
      const headers = TABLE.find(([preset, its]) => preset === name && its === file)?.[2].headers ?? {};
      for (const value of [null, 0, -1e308, '', 'x', true, [], [null], [[]], {}, { a: 1 }]) {
        for (const payload of withReplaced(source, value)) {
          const notice = PRESETS[name]({ payload, headers });
          if (notice !== null) renderNotice(notice);
        }
      }
    },
  );
});

/** The JSON once for each of its values, that value replaced. */
function withReplaced(json: unknown, value: unknown): unknown[] {
  const results = [value];
  if (typeof json !== 'object' || json === null) return results;
  for (const [key, member] of Object.entries(json)) {
    for (const changed of withReplaced(member, value)) {
      const copy = Array.isArray(json) ? [...json] : { ...json };
      Object.assign(copy, { [key]: changed });
      results.push(copy);
    }
  }
  return results;
}

test('any is bounded in depth and count, and takes JSON as deep as the parser does', () => {
  const deep: unknown = JSON.parse(`${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`);
  expect(PRESETS.any({ payload: deep, headers: {} })?.sections[0]?.facts).toEqual([
    { name: 'a.a.a.a.a.a', value: '{…}' },
  ]);
  const wide = Array.from({ length: 5_000 }, (_, id) => ({ id, at: id }));
  const facts = PRESETS.any({ payload: wide, headers: {} })?.sections[0]?.facts ?? [];
  expect(facts).toHaveLength(151);
  expect(facts.at(-1)).toEqual({ name: '…', value: 'There is more in the event.' });
});
