import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { Notice } from '../../src/hooks/notice.ts';
import { PRESETS, type PresetName } from '../../src/hooks/presets.ts';
import { renderNotice } from '../../src/hooks/render-notice.ts';

const NAMES = Object.keys(PRESETS) as PresetName[];

function payloadOf(preset: PresetName, file: string): unknown {
  return JSON.parse(readFileSync(new URL(`fixtures/${preset}/${file}.json`, import.meta.url), 'utf8'));
}

const noticeOf = (preset: PresetName, file: string, headers: Record<string, string> = {}): Notice | null =>
  PRESETS[preset]({ payload: payloadOf(preset, file), headers });

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

const INCIDENT_RESOLVED: Expected = {
  subject: '[Resolved] Payments are slow',
  tone: 'good',
  thread: 'statuspage:lbkhbwn21v5q',
  key: 'lbkhbwn21v5q:2026-05-02T11:00:00Z',
  facts: { Resolved: '2026-05-02T11:00:00Z' },
  text: 'Payments are fast again.',
};

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
      link: 'https://github.com/octo-org/shop',
    },
  ],
  [
    'github',
    'push-tag-moved',
    {
      headers: github('push'),
      subject: '[octo-org/shop] mona moved tag v2',
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
    'github',
    'issue_comment-created',
    {
      headers: github('issue_comment'),
      subject: '[octo-org/shop] Issue comment created',
      tone: 'neutral',
      thread: null,
      link: 'https://github.com/octo-org/shop/issues/5#issuecomment-99',
      text: 'It is the tax.\nI mend it today.',
    },
  ],
  [
    'github',
    'pull_request_review-submitted',
    {
      headers: github('pull_request_review'),
      subject: '[octo-org/shop] Pull request review submitted',
      tone: 'neutral',
      thread: null,
      link: 'https://github.com/octo-org/shop/pull/7#pullrequestreview-8',
      facts: { 'review.state': 'changes_requested' },
      text: 'Please test the refund.',
    },
  ],
  [
    'github',
    'check_run-failure',
    {
      headers: github('check_run'),
      subject: '[octo-org/shop] Check run completed failure',
      tone: 'neutral',
      thread: null,
    },
  ],
  [
    'github',
    'status-error',
    {
      headers: github('status'),
      subject: '[octo-org/shop] Status error',
      tone: 'neutral',
      thread: null,
      facts: { context: 'ci/unit' },
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
  [
    'gitlab',
    'push',
    {
      subject: '[acme/shop] Ada Byron pushed 4 commits to main',
      tone: 'neutral',
      thread: null,
      facts: { da15608: 'Fix the login (Ada Byron)' },
    },
  ],
  [
    'gitlab',
    'merge_request-merged',
    {
      subject: '[acme/shop] Cache the menu (!12)',
      tone: 'good',
      thread: 'gitlab:acme/shop/merge_requests/12',
      link: 'https://gitlab.example.com/acme/shop/-/merge_requests/12',
      facts: { By: 'Ada Byron', Branches: 'menu-cache → main' },
    },
  ],
  [
    'gitlab',
    'issue-opened',
    {
      subject: '[acme/shop] Menu is slow (#23)',
      tone: 'neutral',
      thread: 'gitlab:acme/shop/issues/23',
      facts: { Labels: 'performance' },
      text: 'Takes 3 s.',
    },
  ],
  [
    'gitlab',
    'pipeline-failed',
    {
      subject: '[acme/shop] Pipeline failed on main',
      tone: 'bad',
      thread: 'gitlab:acme/shop/pipelines/main',
      facts: { 'Failed jobs': 'unit', Commit: 'bcbb5ec', Duration: '63 s' },
    },
  ],
  ['gitlab', 'build-failed', { subject: '[acme/shop] Build unit failed', tone: 'neutral', thread: null }],
  [
    'gitlab',
    'release-created',
    {
      subject: '[acme/shop] Release Spring',
      tone: 'good',
      thread: 'gitlab:acme/shop/releases/v3.0.0',
      facts: { Tag: 'v3.0.0' },
    },
  ],
  [
    'grafana',
    'firing',
    {
      subject: '[FIRING:1] High latency Web',
      tone: 'warning',
      thread: 'grafana:{}:{alertname="High latency", grafana_folder="Web"}',
      link: 'https://grafana.example.com/d/web?viewPanel=2',
      facts: { Value: 'B = 612.4, C = 1', severity: 'warning' },
    },
  ],
  [
    'grafana',
    'resolved',
    {
      subject: '[RESOLVED] High latency Web',
      tone: 'good',
      thread: 'grafana:{}:{alertname="High latency", grafana_folder="Web"}',
      facts: { Until: '2026-05-02T10:15:00Z' },
    },
  ],
  [
    'stripe',
    'invoice.payment_failed',
    {
      subject: '[Payment failed] Invoice ACME-0042, 1,234.56 EUR',
      tone: 'bad',
      thread: 'stripe:in_1MtHbE',
      key: 'evt_1PayFail',
      link: 'https://invoice.stripe.com/i/acct_1/test_1',
      facts: {
        Paid: '0.00 EUR',
        Customer: 'Jenny Rosen',
        Attempts: '2',
        'Next attempt': '2025-05-03 10:00 UTC',
      },
    },
  ],
  [
    'stripe',
    'invoice.paid',
    {
      subject: '[Paid] Invoice ACME-0042, 1,234.56 EUR',
      tone: 'good',
      thread: 'stripe:in_1MtHbE',
      key: 'evt_1Paid',
    },
  ],
  [
    'stripe',
    'charge.failed',
    {
      subject: '[Failed] Charge Order 1001, 500 JPY',
      tone: 'bad',
      thread: 'stripe:ch_3Mmlr',
      key: 'evt_1Charge',
      facts: { Card: 'Visa •••• 0002', Mode: 'Test mode', Failure: 'card_declined' },
      text: 'Your card was declined.',
    },
  ],
  [
    'stripe',
    'charge.refunded',
    {
      subject: '[Partly refunded] Charge ch_3Mm01, 50.00 USD',
      tone: 'warning',
      thread: 'stripe:ch_3Mm01',
      key: 'evt_1Refund',
      facts: { Amount: '200.00 USD', Refunded: '50.00 USD' },
    },
  ],
  [
    'stripe',
    'charge.refund.updated',
    {
      subject: '[Refund failed] Charge ch_3Mm01, 50.00 USD',
      tone: 'bad',
      thread: 'stripe:ch_3Mm01',
      key: 'evt_1Re',
      facts: { Failure: 'lost_or_stolen_card' },
    },
  ],
  [
    'stripe',
    'refund.failed',
    {
      subject: '[Refund failed] Charge ch_3Mm01, 50.00 USD',
      tone: 'bad',
      thread: 'stripe:ch_3Mm01',
      key: 'evt_1Re',
      facts: { Failure: 'lost_or_stolen_card' },
    },
  ],
  [
    'stripe',
    'charge.dispute.created',
    {
      subject: '[Dispute created] Charge ch_3Mm01, 1.000 KWD',
      tone: 'bad',
      thread: 'stripe:ch_3Mm01',
      key: 'evt_1Dispute',
      facts: { Reason: 'fraudulent', 'Answer until': '2025-05-09 10:00 UTC' },
    },
  ],
  [
    'stripe',
    'customer.created',
    {
      subject: 'Stripe: Customer created',
      tone: 'neutral',
      thread: null,
      key: 'evt_1Cust',
      facts: { 'data.object.email': 'jenny@example.com' },
    },
  ],
  [
    'sentry',
    'issue-created',
    {
      subject: '[New issue] TypeError: cart is undefined',
      tone: 'bad',
      thread: 'sentry:issue:1170820242',
      link: 'https://acme.sentry.io/issues/1170820242/',
      facts: { Issue: 'SHOP-1A', Users: '2', Project: 'shop-web' },
    },
  ],
  [
    'sentry',
    'issue-resolved',
    {
      subject: '[Resolved] TypeError: cart is undefined',
      tone: 'good',
      thread: 'sentry:issue:1170820242',
      facts: { By: 'Ada Byron' },
    },
  ],
  [
    'sentry',
    'event_alert-triggered',
    {
      subject: '[Alert] TypeError: cart is undefined',
      tone: 'bad',
      thread: 'sentry:issue:1170820242',
      key: 'e4874d664c3540c1a32eab185f12c5ab:Many errors',
      facts: { Rule: 'Many errors', browser: 'Firefox 139' },
    },
  ],
  [
    'sentry',
    'activity_alert-triggered',
    {
      subject: '[Alert] TypeError: cart is undefined',
      tone: 'bad',
      thread: 'sentry:issue:1170820242',
      facts: { Rule: 'Issue regressed', Issue: 'SHOP-1A' },
    },
  ],
  [
    'sentry',
    'metric_alert-critical',
    {
      subject: '[Critical] Checkout error rate',
      tone: 'bad',
      thread: 'sentry:alert:4',
      text: '20 events in the last 10 minutes',
    },
  ],
  [
    'uptime-kuma',
    'down',
    {
      subject: '[Down] Shop',
      tone: 'bad',
      thread: 'uptime-kuma:3',
      link: 'https://shop.example.com/health',
      facts: { Time: '2026-05-02 12:00:00 (Europe/Berlin)' },
      text: 'Request failed with status code 503',
    },
  ],
  [
    'uptime-kuma',
    'up',
    {
      subject: '[Up] Shop',
      tone: 'good',
      thread: 'uptime-kuma:3',
      facts: { 'Response time': '83 ms' },
    },
  ],
  [
    'uptime-kuma',
    'test',
    { subject: 'Uptime Kuma: Mail Testing', tone: 'neutral', thread: null, text: 'Mail Testing' },
  ],
  [
    'statuspage',
    'incident-identified',
    {
      subject: '[Identified] Payments are slow',
      tone: 'bad',
      thread: 'statuspage:lbkhbwn21v5q',
      key: 'lbkhbwn21v5q:2026-05-02T10:20:00Z',
      link: 'http://stspg.io/abc',
      facts: { Impact: 'major' },
      text: 'A bad release was found. We roll it back.',
    },
  ],
  ['statuspage', 'incident-resolved', INCIDENT_RESOLVED],
  ['statuspage', 'incident-resolved-capitals', INCIDENT_RESOLVED],
  [
    'statuspage',
    'component-outage',
    {
      subject: '[Major outage] Checkout API',
      tone: 'bad',
      thread: 'statuspage:component:rb5wq1dczvbm',
      key: 'k7730b5v92bv',
      facts: { Before: 'Operational' },
    },
  ],
  [
    'cloudevents',
    'structured',
    {
      subject: 'com.example.order.created: order-1001',
      tone: 'neutral',
      thread: 'cloudevents:/shop/orders:order-1001',
      key: '/shop/orders:A234-1234-1234',
      facts: { Time: '2026-05-02T10:00:00Z', 'total.currency': 'EUR' },
    },
  ],
  [
    'cloudevents',
    'binary',
    {
      headers: {
        'ce-specversion': '1.0',
        'ce-type': 'com.example.order.created',
        'ce-source': '/shop/orders',
        'ce-id': 'B-1',
        'ce-subject': 'caf%C3%A9',
      },
      subject: 'com.example.order.created: café',
      tone: 'neutral',
      thread: 'cloudevents:/shop/orders:café',
      key: '/shop/orders:B-1',
      facts: { order: '1002' },
    },
  ],
  [
    'slack',
    'text',
    {
      subject: 'Deploy of shop done: build 7 & https://shop.example.com',
      tone: 'neutral',
      thread: null,
    },
  ],
  [
    'slack',
    'blocks',
    {
      subject: 'fallback',
      tone: 'neutral',
      thread: null,
      link: 'https://example.com/r/1/approve',
      facts: { Type: 'Computer', When: 'Aug 10' },
      text: 'See the help (https://example.com/help)',
    },
  ],
  [
    'slack',
    'attachments',
    {
      subject: 'web-1 is down',
      tone: 'bad',
      thread: null,
      link: 'https://nagios.example.com/web-1',
      facts: { Priority: 'High' },
      text: 'nagios\nNagios\nPing @here: lost all 5 packets\nNagios API',
    },
  ],
  [
    'slack',
    'kinds',
    {
      subject: '**Nightly** run',
      tone: 'neutral',
      thread: null,
      link: 'https://ci.example.com/1',
      text: 'Suite | Failed\nunit (https://ci.example.com/unit) | 3',
    },
  ],
  ['slack', 'divider', { subject: 'Deploy done', tone: 'neutral', thread: null, text: 'Deploy done' }],
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
  ['github', 'workflow_job-success', github('workflow_job')],
  ['github', 'check_run-success', github('check_run')],
  ['github', 'check_suite-success', github('check_suite')],
  ['github', 'status-success', github('status')],
  ['gitlab', 'merge_request-updated', {}],
  ['gitlab', 'pipeline-success', {}],
  ['gitlab', 'build-created', {}],
  ['gitlab', 'build-pending', {}],
  ['gitlab', 'build-running', {}],
  ['gitlab', 'build-success', {}],
] as const)('%s: %s is no mail', (preset, file, headers) => {
  expect(noticeOf(preset, file, headers)).toBeNull();
});

/** The keys and the texts of every fixture, so that random JSON gets beyond a preset's first read. */
const KEYS = new Set<string>();
const TEXTS = new Set<string>();
for (const [preset, file] of TABLE) collect(payloadOf(preset, file));

function collect(json: unknown): void {
  if (typeof json === 'string') TEXTS.add(json);
  if (typeof json !== 'object' || json === null) return;
  for (const [key, member] of Object.entries(json)) {
    if (!Array.isArray(json)) KEYS.add(key);
    collect(member);
  }
}

const json = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary' }),
    fc.constantFrom(...TEXTS),
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
    'takes %s: %s with long arrays',
    (_, file, expected) => {
      const notice = PRESETS[name]({
        payload: longer(payloadOf(name, file)),
        headers: expected.headers ?? {},
      });
      if (notice !== null) renderNotice(notice);
    },
  );

  it.each(TABLE.filter(([preset]) => preset === name))(
    'takes its own %s: %s with any part replaced',
    (_, file) => {
      const source = payloadOf(name, file);
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

/** The JSON with each of its outermost arrays made as long as a large payload's. */
function longer(json: unknown): unknown {
  if (typeof json !== 'object' || json === null) return json;
  if (Array.isArray(json)) return json.length === 0 ? json : Array(150_000).fill(json[0]);
  return Object.fromEntries(Object.entries(json).map(([key, member]) => [key, longer(member)]));
}

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

test.each([
  ['*_both_* and snake_case, 2*3*4', 'both and snake_case, 2*3*4'],
  ['<mailto:ann@example.com|Ann>: 1 &lt; 2', 'Ann (mailto:ann@example.com): 1 < 2'],
  [
    '<@U1|ann> <#C1|office> <!channel> <!subteam^S1|@team> <!date^1^{date}|May>',
    '@ann #office @channel @team May',
  ],
  ['a < b | c > d', 'a < b | c > d'],
])('slack: %s is plain text', (marked, plain) => {
  const payload = { blocks: [{ type: 'section', text: { type: 'mrkdwn', text: marked } }] };
  expect(PRESETS.slack({ payload, headers: {} })?.sections[0]?.text).toBe(plain);
});

test('slack: what each kind of block and attachment holds is in the mail', () => {
  const notice = noticeOf('slack', 'kinds');
  const texts = notice?.sections.map(({ text }) => text);
  expect(texts).toContain('@here and @S012: fix it by May 2, at the latest 2025-05-02 10:00 UTC');
  const led = notice?.sections.flatMap(({ facts }) => facts.map(({ value, url }) => [value, url]));
  expect(led).toEqual([
    ['Run again', 'https://ci.example.com/1/again'],
    ['Open', 'https://ci.example.com/1/unit'],
    ['Open', 'https://ci.example.com/1/browser'],
    ['https://ci.example.com/1/browser.png', 'https://ci.example.com/1/browser.png'],
    ['Retry', 'https://ci.example.com/1/browser/retry'],
    ['Ask ann', 'https://chat.example.com/ann'],
  ]);
});

test('slack: 50 blocks are in the mail, and a 51st leaves a sign', () => {
  const textOf = (count: number) => {
    const blocks = Array.from({ length: count }, (_, n) => ({
      type: 'section',
      text: { type: 'plain_text', text: `part ${n + 1}.` },
    }));
    const notice = PRESETS.slack({ payload: { blocks }, headers: {} });
    return notice && renderNotice(notice).text;
  };
  expect(textOf(50)).toMatch(/part 50\.\n$/);
  expect(textOf(51)).toMatch(/part 50\.\n\n…/);
});

const group = (count: number, more: object = {}) => {
  const commonLabels = Object.fromEntries(Array.from({ length: 9 }, (_, n) => [`common${n}`, 'same']));
  const alerts = Array.from({ length: count }, (_, n) => ({
    labels: { alertname: 'Down', host: `web-${n}`, ...commonLabels },
    annotations: { runbook_url: 'https://runbooks.example.com/down' },
    startsAt: '2026-05-02T10:00:00Z',
  }));
  return { payload: { commonLabels, alerts, ...more }, headers: {} };
};

test.each(['alertmanager', 'grafana'] as const)('%s: each of 30 alerts shows what is its own', (name) => {
  const notice = PRESETS[name](group(30));
  if (notice === null) throw new Error('Nothing came of the event.');
  const { text } = renderNotice(notice);
  expect(text.match(/^common\d: +same$/gm)).toHaveLength(9);
  expect(text.match(/^host: +web-\d+$/gm)).toHaveLength(30);
  expect(text.match(/^Since: /gm)).toHaveLength(30);
  expect(text).not.toContain('more');
});

test('alerts that the mail or Alertmanager left out are counted', () => {
  const truncated = PRESETS.alertmanager(group(2, { truncatedAlerts: 12 }));
  expect(truncated?.subject).toBe('[FIRING:2+] Down');
  expect(truncated?.sections.at(-1)?.text).toBe('… and 12 more alerts.');
  const many = PRESETS.alertmanager(group(60, { truncatedAlerts: 12 }));
  expect(many && renderNotice(many).text).toContain('… and 24 more alerts.');
});

test('grafana: its own message is in the mail, but for the list of the alerts', () => {
  const own = PRESETS.grafana(group(1, { message: '**Shop**: ask ann.' }));
  expect(own && renderNotice(own).text).toContain('**Shop**: ask ann.');
  const list = PRESETS.grafana(group(1, { message: '**Firing**\n\nValue: A=1\nLabels:\n' }));
  expect(list && renderNotice(list).text).not.toContain('**Firing**');
});

test('labels in any number are taken', () => {
  const labels = Object.fromEntries(Array.from({ length: 150_000 }, (_, n) => [`label${n}`, 'x']));
  for (const name of ['alertmanager', 'grafana'] as const) {
    const notice = PRESETS[name]({ payload: { alerts: [{ labels }] }, headers: {} });
    expect(notice?.sections).toHaveLength(1);
  }
});

test.each([
  ['usd', 5, '0.05 USD'],
  ['JPY', 1_234_567, '1,234,567 JPY'],
  ['ugx', 500, '5.00 UGX'],
  ['isk', 500, '5.00 ISK'],
  ['bhd', 1_500, '1.500 BHD'],
  ['eur', -250, '-2.50 EUR'],
])('stripe: an amount in %s', (currency, amount, shown) => {
  const payload = { type: 'charge.succeeded', data: { object: { currency, amount } } };
  const facts = PRESETS.stripe({ payload, headers: {} })?.sections[0]?.facts;
  expect(facts).toContainEqual({ name: 'Amount', value: shown });
});

test.each([{ event_id: 'meeting-1' }, { eventId: 'ticket-1' }, { id: 'order-1' }])(
  'any: %j names a thing, whose later events are no repetition',
  (payload) => {
    expect(PRESETS.any({ payload, headers: {} })?.key).toBeNull();
  },
);

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
