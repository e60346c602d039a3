import { expect, test } from 'vitest';
import type { Notice } from '../../src/hooks/notice.ts';
import { renderNotice } from '../../src/hooks/render-notice.ts';

const NOTICE: Notice = {
  subject: 'Backup failed',
  title: 'Backup of db-1 failed',
  tone: 'bad',
  sections: [
    { title: null, text: 'The disk is full.\nSee https://wiki.example.com/disk.', facts: [] },
    {
      title: 'Details',
      text: null,
      facts: [
        { name: 'Host', value: 'db-1' },
        { name: 'Log', value: 'last lines\nno space left', url: 'https://logs.example.com/?a=1&b=2' },
      ],
    },
  ],
  link: { text: 'Open the job', url: 'https://jobs.example.com/7' },
  thread: null,
  key: null,
};

const withFact = (value: string, url?: string): Notice => ({
  ...NOTICE,
  sections: [
    {
      title: null,
      text: null,
      facts: [url === undefined ? { name: 'F', value } : { name: 'F', value, url }],
    },
  ],
});

test('the text part reads well in a terminal', () => {
  expect(renderNotice(NOTICE).text).toBe(`Backup of db-1 failed
=====================

The disk is full.
See https://wiki.example.com/disk.

Details
-------

Host: db-1
Log:  last lines
      no space left
      https://logs.example.com/?a=1&b=2

Open the job:
https://jobs.example.com/7
`);
});

test('the HTML part has both colour schemes, the tone, its links and one button', () => {
  const { html } = renderNotice(NOTICE);
  expect(html).toContain('<meta name="color-scheme" content="light dark">');
  expect(html).toContain('@media (prefers-color-scheme:dark)');
  expect(html).toContain('max-width:600px');
  expect(html).toContain('bgcolor="#cf222e"');
  const hrefs = [...html.matchAll(/href="([^"]*)"/g)].map(([, href]) => href);
  expect(hrefs).toEqual([
    'https://wiki.example.com/disk',
    'https://logs.example.com/?a=1&amp;b=2',
    'https://jobs.example.com/7',
  ]);
});

test.each(['good', 'bad', 'warning', 'neutral'] as const)('a %s notice has a colour of its own', (tone) => {
  const others = (['good', 'bad', 'warning', 'neutral'] as const).filter((other) => other !== tone);
  const colour = (of: Notice['tone']) =>
    /bgcolor="([^"]+)"/.exec(renderNotice({ ...NOTICE, tone: of }).html)?.[1];
  expect(others.map(colour)).not.toContain(colour(tone));
});

test.each(['good', 'bad', 'warning', 'neutral'] as const)(
  'white is readable on the button of a %s notice',
  (tone) => {
    const hex = /bgcolor="#([^"]+)"/.exec(renderNotice({ ...NOTICE, tone }).html)?.[1] ?? '';
    const [red = 0, green = 0, blue = 0] = [0, 2, 4].map((start) => {
      const part = Number.parseInt(hex.slice(start, start + 2), 16) / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    // WCAG 2.2, contrast ratio with white.
    expect(1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05)).toBeGreaterThan(4.5);
  },
);

test('markup is text wherever it stands', () => {
  const evil = `<script>alert("1")</script>'&`;
  const { html, text, subject } = renderNotice({
    subject: evil,
    title: evil,
    tone: 'neutral',
    sections: [
      { title: evil, text: evil, facts: [{ name: evil, value: evil, url: `https://x.example/${evil}` }] },
    ],
    link: { text: evil, url: `https://x.example/?q=${evil}` },
    thread: null,
    key: null,
  });
  expect(html).not.toMatch(/<script|alert\("/);
  expect(html.split('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;')).toHaveLength(8);
  expect(subject).toBe(evil);
  expect(text).toContain(evil);
});

test.each([
  'javascript:alert(1)',
  'JAVASCRIPT:alert(1)',
  ' javascript:alert(1)',
  'data:text/html,<b>',
  'vbscript:x',
  'file:///etc/passwd',
  '//example.com/',
  '/path',
  'ftp://example.com/',
  '',
  `https://example.com/${'a'.repeat(2_000)}`,
])('%s is no link', (url) => {
  const notice = { ...withFact('shown', url), link: { text: 'Open', url } };
  expect(renderNotice(notice).html).not.toContain('href');
  expect(renderNotice(notice).text).toBe(`${NOTICE.title}\n=====================\n\nF: shown\n`);
});

test('a value, a text, a subject and the number of facts are bounded, and show it', () => {
  const { html } = renderNotice(withFact('a'.repeat(3_000)));
  expect(html).toContain(`>${'a'.repeat(1_999)}…<`);
  const long = { ...NOTICE, sections: [{ title: null, text: 'b'.repeat(30_000), facts: [] }] };
  expect(renderNotice(long).text).toContain(`\n${'b'.repeat(19_999)}…\n`);
  expect(renderNotice({ ...NOTICE, subject: 'c'.repeat(300) }).subject).toBe(`${'c'.repeat(199)}…`);
  expect(renderNotice({ ...NOTICE, subject: `${'c'.repeat(198)}😀😀` }).subject).toBe(`${'c'.repeat(198)}…`);

  const facts = Array.from({ length: 150 }, (_, n) => ({ name: `n${n}`, value: 'v' }));
  const section = { title: null, text: null, facts };
  const many = renderNotice({ ...NOTICE, sections: [section, section, section] }).text;
  expect(many.match(/^n\d+:/gm)).toHaveLength(198);
  expect(many.match(/There is more in the event\./g)).toHaveLength(3);
  const uneven = renderNotice({
    ...NOTICE,
    sections: [section, { ...section, facts: facts.slice(90) }],
  }).text;
  expect(uneven.match(/^n\d+:/gm)).toHaveLength(200);
  expect(uneven.match(/There is more/g)).toHaveLength(1);
  const sections = renderNotice({
    ...NOTICE,
    sections: Array(500).fill({ title: 'T', text: 't', facts: [] }),
  });
  expect(sections.text.match(/^T$/gm)).toHaveLength(50);
});

test('control characters, stray line breaks, half pairs and turned text are cleaned', () => {
  const { subject } = renderNotice({
    ...NOTICE,
    subject: 'a\r\nBcc: x@example.com\u0000\u001b[31m \u202egpj.exe\ud800',
  });
  expect(subject).toBe('a Bcc: x@example.com[31m gpj.exe\ufffd');
  expect(renderNotice(withFact('1\r\n2\r3\u20284\u0007')).text).toContain('F: 1\n   2\n   3\n   4\n');
  expect(renderNotice({ ...NOTICE, subject: ' \n ' }).subject).toBe(NOTICE.title);
});

test('megabytes of any one character are rendered, too', () => {
  for (const piece of ['http://', 'https://a ', '<', ')', '\n', '\r', ' ']) {
    renderNotice({ ...withFact(piece.repeat(500_000)), subject: piece.repeat(500_000) });
  }
});
